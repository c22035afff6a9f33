#include "config/reader.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "config/other_names.h"

namespace tonnage {
namespace {

// What a listing of settings shows; secrets stay secret.
std::string shown(const KeySpec& spec, const Node& node) {
  if (spec.type == ValueType::secret)
    return "(hidden)";
  if (node.kind == Node::Kind::scalar)
    return node.text;
  std::string out;
  for (const Node& item : node.items)
    out += (out.empty() ? "" : ", ") + item.text;
  if (node.kind == Node::Kind::list)
    return "[" + out + "]";
  for (const NodeEntry& entry : node.entries) {
    // The values of environment variables may be secrets too.
    out += (out.empty() ? "" : ", ") + entry.key.text;
  }
  return "{" + out + "}";
}

bool in_scope(const KeySpec& spec, const MapPlace& place) {
  return spec.scope == place.scope && (!place.only_inherited || spec.inherited);
}

// The names that may stand in this map, in the order of the table.
std::vector<std::string> names_at(const MapPlace& place) {
  std::vector<std::string> names;
  for (const KeySpec& spec : key_table()) {
    for (const std::string_view path : {spec.path, spec.also}) {
      if (!in_scope(spec, place) || path.empty() || !path.starts_with(place.prefix))
        continue;
      const std::string_view rest = path.substr(place.prefix.size());
      const std::string name{rest.substr(0, rest.find('.'))};
      if (std::ranges::find(names, name) == names.end())
        names.push_back(name);
    }
  }
  return names;
}

// A hint for a key that is known in another map: wrong indentation is a common mistake.
std::string elsewhere(std::string_view name, const MapPlace& place) {
  for (const KeySpec& spec : key_table()) {
    const std::size_t dot = spec.path.rfind('.');
    const bool nested = dot != std::string_view::npos;
    if ((nested ? spec.path.substr(dot + 1) : spec.path) != name)
      continue;
    if (spec.scope == KeyScope::global) {
      return nested ? "; did you mean '" + std::string(spec.path) + "'?"
                    : "; it belongs at the top level";
    }
    if (spec.scope == KeyScope::model && (place.scope != KeyScope::model || place.only_inherited)) {
      return "; it belongs to a model: 'models.ID." + std::string(spec.path) + "'";
    }
  }
  return {};
}

// A hint for a key that another program has, or ours written as a flag.
std::string by_other_name(std::string_view key, const MapPlace& place) {
  const bool top = place.scope == KeyScope::global && place.prefix.empty();
  const bool of_model = place.scope == KeyScope::model || place.scope == KeyScope::step;
  if (!top && !of_model && place.scope != KeyScope::global)
    return {};
  std::string key_path(top ? global_key_named(key) : std::string_view{});
  if (key_path.empty()) {
    key_path = model_key_named(key);
    if (!key_path.empty() && !of_model)
      key_path.insert(0, "models.ID.");
  }
  if (key_path.empty()) {
    const auto names = names_at(place);
    const auto ours = std::ranges::find(names, plain_name(key));
    if (ours != names.end())
      key_path = *ours;
  }
  return key_path.empty() ? "" : "; did you mean '" + key_path + "'?";
}

// "budgets.gpu0" is what people try first.
std::string single_device(const std::string& path) {
  constexpr std::string_view kPrefix = "budgets.gpu";
  if (!path.starts_with(kPrefix) || path.size() == kPrefix.size() ||
      path.find_first_not_of("0123456789", kPrefix.size()) != std::string::npos)
    return {};
  return "; budgets of single GPUs are 'budgets: {devices: {gpu" + path.substr(kPrefix.size()) +
         ": {...}}}'";
}

const KeySpec* find_spec(const MapPlace& place, std::string_view path) {
  for (const KeySpec& spec : key_table()) {
    if (in_scope(spec, place) && (spec.path == path || (!path.empty() && spec.also == path))) {
      return &spec;
    }
  }
  return nullptr;
}

bool is_section(const MapPlace& place, const std::string& path) {
  return std::ranges::any_of(key_table(), [&](const KeySpec& spec) {
    return in_scope(spec, place) && spec.path.starts_with(path + ".");
  });
}

const PlannedKey* find_planned(KeyScope scope, std::string_view path) {
  for (const PlannedKey& key : planned_keys()) {
    if (key.scope == scope && key.path == path)
      return &key;
  }
  return nullptr;
}

}  // namespace

std::string in_place(const std::string& name) {
  return name.empty() ? "at the top level" : "in " + name;
}

Origin KeyReader::origin(const Node& node, const Node& fallback) const {
  // The parser puts "nothing" where the next thing begins.
  const Node& positioned = node.kind != Node::Kind::null && node.line > 0 ? node : fallback;
  return {file_name_, positioned.line, positioned.column};
}

std::vector<NestedNode> KeyReader::read(const Node& map, const MapPlace& place, KeyTarget& target) {
  std::vector<NestedNode> nested;
  Seen seen;
  read_into(map, place, target, nested, seen);
  return nested;
}

void KeyReader::read_into(const Node& map, const MapPlace& place, KeyTarget& target,
                          std::vector<NestedNode>& nested, Seen& seen) {
  std::map<std::string, const Node*, std::less<>> names;
  for (const NodeEntry& entry : map.entries) {
    if (entry.key.kind != Node::Kind::scalar) {
      problems_.add(origin(entry.key, map),
                    describe(entry.key) + " is not a key " + in_place(place.name));
      continue;
    }
    const auto [first, fresh] = names.try_emplace(entry.key.text, &entry.key);
    if (!fresh) {
      problems_.add(origin(entry.key, map),
                    "duplicate key " + in_quotes(entry.key.text) + " " + in_place(place.name) +
                        "; it is already set on line " + std::to_string(first->second->line));
      continue;
    }
    read_entry(entry, place, target, nested, seen);
  }
}

void KeyReader::read_entry(const NodeEntry& entry, const MapPlace& place, KeyTarget& target,
                           std::vector<NestedNode>& nested, Seen& seen) {
  const std::string path = place.prefix + entry.key.text;
  const std::string full = place.name.empty() ? entry.key.text : place.name + "." + entry.key.text;
  const Origin where = origin(entry.value, entry.key);

  const KeySpec* spec = find_spec(place, path);
  // `pressure` is a value, a list and a section.
  if (spec != nullptr && spec->type == ValueType::pressure && spec->path == path &&
      entry.value.kind == Node::Kind::map) {
    spec = nullptr;
  }
  if (spec != nullptr) {
    const auto [first, fresh] = seen.try_emplace(spec, Written{full, where});
    if (!fresh) {
      problems_.add(where, full + " means the same as " + first->second.path +
                               ", which is set on line " +
                               std::to_string(first->second.origin.line));
      return;
    }
    if (spec->type == ValueType::defaults && entry.value.kind == Node::Kind::map) {
      const MapPlace defaults{KeyScope::model, "", full, true};
      read_into(entry.value, defaults, target, nested, seen);
    } else if (spec->store == nullptr ||
               (spec->type == ValueType::pressure && entry.value.kind == Node::Kind::list)) {
      nested.push_back({spec, &entry.value, where});
    } else {
      store(*spec, full, entry.value, where, paths_, target);
    }
    return;
  }
  if (is_section(place, path)) {
    if (entry.value.kind == Node::Kind::null)
      return;
    if (entry.value.kind != Node::Kind::map) {
      problems_.add(where, full + ": " + describe(entry.value) + " is given, but a map is wanted");
      return;
    }
    read_into(entry.value, {place.scope, path + ".", full, place.only_inherited}, target, nested,
              seen);
    return;
  }
  report_unknown(entry, place);
}

void KeyReader::report_unknown(const NodeEntry& entry, const MapPlace& place) {
  const std::string path = place.prefix + entry.key.text;
  const Origin where = origin(entry.key, entry.value);
  if (const PlannedKey* planned = find_planned(place.scope, path)) {
    problems_.add(where, in_quotes(entry.key.text) + " " + in_place(place.name) + ": " +
                             std::string(planned->what) +
                             " with a later version; remove it for now");
    return;
  }
  const std::vector<std::string> names = names_at(place);
  std::string hint = single_device(path);
  if (hint.empty())
    hint = by_other_name(entry.key.text, place);
  if (hint.empty())
    hint = elsewhere(entry.key.text, place);
  if (hint.empty())
    hint = did_you_mean(entry.key.text, names);
  if (hint.empty()) {
    for (const std::string& name : names)
      hint += (hint.empty() ? "; known are " : ", ") + name;
  }
  problems_.add(where,
                "unknown key " + in_quotes(entry.key.text) + " " + in_place(place.name) + hint);
}

bool KeyReader::store(const KeySpec& spec, const std::string& path, const Node& node,
                      const Origin& where, const PathBase& paths, KeyTarget& target) {
  auto value = parse_value(spec, node, paths);
  if (!value) {
    problems_.add(where, path + ": " + value.error());
    return false;
  }
  spec.store(target, *value);
  // A key that was set by its other name is listed under its own.
  const bool global = spec.scope == KeyScope::global;
  sources_.record(global ? std::string(spec.path) : path, shown(spec, node), where);
  return true;
}

void store_defaults(KeyScope scope, const std::string& name, KeyTarget& target, Sources* sources) {
  for (const KeySpec& spec : key_table()) {
    if (spec.scope != scope || spec.fallback.empty())
      continue;
    const auto node = parse_document(spec.fallback, "default");
    TONNAGE_CHECK(node.has_value(), "a default of the key table is not YAML");
    const auto value = parse_value(spec, *node, {});
    TONNAGE_CHECK(value.has_value(), "a default of the key table does not parse");
    spec.store(target, *value);
    if (sources != nullptr && (scope == KeyScope::global || spec.inherited)) {
      sources->record(name + std::string(spec.path), std::string(spec.fallback), {"default"});
    }
  }
}

}  // namespace tonnage
