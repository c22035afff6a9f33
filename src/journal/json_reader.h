// JsonReader: JSON values into values of the core. The first thing that does not fit is remembered
// with the path to it, and everything after it is left alone.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/tick.h"
#include "journal/fields.h"

namespace tonnage::journal {

class JsonReader {
 public:
  using Json = nlohmann::json;

  bool ok() const { return problem_.empty(); }
  // "event.model: a number is wanted"
  const std::string& problem() const { return problem_; }

  template <Described T>
  void get(const Json& json, T& value) {
    if (!json.is_object())
      return complain("an object is wanted");
    std::apply([&](const auto&... field) { (get_member(json, value, field), ...); },
               Fields<T>::kList);
    check_names<T>(json);
  }

  void get(const Json& json, bool& value) {
    if (!json.is_boolean())
      return complain("true or false is wanted");
    value = json.get<bool>();
  }
  template <std::integral I>
  void get(const Json& json, I& value) {
    if (json.is_number_unsigned()) {
      const auto wide = json.get<std::uint64_t>();
      if (!std::in_range<I>(wide))
        return complain("the number is too large");
      value = static_cast<I>(wide);
    } else if (json.is_number_integer()) {
      const auto wide = json.get<std::int64_t>();
      if (!std::in_range<I>(wide))
        return complain("the number is out of range");
      value = static_cast<I>(wide);
    } else {
      complain("a whole number is wanted");
    }
  }
  void get(const Json& json, std::string& value) {
    if (!json.is_string())
      return complain("a text is wanted");
    value = json.get_ref<const std::string&>();
  }
  void get(const Json& json, Bytes& value) { get(json, value.count); }
  void get(const Json& json, Duration& value) {
    std::int64_t us = 0;
    get(json, us);
    value = Duration{us};
  }
  void get(const Json& json, Tick& value) {
    Duration since{};
    get(json, since);
    value = Tick{since};
  }
  void get(const Json& json, Usage& value) {
    Usage::Memories memories{};
    get(json, memories);
    value = Usage(memories);
  }
  template <typename Tag, typename Rep>
  void get(const Json& json, Id<Tag, Rep>& value) {
    get(json, value.value);
  }
  template <typename E>
    requires(kValues<E> > 0)
  void get(const Json& json, E& value) {
    std::string name;
    get(json, name);
    for (int i = 0; i < kValues<E>; ++i) {
      if (to_text(static_cast<E>(i)) == name) {
        value = static_cast<E>(i);
        return;
      }
    }
    complain("'" + name + "' is not known");
  }
  template <typename T>
  void get(const Json& json, std::optional<T>& value) {
    value.reset();
    if (!json.is_null())
      get(json, value.emplace());
  }
  template <typename T>
  void get(const Json& json, std::vector<T>& values) {
    values.clear();
    each(json, [&](const Json& item) { get(item, values.emplace_back()); });
  }
  template <typename T>
  void get(const Json& json, std::set<T>& values) {
    values.clear();
    each(json, [&](const Json& item) {
      T value{};
      get(item, value);
      values.insert(std::move(value));
    });
  }
  template <typename T, std::size_t N>
  void get(const Json& json, std::array<T, N>& values) {
    if (!json.is_array() || json.size() != N)
      return complain(std::to_string(N) + " values are wanted");
    std::size_t i = 0;
    each(json, [&](const Json& item) { get(item, values[i++]); });
  }
  template <typename K, typename T>
  void get(const Json& json, std::map<K, T>& values) {
    values.clear();
    each(json, [&](const Json& item) {
      if (!item.is_array() || item.size() != 2)
        return complain("a pair is wanted");
      K key{};
      get(item[0], key);
      get(item[1], values[key]);
    });
  }

  // An alternative of `Variant` by its "type".
  template <typename Variant>
  void get_alternative(const Json& json, Variant& value) {
    if (!json.is_object() || !json.contains("type") || !json["type"].is_string())
      return complain("an object with a type is wanted");
    const auto& type = json["type"].get_ref<const std::string&>();
    if (!find_type<0>(json, type, value))
      complain("the type '" + type + "' is not known");
  }

  template <typename T>
  void get_at(const Json& json, std::string_view name, T& value) {
    if (!ok())
      return;
    const auto found = json.find(name);
    const Path path(*this, name);
    if (found == json.end())
      return complain("it is missing");
    get(*found, value);
  }

  void complain(const std::string& what) {
    if (!ok())
      return;
    problem_ = path_.empty() ? what : path_ + ": " + what;
  }

  // Where the reader is, for its complaints.
  class Path {
   public:
    Path(JsonReader& reader, std::string_view name) : reader_(reader), size_(reader.path_.size()) {
      if (size_ > 0)
        reader.path_ += '.';
      reader.path_ += name;
    }
    ~Path() { reader_.path_.resize(size_); }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;

   private:
    JsonReader& reader_;
    std::size_t size_;
  };

 private:
  template <typename T, typename M>
  void get_member(const Json& json, T& value, const Field<T, M>& field) {
    if (!ok())
      return;
    const auto found = json.find(field.name);
    if (found == json.end())
      return;  // its default
    const Path path(*this, field.name);
    get(*found, value.*field.member);
  }

  // What nobody reads is not understood, and to leave it out could change what happened.
  template <typename T>
  void check_names(const Json& json) {
    for (const auto& [name, item] : json.items()) {
      if (Alternative<T> && name == "type")
        continue;
      const bool known = std::apply(
          [&](const auto&... field) { return ((field.name == name) || ...); }, Fields<T>::kList);
      if (!known)
        return complain("the field '" + name + "' is not known");
    }
  }

  template <typename Take>
  void each(const Json& json, Take take) {
    if (!json.is_array())
      return complain("a list is wanted");
    std::size_t i = 0;
    for (const Json& item : json) {
      if (!ok())
        return;
      const Path path(*this, std::to_string(i++));
      take(item);
    }
  }

  template <std::size_t I, typename Variant>
  bool find_type(const Json& json, std::string_view type, Variant& value) {
    if constexpr (I < std::variant_size_v<Variant>) {
      using T = std::variant_alternative_t<I, Variant>;
      if (Fields<T>::kType != type)
        return find_type<I + 1>(json, type, value);
      T read{};
      get(json, read);
      value = std::move(read);
      return true;
    } else {
      return false;
    }
  }

  std::string problem_;
  std::string path_;
};

}  // namespace tonnage::journal
