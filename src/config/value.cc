#include "config/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/number.h"
#include "base/text.h"

namespace tonnage {
namespace {

using Parsed = std::expected<Value, std::string>;

// A list of settings is short; a longer one is a mistake or an attack.
constexpr std::size_t kListMax = 1'000;
constexpr std::size_t kTextBytesMax = 4'096;

// A bound in the form in which the user writes such a value.
std::string bound_text(ValueType type, std::int64_t bound) {
  switch (type) {
    case ValueType::bytes:
      return to_text(Bytes{bound});
    case ValueType::percent:
      return std::to_string(bound / 10) + "." + std::to_string(bound % 10) + "%";
    case ValueType::duration:
    case ValueType::duration_or_never:
      return to_text(Duration{bound});
    default:
      return std::to_string(bound);
  }
}

std::optional<std::string> out_of_bounds(const KeySpec& spec, std::string_view text,
                                         std::int64_t value) {
  if (spec.min && value < *spec.min) {
    return in_quotes(text) + " is too small; the least is " + bound_text(spec.type, *spec.min);
  }
  if (spec.max && value > *spec.max) {
    return in_quotes(text) + " is too large; the most is " + bound_text(spec.type, *spec.max);
  }
  return std::nullopt;
}

// "'5' is not a duration: the unit is missing; write ..." out of an Error of base.
std::string sentence(const Error& error) {
  std::string out = error.object.empty() ? error.what : error.object + " is " + error.what;
  if (!error.why.empty())
    out += ": " + error.why;
  if (!error.remedy.empty())
    out += "; " + error.remedy;
  return out;
}

Parsed parse_boolean(std::string_view text) {
  // The YAML 1.1 words and the numbers of environment variables as well: people write them.
  if (text == "true" || text == "yes" || text == "on" || text == "1")
    return Value(true);
  if (text == "false" || text == "no" || text == "off" || text == "0")
    return Value(false);
  return std::unexpected(in_quotes(text) + " is not a yes or no; write true or false");
}

Parsed parse_integer(const KeySpec& spec, std::string_view text) {
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) {
    return std::unexpected(in_quotes(text) + " is not a whole number");
  }
  if (const auto problem = out_of_bounds(spec, text, number))
    return std::unexpected(*problem);
  return Value(number);
}

std::string join_choices(std::span<const std::string_view> choices) {
  std::string out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i > 0)
      out += i + 1 == choices.size() ? " or " : ", ";
    out += choices[i];
  }
  return out;
}

Parsed parse_choice(const KeySpec& spec, std::string_view text) {
  const auto found = std::ranges::find(spec.choices, text);
  if (found == spec.choices.end()) {
    const std::vector<std::string> names(spec.choices.begin(), spec.choices.end());
    const std::string hint = did_you_mean(text, names);
    return std::unexpected(in_quotes(text) + " is not one of " + join_choices(spec.choices) + hint);
  }
  return Value(static_cast<std::int64_t>(found - spec.choices.begin()));
}

// A quantity with bounds; `count` takes the number that the bounds are about.
template <typename T, typename Count>
Parsed bounded(const KeySpec& spec, std::string_view text, const Result<T>& result, Count count) {
  if (!result)
    return std::unexpected(sentence(result.error()));
  if (const auto problem = out_of_bounds(spec, text, count(*result))) {
    return std::unexpected(*problem);
  }
  if (spec.type == ValueType::duration_or_never) {
    if constexpr (std::is_same_v<T, Duration>)
      return Value(std::optional<Duration>(*result));
  }
  return Value(*result);
}

Parsed parse_scalar(const KeySpec& spec, std::string_view text, const PathBase& paths) {
  switch (spec.type) {
    case ValueType::boolean:
      return parse_boolean(text);
    case ValueType::integer:
      return parse_integer(spec, text);
    case ValueType::bytes:
      return bounded(spec, text, parse_bytes(text), [](Bytes b) { return b.count; });
    case ValueType::percent:
      return bounded(spec, text, parse_percent(text), [](std::int64_t p) { return p; });
    case ValueType::duration_or_never:
      if (text == "never" || text == "off")
        return Value(std::optional<Duration>{});
      [[fallthrough]];
    case ValueType::duration:
      return bounded(spec, text, parse_duration(text), [](Duration d) { return d.count(); });
    case ValueType::reserve: {
      const auto reserve = parse_reserve(text);
      if (!reserve)
        return std::unexpected(sentence(reserve.error()));
      return Value(*reserve);
    }
    case ValueType::listen: {
      auto listen = parse_listen(text);
      if (!listen)
        return std::unexpected(sentence(listen.error()));
      return Value(std::vector{*std::move(listen)});
    }
    case ValueType::choice:
    case ValueType::pressure:
      return parse_choice(spec, text);
    case ValueType::path: {
      const auto path = parse_path(text, paths);
      if (!path)
        return std::unexpected(sentence(path.error()));
      return Value(path->string());
    }
    default:
      return Value(std::string(text));
  }
}

Parsed parse_list(const KeySpec& spec, const Node& node) {
  if (node.items.size() > kListMax) {
    return std::unexpected("a list of more than " + std::to_string(kListMax) + " entries");
  }
  TextList list;
  for (const Node& item : node.items) {
    if (item.kind != Node::Kind::scalar) {
      return std::unexpected("entry " + std::to_string(list.size() + 1) + " of the list is " +
                             describe(item) + ", but a text is wanted");
    }
    if (item.text.size() > kTextBytesMax)
      return std::unexpected("a text of more than 4 KiB");
    if (!spec.choices.empty() && std::ranges::find(spec.choices, item.text) == spec.choices.end()) {
      const std::vector<std::string> names(spec.choices.begin(), spec.choices.end());
      return std::unexpected(in_quotes(item.text) + " is not one of " + wanted(spec) +
                             did_you_mean(item.text, names));
    }
    list.push_back(item.text);
  }
  return Value(std::move(list));
}

Parsed parse_path_list(const KeySpec& spec, const Node& node, const PathBase& paths) {
  auto list = parse_list(spec, node);
  if (!list)
    return list;
  for (std::string& text : std::get<TextList>(*list)) {
    const auto path = parse_path(text, paths);
    if (!path)
      return std::unexpected(sentence(path.error()));
    text = path->string();
  }
  return list;
}

Parsed parse_map(const Node& node) {
  if (node.entries.size() > kListMax) {
    return std::unexpected("a map of more than " + std::to_string(kListMax) + " entries");
  }
  TextMap map;
  for (const NodeEntry& entry : node.entries) {
    if (entry.key.kind != Node::Kind::scalar || entry.key.text.empty() ||
        entry.key.text.find('=') != std::string::npos) {
      return std::unexpected(describe(entry.key) + " is not the name of a variable");
    }
    if (entry.value.kind != Node::Kind::scalar) {
      return std::unexpected("the value of " + in_quotes(entry.key.text) + " is " +
                             describe(entry.value) + ", but a text is wanted");
    }
    for (const auto& [name, value] : map) {
      if (name == entry.key.text)
        return std::unexpected(in_quotes(name) + " is set twice");
    }
    map.emplace_back(entry.key.text, entry.value.text);
  }
  return Value(std::move(map));
}

bool is_list(ValueType type) {
  return type == ValueType::text_list || type == ValueType::path_list ||
         type == ValueType::api_keys || type == ValueType::ladder || type == ValueType::levels ||
         type == ValueType::actions;
}

bool is_map(ValueType type) {
  return type == ValueType::text_map || type == ValueType::models || type == ValueType::defaults ||
         type == ValueType::devices;
}

}  // namespace

std::string wanted(const KeySpec& spec) {
  switch (spec.type) {
    case ValueType::boolean:
      return "true or false";
    case ValueType::integer:
      return "a whole number";
    case ValueType::bytes:
      return "a size such as 6GiB";
    case ValueType::percent:
      return "a percentage such as 80%";
    case ValueType::duration:
      return "a duration such as 30s";
    case ValueType::duration_or_never:
      return "a duration such as 30s, or never";
    case ValueType::reserve:
      return "a reserve such as 20%, 8GiB or min(20%, 8GiB)";
    case ValueType::choice:
      return join_choices(spec.choices);
    case ValueType::listen:
      return "an address and port such as 127.0.0.1:8726, or a list of them";
    case ValueType::text:
    case ValueType::secret:
      return "a text";
    case ValueType::path:
      return "a path";
    case ValueType::path_list:
      return "a list of paths";
    case ValueType::text_list:
      return spec.choices.empty() ? "a list of texts" : join_choices(spec.choices);
    case ValueType::text_map:
      return "a map of texts";
    case ValueType::defaults:
      return "a map of model keys";
    case ValueType::models:
      return "a map from model ids to their keys";
    case ValueType::api_keys:
      return "a list of keys, each a map";
    case ValueType::ladder:
      return "a list of steps, each a map";
    case ValueType::pressure:
      return join_choices(spec.choices) + ", a list of levels, or a map";
    case ValueType::levels:
      return "a list of levels, each a map";
    case ValueType::actions:
      return "a list of actions";
    case ValueType::devices:
      return "a map from devices to their keys";
  }
  return "";
}

namespace {

std::expected<Value, std::string> parse_listens(const Node& node) {
  std::vector<Listen> all;
  for (const Node& item : node.items) {
    if (item.kind != Node::Kind::scalar)
      return std::unexpected(describe(item) + " is given, but an address and port is wanted");
    auto listen = parse_listen(trim(item.text));
    if (!listen)
      return std::unexpected(sentence(listen.error()));
    all.push_back(*std::move(listen));
  }
  if (all.empty())
    return std::unexpected("the list is empty; name at least one address");
  return Value(std::move(all));
}

}  // namespace

std::expected<Value, std::string> parse_value(const KeySpec& spec, const Node& node,
                                              const PathBase& paths) {
  if (spec.type == ValueType::listen && node.kind == Node::Kind::list)
    return parse_listens(node);
  const Node::Kind kind = is_list(spec.type)  ? Node::Kind::list
                          : is_map(spec.type) ? Node::Kind::map
                                              : Node::Kind::scalar;
  if (node.kind != kind) {
    const std::string found = spec.type == ValueType::secret && node.kind == Node::Kind::scalar
                                  ? "something else"
                                  : describe(node);
    const std::string want = spec.type == ValueType::text_list ? "a list of texts" : wanted(spec);
    return std::unexpected(found + " is given, but " + want + " is wanted");
  }
  if (spec.type == ValueType::text_list)
    return parse_list(spec, node);
  if (spec.type == ValueType::path_list)
    return parse_path_list(spec, node, paths);
  if (spec.type == ValueType::text_map)
    return parse_map(node);
  if (node.text.size() > kTextBytesMax)
    return std::unexpected("a text of more than 4 KiB");
  if (spec.type == ValueType::secret || spec.type == ValueType::text)
    return Value(node.text);
  return parse_scalar(spec, trim(node.text), paths);
}

Result<std::int64_t> parse_percent(std::string_view text) {
  const auto quantity = split_quantity(text);
  const std::string object = in_quotes(text);
  if (!quantity)
    return fail("not a percentage", object, quantity.error().why, "write 80%");
  if (quantity->unit != "%") {
    return fail("not a percentage", object, "the % sign is missing", "write 80%");
  }
  if (quantity->number > 100)
    return fail("not a percentage", object, "it is more than 100%");
  return static_cast<std::int64_t>(std::llround(quantity->number * 10));
}

Result<std::int64_t> parse_fraction(std::string_view text) {
  const auto quantity = split_quantity(text);
  const std::string object = in_quotes(text);
  if (!quantity)
    return fail("not a fraction", object, quantity.error().why, "write 0.20 or 20%");
  if (quantity->unit == "%")
    return parse_percent(text);
  if (!quantity->unit.empty() || quantity->number > 1) {
    return fail("not a fraction", object, "it is not between 0 and 1", "write 0.20 or 20%");
  }
  return static_cast<std::int64_t>(std::llround(quantity->number * 1000));
}

Result<Reserve> parse_reserve(std::string_view text) {
  const std::string object = in_quotes(text);
  const std::string remedy = "write 20%, 8GiB, or min(20%, 8GiB)";
  const auto wrong = [&](std::string why) { return fail("not a reserve", object, why, remedy); };

  std::vector<std::string_view> parts;
  std::string_view rest = trim(text);
  if (rest.starts_with("min(")) {
    if (!rest.ends_with(')'))
      return wrong("the closing bracket is missing");
    rest = rest.substr(4, rest.size() - 5);
    const std::size_t comma = rest.find(',');
    if (comma == std::string_view::npos)
      return wrong("min() takes a percentage and a size");
    parts = {trim(rest.substr(0, comma)), trim(rest.substr(comma + 1))};
  } else {
    parts = {rest};
  }

  Reserve reserve;
  for (const std::string_view part : parts) {
    if (part.ends_with('%')) {
      const auto percent = parse_percent(part);
      if (!percent)
        return wrong(in_quotes(part) + " is " + percent.error().what + ", " + percent.error().why);
      if (*percent == 1000)
        return wrong("100% leaves nothing for models");
      if (reserve.permille)
        return wrong("two percentages");
      reserve.permille = *percent;
    } else {
      const auto size = parse_bytes(part);
      if (!size)
        return wrong(in_quotes(part) + " is " + size.error().what + ", " + size.error().why);
      if (reserve.size)
        return wrong("two sizes");
      reserve.size = *size;
    }
  }
  return reserve;
}

Result<std::filesystem::path> parse_path(std::string_view text, const PathBase& paths) {
  const auto wrong = [&](std::string why, std::string remedy) {
    return fail("not a usable path", in_quotes(text), std::move(why), std::move(remedy));
  };
  if (text.empty())
    return wrong("it is empty", "name a file");
  std::filesystem::path path{text};
  if (text == "~" || text.starts_with("~/")) {
    if (paths.home.empty())
      return wrong("HOME is not set", "write the whole path");
    path = paths.home / (text.size() > 2 ? text.substr(2) : std::string_view{});
  } else if (text.starts_with('~')) {
    return wrong("only ~/ is expanded", "write the whole path");
  } else if (path.is_relative()) {
    if (paths.folder.empty())
      return wrong("it is relative to nothing", "write the whole path");
    path = paths.folder / path;
  }
  return path.lexically_normal();
}

}  // namespace tonnage
