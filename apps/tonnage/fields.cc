#include "tonnage/fields.h"

namespace tonnage {
namespace {

const Json* find(const Json& object, std::string_view name) {
  if (!object.is_object())
    return nullptr;
  const auto found = object.find(std::string(name));
  return found == object.end() ? nullptr : &*found;
}

std::optional<std::int64_t> integer(const Json& object, std::string_view name) {
  const Json* field = find(object, name);
  if (field == nullptr || !field->is_number_integer())
    return std::nullopt;
  return field->get<std::int64_t>();
}

}  // namespace

std::string text_field(const Json& object, std::string_view name) {
  const Json* field = find(object, name);
  return field != nullptr && field->is_string() ? field->get<std::string>() : std::string{};
}

bool flag_field(const Json& object, std::string_view name) {
  const Json* field = find(object, name);
  return field != nullptr && field->is_boolean() && field->get<bool>();
}

std::int64_t number_field(const Json& object, std::string_view name) {
  return integer(object, name).value_or(0);
}

std::optional<Bytes> bytes_field(const Json& object, std::string_view name) {
  const auto number = integer(object, name);
  return number ? std::optional(Bytes(*number)) : std::nullopt;
}

std::optional<Duration> duration_field(const Json& object, std::string_view name) {
  // Beyond this, milliseconds do not fit into a Duration.
  constexpr std::int64_t kMax = 9'000'000'000'000'000;
  const auto number = integer(object, name);
  if (!number || *number > kMax || *number < -kMax)
    return std::nullopt;
  return std::chrono::milliseconds(*number);
}

Json object_field(const Json& object, std::string_view name) {
  const Json* field = find(object, name);
  return field != nullptr && field->is_object() ? *field : Json::object();
}

Json list_field(const Json& object, std::string_view name) {
  const Json* field = find(object, name);
  return field != nullptr && field->is_array() ? *field : Json::array();
}

}  // namespace tonnage
