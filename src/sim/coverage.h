// Coverage: how often each event, action, decision, reason, residency edge and fault occurred.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/actions.h"
#include "core/events.h"
#include "core/snapshot.h"
#include "sim/knobs.h"

namespace tonnage::sim {

class Coverage {
 public:
  void count(const Event& event) { ++events_[event.index()]; }
  void count(const Action& action);
  void count_edge(ResidencyState from, ResidencyState to) {
    ++edges_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  }
  void count_faults(const std::array<std::uint64_t, kFaults>& hits);
  void add(const Coverage& other);

  // A table with one line per counter, those that were never hit included.
  std::string table() const;

  // "reason good_enough: 406 of 1000" for each counter that was hit less often. Of the edges, those
  // of the residency machine count, and each passage over several that was seen at all.
  std::vector<std::string> below(std::uint64_t least) const;

 private:
  struct Counter {
    std::string name;  // "event Timer", "edge ready > draining"
    std::uint64_t hits = 0;
  };
  std::vector<Counter> counters() const;

  static constexpr std::size_t kStates = 7;
  static constexpr std::size_t kKinds = static_cast<std::size_t>(DecisionKind::leak) + 1;
  static constexpr std::size_t kReasons = static_cast<std::size_t>(ReasonCode::more_context) + 1;

  std::array<std::uint64_t, std::variant_size_v<Event>> events_{};
  std::array<std::uint64_t, std::variant_size_v<Action>> actions_{};
  std::array<std::uint64_t, kKinds> decisions_{};
  std::array<std::uint64_t, kReasons> reasons_{};
  std::array<std::array<std::uint64_t, kStates>, kStates> edges_{};
  std::array<std::uint64_t, kFaults> faults_{};
};

}  // namespace tonnage::sim
