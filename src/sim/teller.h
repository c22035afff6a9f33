// Teller: tells events to a fresh governor under the eyes of a referee, Timers when they are due.
#pragma once

#include <optional>
#include <vector>

#include "core/governor.h"
#include "sim/referee.h"
#include "sim/scenario_policy.h"
#include "sim/world.h"

namespace tonnage::sim {

// What a golden scenario does with its lines, for events that come from a list. It keeps the
// setting by reference.
class Teller {
 public:
  explicit Teller(const ScenarioSetting& setting);

  // Lets time pass until `at`, with the Timers that fall due, and tells the event.
  void tell(Tick at, const Event& event);
  void pass_time(Tick until);

  // Answers whatever is owed, in a polite world, until nothing is; a request or a command that is
  // not answered within `bound` becomes a finding.
  void finish(Duration bound);

  bool broken() const { return !findings_.empty(); }
  const Findings& findings() const { return findings_; }
  const Books& books() const { return referee_.books(); }
  const Governor& governor() const { return governor_; }
  Tick now() const { return now_; }

  // How many servers of the model were started, and which: 0 is the newest.
  std::optional<Generation> server_of(ModelId model, std::size_t back) const;
  std::size_t starts_of(ModelId model) const { return starts_[model.value].size(); }

  // All that was told, without the Timers and dry runs that come by themselves.
  const std::vector<Happening>& told() const { return told_; }
  std::uint64_t steps() const { return steps_; }

 private:
  void step(const Event& event);
  std::vector<Event> owed() const;

  const ScenarioSetting& setting_;
  Governor governor_;
  Referee referee_;
  Findings findings_;
  Tick now_{};
  std::vector<std::vector<Generation>> starts_;  // index is ModelId
  std::vector<Happening> told_;
  std::uint64_t steps_ = 0;
};

}  // namespace tonnage::sim
