#include "api/history_api.h"

namespace tonnage::api {
namespace {

constexpr Duration kSinceMax = 24h * 3650;
constexpr std::size_t kShownBytesMax = 60;

ApiResult<Duration> duration_of(const Route& route, std::string_view name, Duration fallback,
                                Duration most) {
  const std::string_view text = route.query_value(name);
  if (text.empty())
    return fallback;
  const auto parsed = parse_duration(text);
  const std::string given = "'" + std::string(text.substr(0, kShownBytesMax)) + "'";
  if (!parsed) {
    return deny(400, "invalid_parameter",
                std::string(name) + "=" + given + " is no duration: " + parsed.error().why +
                    "; write it as 30m, 12h or 7d.",
                std::string(name));
  }
  if (*parsed < 1s || *parsed > most) {
    return deny(
        400, "invalid_parameter",
        std::string(name) + "=" + given + " must be between 1s and " + tonnage::to_text(most) + ".",
        std::string(name));
  }
  return *parsed;
}

}  // namespace

ApiResult<HistoryOrder> read_history_order(const Route& route) {
  HistoryOrder order;
  const auto since = duration_of(route, "since", order.since, kSinceMax);
  if (!since)
    return std::unexpected(since.error());
  const auto step = duration_of(route, "step", order.step, kSinceMax);
  if (!step)
    return std::unexpected(step.error());
  order.since = *since;
  order.step = *step;
  order.model = route.query_value("model");
  return order;
}

}  // namespace tonnage::api
