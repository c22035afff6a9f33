// PoolPressure: which pressure level a pool is at, and when it may change.
#pragma once

#include <cstdint>
#include <optional>

#include "base/tick.h"
#include "core/pressure_policy.h"

namespace tonnage {

// What the levels are compared with.
struct PressureReading {
  bool host = false;
  std::int64_t use_permille = 0;      // of capacity
  std::int64_t overrun_permille = 0;  // of what is meant to stay free; see PressureBasis
  std::int64_t stall_some_permille = 0;
  std::int64_t stall_full_permille = 0;
};

// What is remembered of a pool's level.
struct PoolPressure {
  std::optional<std::uint32_t>
      level;         // index into PressurePolicy::levels; empty: below every level
  Tick since;        // it changed
  Tick exceeded_at;  // its watermark was last exceeded
  Tick relieved_at;  // a model was last taken because the kernel stalls

  friend bool operator==(const PoolPressure&, const PoolPressure&) = default;
};

std::int64_t value_of(const PressureLevel& level, const PressureReading& reading);
// Whether the kernel stalls more than the level allows.
bool stalls(const PressureLevel& level, const PressureReading& reading);

// Up at once, to the most severe level whose watermark is exceeded. Down when the level's own value
// is not above `below_permille` any more and `dwell` has passed since it was entered and last
// exceeded; then to the most severe milder level that would not be left itself. `state` learns
// exceeded_at.
std::optional<std::uint32_t> next_level(const PressurePolicy& policy,
                                        const PressureReading& reading, PoolPressure& state,
                                        Tick now);

}  // namespace tonnage
