// Liveness: whether a server gets anywhere. Bytes are no sign of it: a long prompt gives none for
// minutes, and a server whose computation stands still answers its health probes all the same.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/loop_clock.h"
#include "base/tick.h"
#include "process/activity.h"

namespace tonnage {

struct LivenessLimits {
  // A loading server that neither reads, takes memory, computes nor prints for this long hangs.
  Duration load_still_max = 10min;
  // A ready one that neither computes nor says anything of its slots. A step of a large model on
  // a slow machine takes a minute; the slots are told between two steps.
  Duration still_max = 90s;
  // One that computes, and says nothing of its slots: a step takes no half an hour.
  Duration silent_max = 30min;
  Duration look_at_slots_every = 10s;
  // Over which computing is judged.
  Duration window = 10s;
  // Nobody looked for so long: this process was stopped, or the machine slept.
  Duration unwatched_max = 15s;
};

// Pure: times and counters are handed in.
class Liveness {
 public:
  using Time = LoopClock::time_point;

  Liveness(LivenessLimits limits, Time started);

  // Something was printed.
  void heard(Time now);
  void ready(Time now);
  // About once a second. Nothing: there is no such process, and nothing follows from it. What is
  // returned is why the server is to be given up.
  std::optional<std::string> watch(Time now, const std::optional<ProcessActivity>& activity);

  // Whether the slots are to be looked at now; then one of the two follows, as late as it may be.
  bool wants_slots(Time now) const;
  void slots_asked(Time now);
  // `json`: the answer. One whose slots are at work and where nothing changed since the last one is
  // no sign of life.
  void slots_told(Time now, std::string_view json);
  void slots_failed();

 private:
  void alive(Time now);

  LivenessLimits limits_;
  bool ready_ = false;
  Time moved_at_;    // the last sign of life
  Time told_at_;     // the last sign by the slots
  Time watched_at_;  // watch() was called
  Time sampled_at_;  // begin of the window
  std::optional<ProcessActivity> sampled_;
  std::optional<Time> slots_asked_at_;
  bool asking_ = false;
  std::size_t slots_seen_ = 0;  // hash of the last answer
};

}  // namespace tonnage
