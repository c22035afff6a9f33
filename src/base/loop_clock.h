// LoopClock: a steady clock that stands still while the process does not run.
#pragma once

#include <chrono>
#include <optional>

namespace tonnage {

// A pause of the process (a frozen cgroup, SIGSTOP, a paused virtual machine, a loop that was held
// up) is no time that anybody waited. Without this clock all time-outs would fall due at once when
// it ends: before the events are read that lie there, which would have met them.
//
// Suspend to memory or disk is no pause here: CLOCK_MONOTONIC does not count it to begin with.
//
// now() may be called by any thread. A pause is noticed by the one thread that follow()s, which has
// to call now() at least every kLookMax; until a thread does, this is std::chrono::steady_clock.
struct LoopClock {
  using duration = std::chrono::steady_clock::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<LoopClock>;
  static constexpr bool is_steady = true;

  // More than this between two looks is a pause. Four times kLookMax: on a busy machine a loop is
  // late by some tenths of a second.
  static constexpr duration kPauseMin = std::chrono::seconds(2);
  static constexpr duration kLookMax = std::chrono::milliseconds(500);

  static time_point now();
  // All pauses so far.
  static duration paused();
  static void follow();

  // For tests: what stands for the system's clock; null for that itself. Forgets all pauses.
  using Source = duration (*)();
  static void replace_source(Source source);
};

// What LoopClock does with the readings of one thread.
class PauseFilter {
 public:
  // The pause that ended with this reading, or zero.
  LoopClock::duration look(LoopClock::duration steady);

 private:
  std::optional<LoopClock::duration> last_;
};

}  // namespace tonnage
