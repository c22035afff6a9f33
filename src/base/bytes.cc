#include "base/bytes.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "base/number.h"

namespace tonnage {
namespace {

struct SizeUnit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array kSizeUnits = {
    SizeUnit{"B", 1},
    SizeUnit{"KiB", kKiB},
    SizeUnit{"MiB", kMiB},
    SizeUnit{"GiB", kGiB},
    SizeUnit{"TiB", kGiB * 1024},
    SizeUnit{"KB", 1'000},
    SizeUnit{"kB", 1'000},
    SizeUnit{"MB", 1'000'000},
    SizeUnit{"GB", 1'000'000'000},
    SizeUnit{"TB", 1'000'000'000'000},
};

constexpr std::string_view kSizeRemedy = "write a number and a unit: 512MiB, 6GiB, 1.5GB";

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
  const auto quantity = split_quantity(text);
  if (!quantity) {
    return fail("not a memory size", "'" + std::string(text) + "'", quantity.error().why,
                std::string(kSizeRemedy));
  }
  if (quantity->unit.empty()) {
    if (quantity->number == 0)
      return Bytes{0};
    return fail("not a memory size", "'" + std::string(text) + "'", "the unit is missing",
                std::string(kSizeRemedy));
  }
  for (const SizeUnit& unit : kSizeUnits) {
    if (quantity->unit != unit.name)
      continue;
    const long double bytes = quantity->number * static_cast<long double>(unit.factor);
    if (bytes >= static_cast<long double>(std::numeric_limits<std::int64_t>::max())) {
      return fail("not a memory size", "'" + std::string(text) + "'", "it is out of range");
    }
    return Bytes(static_cast<std::int64_t>(std::llround(bytes)));
  }
  return fail("not a memory size", "'" + std::string(text) + "'",
              "unknown unit '" + std::string(quantity->unit) + "'", std::string(kSizeRemedy));
}

std::string to_text(Bytes bytes) {
  const bool negative = bytes.count < 0;
  const double amount = std::abs(static_cast<double>(bytes.count));
  std::array<char, 48> buffer{};
  const char* sign = negative ? "-" : "";
  if (amount >= static_cast<double>(kGiB)) {
    std::snprintf(buffer.data(), buffer.size(), "%s%.2f GiB", sign,
                  amount / static_cast<double>(kGiB));
  } else if (amount >= static_cast<double>(kMiB)) {
    std::snprintf(buffer.data(), buffer.size(), "%s%.0f MiB", sign,
                  amount / static_cast<double>(kMiB));
  } else if (amount >= static_cast<double>(kKiB)) {
    std::snprintf(buffer.data(), buffer.size(), "%s%.0f KiB", sign,
                  amount / static_cast<double>(kKiB));
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%s%.0f B", sign, amount);
  }
  return buffer.data();
}

}  // namespace tonnage
