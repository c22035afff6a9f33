// SpinCosts: what spinning and sleeping cost on this machine, and how long a model server's threads
// spin at a barrier because of that.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/tick.h"

namespace tonnage {

// Used until the machine was measured, and where it cannot be: right for the machine on which the
// rule was found.
inline constexpr std::int32_t kSpinCountUnmeasured = 440;
// What takes longer is not a sleep but somebody else's turn on the processor.
inline constexpr std::int64_t kSleepNsMax = 60'000;
inline constexpr std::int32_t kSpinCountMin = 50;
inline constexpr std::int32_t kSpinCountMax = 20'000;

struct SpinCosts {
  std::int64_t look_ps = 0;   // one turn of libgomp's spinning loop: a load and a pause
  std::int64_t sleep_ns = 0;  // what a barrier of two threads takes longer when they sleep at it
  std::int64_t wake_ns = 0;   // the system call that wakes one sleeper

  friend bool operator==(const SpinCosts&, const SpinCosts&) = default;
};

// GOMP_SPINCOUNT for servers of `threads` threads: a thread spins for four fifths of the time
// that it would lose by sleeping, and then sleeps. The last thread at a barrier wakes the others
// one by one: each waits for half of them, so that sleeping costs more with more threads. A count
// is not a time: a pause takes 1 cycle on one processor and 140 on another, which is why a fixed
// count is right on one machine only.
std::int32_t spin_count(const SpinCosts& costs, std::int32_t threads);

// One processor of each physical core that this process may run on.
std::vector<int> usable_cores();

// Two threads meet on these two processors for some 40 ms, at most twice `longest`, while two
// others of the lowest priority keep the processors from going idle. Work of others makes single
// meetings slower and is left out: the lower quartile counts. Empty: the threads could not be bound
// to the processors, others had these most of the time, or `stop` was requested.
std::optional<SpinCosts> measure_spin_costs(int one, int other, Duration longest,
                                            const std::stop_token& stop);

}  // namespace tonnage
