// Tick and Duration: time as the core sees it, handed in from outside.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tonnage {

using Duration = std::chrono::duration<std::int64_t, std::micro>;

// A clock that cannot be read: the owner of the loop stamps each event with its Tick. Ticks count
// microseconds of a monotonic clock from an origin that only that owner knows.
struct CoreClock {
  using rep = std::int64_t;
  using period = std::micro;
  using duration = Duration;
  using time_point = std::chrono::time_point<CoreClock, Duration>;
  static constexpr bool is_steady = true;
};

using Tick = CoreClock::time_point;

using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

// "250ms", "5s", "10m", "12h", "1d"; a bare number is an error, because its unit would be a guess.
Result<Duration> parse_duration(std::string_view text);

// The shortest exact form for whole units ("10m"), else at most one decimal ("1.5s").
std::string to_text(Duration duration);

// For sentences: three digits at most where to_text would print many. "1.5s", "49ms", "2.3h".
std::string rounded_text(Duration duration);

}  // namespace tonnage
