// What the rows of the key tables are written with: row(), bounds of durations, and set(), which
// puts a parsed Value into the field that a row names.
#pragma once

#include <optional>
#include <type_traits>
#include <variant>

#include "config/key.h"

namespace tonnage {

// The field's type says which alternative it takes: integers and enumerations an integer, paths a
// string, everything else itself. A mismatch is a mistake in the table and found by its test.
template <typename Field>
void set(Field& field, const Value& value) {
  if constexpr (std::is_same_v<Field, bool>) {
    field = std::get<bool>(value);
  } else if constexpr (std::is_integral_v<Field> || std::is_enum_v<Field>) {
    field = static_cast<Field>(std::get<std::int64_t>(value));
  } else if constexpr (std::is_same_v<Field, std::filesystem::path>) {
    field = std::get<std::string>(value);
  } else {
    field = std::get<Field>(value);
  }
}

template <typename Field>
void set(std::optional<Field>& field, const Value& value) {
  if constexpr (std::is_same_v<Field, Duration>) {
    if (const auto* maybe = std::get_if<std::optional<Duration>>(&value)) {
      field = *maybe;
      return;
    }
  }
  set(field.emplace(), value);
}

using StoreValue = void (*)(KeyTarget&, const Value&);

constexpr KeySpec row(KeyScope scope, std::string_view path, ValueType type,
                      std::string_view fallback, std::string_view doc, StoreValue store) {
  return {scope, path, type, fallback, doc, store};
}

constexpr KeySpec row(std::string_view path, ValueType type, std::string_view fallback,
                      std::string_view doc, StoreValue store) {
  return row(KeyScope::global, path, type, fallback, doc, store);
}

// Durations are bounded in the unit in which they are stored.
constexpr std::int64_t us(Duration d) {
  return d.count();
}
inline constexpr std::int64_t kSecond = us(1s);
inline constexpr std::int64_t kDay = us(24h);

}  // namespace tonnage
