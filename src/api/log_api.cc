#include "api/log_api.h"

#include <algorithm>

#include "api/json_shapes.h"

namespace tonnage::api {
namespace {

constexpr const char* kWanted =
    R"(send {"level": "debug"}, with one of debug, info, warn or error)";

std::unexpected<ApiError> wrong(std::string code, const std::string& what, std::string param) {
  return deny(400, std::move(code), what + "; " + kWanted + ".", std::move(param));
}

}  // namespace

std::string log_json(std::string_view level, std::string_view format) {
  return dump({{"level", level}, {"format", format}});
}

ApiResult<std::string_view> read_log_level(std::string_view body) {
  const OrderedJson order = OrderedJson::parse(body, nullptr, false);
  if (order.is_discarded())
    return wrong("invalid_json", "The body is not JSON", {});
  if (!order.is_object())
    return wrong("invalid_json", "The body is not a JSON object", {});
  for (const auto& [name, value] : order.items()) {
    if (name != "level")
      return wrong("unknown_field", "There is no field '" + name.substr(0, 60) + "'", "level");
  }
  const auto given = order.find("level");
  if (given == order.end())
    return wrong("missing_level", "The field 'level' is missing", "level");
  const auto known = std::ranges::find_if(kLogLevels, [&](auto name) { return *given == name; });
  if (known == kLogLevels.end())
    return wrong("invalid_level", dump(*given).substr(0, 60) + " is not a level", "level");
  return *known;
}

}  // namespace tonnage::api
