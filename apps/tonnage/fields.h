// Reading the daemon's JSON without trusting it: a field that is missing or of another type is its
// fallback.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/tick.h"
#include "tonnage/client.h"

namespace tonnage {

std::string text_field(const Json& object, std::string_view name);
bool flag_field(const Json& object, std::string_view name);
std::int64_t number_field(const Json& object, std::string_view name);
std::optional<Bytes> bytes_field(const Json& object, std::string_view name);
// Of a field in milliseconds.
std::optional<Duration> duration_field(const Json& object, std::string_view name);
// An object or an array; empty where there is none.
Json object_field(const Json& object, std::string_view name);
Json list_field(const Json& object, std::string_view name);

}  // namespace tonnage
