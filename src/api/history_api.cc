#include "api/history_api.h"

#include <algorithm>

#include "api/json_shapes.h"

namespace tonnage::api {
namespace {

constexpr Duration kSinceMax = 24h * 3650;
constexpr std::size_t kShownBytesMax = 60;

ApiResult<Duration> duration_of(const Route& route, std::string_view name, Duration fallback,
                                Duration most) {
  const std::string_view text = route.query_value(name);
  const bool given_at_all = std::ranges::any_of(
      route.query, [name](const auto& pair) { return std::string_view(pair.first) == name; });
  if (!given_at_all)
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

std::string history_for(std::string json, const Caller& caller) {
  if (caller.rule == nullptr || caller.rule->models.empty())
    return json;
  OrderedJson history = OrderedJson::parse(json, nullptr, false);
  if (!history.is_object())
    return json;
  for (OrderedJson& row : history["data"]) {
    OrderedJson own = OrderedJson::array();
    for (OrderedJson& model : row["models"]) {
      if (caller.may_use(model["model"].get<std::string>()))
        own.push_back(std::move(model));
    }
    row["models"] = std::move(own);
  }
  return dump(history);
}

}  // namespace tonnage::api
