#include "api/list_range.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace tonnage::api {
namespace {

// The parameter's number; `fallback` where it is not given.
ApiResult<std::uint64_t> whole_number(const Route& route, std::string_view name,
                                      std::uint64_t fallback) {
  const auto given = std::ranges::count(
      route.query, name, [](const auto& pair) { return std::string_view(pair.first); });
  if (given == 0)
    return fallback;
  const std::string_view text = route.query_value(name);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (given > 1 || error != std::errc{} || end != text.data() + text.size()) {
    return deny(400, "invalid_parameter",
                std::string(name) + " must be one whole number, 0 or more.", std::string(name));
  }
  return value;
}

}  // namespace

ApiResult<ListRange> read_range(const Route& route, std::size_t fallback, std::size_t most) {
  const auto after = whole_number(route, "after", 0);
  if (!after)
    return std::unexpected(after.error());
  const auto limit = whole_number(route, "limit", fallback);
  if (!limit)
    return std::unexpected(limit.error());
  const std::string_view follow = route.query_value("follow");
  if (!follow.empty() && follow != "0" && follow != "1")
    return deny(400, "invalid_parameter", "follow must be 0 or 1.", "follow");
  return ListRange{*after, std::min<std::size_t>(*limit, most)};
}

}  // namespace tonnage::api
