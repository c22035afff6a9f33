#include "base/tick.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "base/number.h"

namespace tonnage {
namespace {

struct TimeUnit {
  std::string_view name;
  std::int64_t us;
};

constexpr std::array kTimeUnits = {
    TimeUnit{"d", 86'400'000'000}, TimeUnit{"h", 3'600'000'000}, TimeUnit{"m", 60'000'000},
    TimeUnit{"s", 1'000'000},      TimeUnit{"ms", 1'000},        TimeUnit{"us", 1},
};

constexpr std::string_view kTimeRemedy = "write a number and a unit: 500ms, 30s, 10m, 12h";

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const std::string object = "'" + std::string(text) + "'";
  const auto quantity = split_quantity(text);
  if (!quantity) {
    return fail("not a duration", object, quantity.error().why, std::string(kTimeRemedy));
  }
  if (quantity->unit.empty()) {
    if (quantity->number == 0)
      return Duration{0};
    return fail("not a duration", object, "the unit is missing", std::string(kTimeRemedy));
  }
  for (const TimeUnit& unit : kTimeUnits) {
    if (quantity->unit != unit.name)
      continue;
    const long double us = quantity->number * static_cast<long double>(unit.us);
    // 10,000 years: far beyond any use, far below overflow when added to a Tick.
    if (us > 3.2e17L)
      return fail("not a duration", object, "it is out of range");
    return Duration{std::llround(us)};
  }
  return fail("not a duration", object, "unknown unit '" + std::string(quantity->unit) + "'",
              std::string(kTimeRemedy));
}

std::string to_text(Duration duration) {
  std::int64_t us = duration.count();
  const std::string sign = us < 0 ? "-" : "";
  if (us < 0)
    us = -us;
  if (us == 0)
    return "0s";
  for (const TimeUnit& unit : kTimeUnits) {
    if (us >= unit.us && us % unit.us == 0) {
      return sign + std::to_string(us / unit.us) + std::string(unit.name);
    }
  }
  for (const TimeUnit& unit : kTimeUnits) {
    if (us < unit.us)
      continue;
    std::array<char, 48> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%s%.1f%.*s", sign.c_str(),
                  static_cast<double>(us) / static_cast<double>(unit.us),
                  static_cast<int>(unit.name.size()), unit.name.data());
    return buffer.data();
  }
  return "0s";
}

std::string rounded_text(Duration duration) {
  const std::int64_t us = duration.count() < 0 ? -duration.count() : duration.count();
  // Below ten of a unit one decimal says enough; below two the next smaller unit says more.
  for (const TimeUnit& unit : kTimeUnits) {
    if (us < unit.us * (unit.us > 1'000'000 ? 2 : 1))
      continue;
    const std::int64_t tenths = (us * 10 + unit.us / 2) / unit.us;
    const bool whole = tenths >= 100 || tenths % 10 == 0;
    std::string text = duration.count() < 0 ? "-" : "";
    text += std::to_string(whole ? (tenths + 5) / 10 : tenths / 10);
    if (!whole)
      text += "." + std::to_string(tenths % 10);
    return text.append(unit.name);
  }
  return "0s";
}

}  // namespace tonnage
