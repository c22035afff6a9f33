#include "core/pressure.h"

#include <algorithm>

namespace tonnage {
namespace {

bool applies(const PressureLevel& level, bool host) {
  return host ? level.host : level.devices;
}

bool exceeded(const PressureLevel& level, const PressureReading& reading) {
  return value_of(level, reading) > level.above_permille || stalls(level, reading);
}

bool over(const PressureLevel& level, const PressureReading& reading) {
  return value_of(level, reading) <= level.below_permille && !stalls(level, reading);
}

}  // namespace

std::int64_t value_of(const PressureLevel& level, const PressureReading& reading) {
  return level.basis == PressureBasis::use ? reading.use_permille : reading.overrun_permille;
}

bool stalls(const PressureLevel& level, const PressureReading& reading) {
  if (!reading.host)
    return false;
  return (level.stall_some_permille && reading.stall_some_permille > *level.stall_some_permille) ||
         (level.stall_full_permille && reading.stall_full_permille > *level.stall_full_permille);
}

std::optional<std::uint32_t> next_level(const PressurePolicy& policy,
                                        const PressureReading& reading, PoolPressure& state,
                                        Tick now) {
  const auto& levels = policy.levels;
  // A reload may have left fewer levels.
  if (state.level && *state.level >= levels.size())
    state.level.reset();
  std::optional<std::uint32_t> up;
  for (std::uint32_t i = 0; i < levels.size(); ++i) {
    if (applies(levels[i], reading.host) && exceeded(levels[i], reading))
      up = i;
  }
  if (up && (!state.level || *up >= *state.level)) {
    state.exceeded_at = now;
    return up;
  }
  if (!state.level)
    return std::nullopt;
  const PressureLevel& level = levels[*state.level];
  const bool gone = !applies(level, reading.host);
  if (!gone &&
      (!over(level, reading) || now < std::max(state.since, state.exceeded_at) + level.dwell))
    return state.level;
  for (std::uint32_t i = *state.level; i > 0; --i) {
    const PressureLevel& milder = levels[i - 1];
    if (applies(milder, reading.host) && !over(milder, reading))
      return i - 1;
  }
  return std::nullopt;
}

}  // namespace tonnage
