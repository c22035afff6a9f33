// JsonWriter: values of the core as JSON text, appended to a string. The hot path of the recorder:
// no allocation but the string's own growth.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/tick.h"
#include "journal/fields.h"

namespace tonnage::journal {

template <typename T>
inline constexpr bool is_id = false;
template <typename Tag, typename Rep>
inline constexpr bool is_id<Id<Tag, Rep>> = true;
template <typename T, typename M>
inline constexpr bool names_somebody = Alternative<T> && is_id<M>;

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  void raw(std::string_view text) { out_ += text; }

  // `"name":value`, after a comma where something stands before it.
  template <typename T>
  void member(std::string_view name, const T& value) {
    comma();
    out_ += '"';
    out_ += name;
    out_ += "\":";
    put(value);
  }

  template <Described T>
  void members(const T& value) {
    std::apply([&](const auto&... field) { (member_unless_default(value, field), ...); },
               Fields<T>::kList);
  }

  void put(bool value) { out_ += value ? "true" : "false"; }
  template <std::integral I>
  void put(I value) {
    std::array<char, 24> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    out_.append(buffer.data(), end);
  }
  void put(std::string_view text);
  void put(const std::string& text) { put(std::string_view(text)); }
  void put(Bytes bytes) { put(bytes.count); }
  void put(Duration duration) { put(duration.count()); }
  void put(Tick tick) { put(tick.time_since_epoch()); }
  void put(const Usage& usage) { put(usage.memories()); }

  template <typename Tag, typename Rep>
  void put(Id<Tag, Rep> id) {
    put(id.value);
  }
  template <typename E>
    requires(kValues<E> > 0)
  void put(E value) {
    put(to_text(value));
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    if (value) {
      put(*value);
    } else {
      out_ += "null";
    }
  }
  template <typename T>
  void put(const std::vector<T>& values) {
    put_all(values);
  }
  template <typename T>
  void put(const std::set<T>& values) {
    put_all(values);
  }
  template <typename T, std::size_t N>
  void put(const std::array<T, N>& values) {
    put_all(values);
  }
  // Keys are ids, and JSON's own are texts: a list of pairs.
  template <typename K, typename T>
  void put(const std::map<K, T>& values) {
    put_all(values);
  }
  template <typename A, typename B>
  void put(const std::pair<A, B>& pair) {
    out_ += '[';
    put(pair.first);
    out_ += ',';
    put(pair.second);
    out_ += ']';
  }
  template <Described T>
  void put(const T& value) {
    out_ += '{';
    if constexpr (Alternative<T>)
      member("type", Fields<T>::kType);
    members(value);
    out_ += '}';
  }

 private:
  void comma() {
    if (!out_.empty() && out_.back() != '{')
      out_ += ',';
  }

  template <typename T, typename M>
  void member_unless_default(const T& value, const Field<T, M>& field) {
    static const T fresh{};
    // Whom an event or an action is about is always said, number zero included.
    if (names_somebody<T, M> || !(value.*field.member == fresh.*field.member))
      member(field.name, value.*field.member);
  }

  template <typename Range>
  void put_all(const Range& values) {
    out_ += '[';
    bool first = true;
    for (const auto& value : values) {
      if (!first)
        out_ += ',';
      first = false;
      put(value);
    }
    out_ += ']';
  }

  std::string& out_;
};

}  // namespace tonnage::journal
