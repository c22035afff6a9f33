#include "config/overlay.h"

#include <algorithm>

#include "base/check.h"

namespace tonnage {
namespace {

constexpr std::string_view kDefaultsPrefix = "defaults.";

Node scalar(std::string text) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = std::move(text);
  return node;
}

bool settable(const KeySpec& spec) {
  return spec.store != nullptr;
}

// The row and the path that `path` names in the scopes that a flag can reach.
const KeySpec* find_flag_key(std::string_view path) {
  const bool inherited = path.starts_with(kDefaultsPrefix);
  const std::string_view within = inherited ? path.substr(kDefaultsPrefix.size()) : path;
  const KeyScope scope = inherited ? KeyScope::model : KeyScope::global;
  for (const KeySpec& spec : key_table()) {
    if (spec.scope == scope && spec.path == within && (!inherited || spec.inherited))
      return &spec;
  }
  return nullptr;
}

// A founding variable's value as the file would say it: shares were fractions and times a number of
// seconds. A problem is a sentence.
std::expected<std::string, std::string> founding_text(ValueType type, const std::string& value) {
  if (type == ValueType::duration) {
    const bool bare = !value.empty() && value.find_first_not_of("0123456789.") == std::string::npos;
    return bare ? value + "s" : value;
  }
  if (type != ValueType::percent && type != ValueType::reserve)
    return value;
  const auto permille = parse_fraction(value);
  if (!permille) {
    const Error& e = permille.error();
    return std::unexpected(e.object + " is " + e.what + ": " + e.why + "; write 0.20 or 20%");
  }
  return std::to_string(*permille / 10) + "." + std::to_string(*permille % 10) + "%";
}

}  // namespace

PathBase outside_paths(const ConfigInputs& inputs) {
  const auto home = inputs.environment.find("HOME");
  PathBase paths{.home = {}, .folder = inputs.working_folder};
  if (home != inputs.environment.end())
    paths.home = home->second;
  return paths;
}

std::expected<Node, std::string> node_of_text(const KeySpec& spec, const std::string& text) {
  const bool several = spec.type == ValueType::listen && text.contains(',');
  const bool list = spec.type == ValueType::text_list || spec.type == ValueType::path_list;
  if (!list && spec.type != ValueType::text_map && !several)
    return scalar(text);
  if (!several && (text.starts_with('[') || text.starts_with('{'))) {
    auto node = parse_document(text, "");
    if (!node)
      return std::unexpected(node.error().text);
    return std::move(*node);
  }
  if (spec.type == ValueType::text_map)
    return scalar(text);  // refused with what is wanted
  Node items;
  items.kind = Node::Kind::list;
  for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::size_t first = text.find_first_not_of(' ', begin);
    const std::size_t last = end == begin ? end : text.find_last_not_of(' ', end - 1) + 1;
    if (first < end)
      items.items.push_back(scalar(text.substr(first, last - first)));
    begin = end + 1;
  }
  return items;
}

void EnvironmentOverlay::apply(KeyReader& reader, const KeySpec& spec, const std::string& path,
                               KeyTarget& target) {
  const std::string name = environment_name(path);
  const auto found = inputs_.environment.find(name);
  if (found == inputs_.environment.end())
    return;
  const Origin where{"environment " + name};
  if (const auto [other, fresh] = used_.try_emplace(name, path); !fresh) {
    reader.problems().add(
        where, "it fits " + other->second + " and " + path + "; write these in the file");
    return;
  }
  const auto node = node_of_text(spec, found->second);
  if (!node) {
    reader.problems().add(where, path + ": " + node.error());
    return;
  }
  reader.store(spec, path, *node, where, outside_paths(inputs_), target);
}

void EnvironmentOverlay::apply_founding(KeyReader& reader, const KeySpec& spec, KeyTarget& target,
                                        std::vector<std::string>& warnings) {
  const auto found = inputs_.environment.find(spec.founding);
  if (found == inputs_.environment.end())
    return;
  const std::string name = environment_name(spec.path);
  if (inputs_.environment.contains(name)) {
    used_.try_emplace(std::string(spec.founding), std::string(spec.path));
    warnings.push_back("environment " + std::string(spec.founding) + " is ignored: " + name +
                       " says the same and wins");
    return;
  }
  const Origin where{"environment " + std::string(spec.founding)};
  const auto text = founding_text(spec.type, found->second);
  if (!text) {
    reader.problems().add(where, text.error());
    return;
  }
  used_.try_emplace(std::string(spec.founding), std::string(spec.path));
  reader.store(spec, std::string(spec.path), scalar(*text), where, outside_paths(inputs_), target);
}

void EnvironmentOverlay::apply_global(KeyReader& reader, KeyTarget& target,
                                      std::vector<std::string>& warnings) {
  for (const KeySpec& spec : key_table()) {
    if (!settable(spec))
      continue;
    if (spec.scope == KeyScope::global) {
      if (!spec.founding.empty())
        apply_founding(reader, spec, target, warnings);
      if (!spec.also.empty())
        apply(reader, spec, std::string(spec.also), target);
      apply(reader, spec, std::string(spec.path), target);
    } else if (spec.scope == KeyScope::model && spec.inherited) {
      apply(reader, spec, std::string(kDefaultsPrefix) + std::string(spec.path), target);
    }
  }
}

void EnvironmentOverlay::apply_model(KeyReader& reader, const std::string& id, KeyTarget& target) {
  for (const KeySpec& spec : model_keys()) {
    if (!settable(spec))
      continue;
    apply(reader, spec, "models." + id + "." + std::string(spec.path), target);
  }
}

void EnvironmentOverlay::warn_unused(std::vector<std::string>& warnings) const {
  std::vector<std::string> known;
  for (const OtherVariable& other : other_variables())
    known.emplace_back(other.name);
  const std::size_t others = known.size();
  for (const KeySpec& spec : key_table()) {
    if (!settable(spec))
      continue;
    if (spec.scope == KeyScope::global) {
      known.push_back(environment_name(spec.path));
      if (spec.founding.starts_with("TONNAGE_"))
        known.emplace_back(spec.founding);
    }
    if (spec.scope == KeyScope::model && spec.inherited) {
      known.push_back(environment_name(std::string(kDefaultsPrefix) + std::string(spec.path)));
    }
  }
  for (const auto& [name, value] : inputs_.environment) {
    if (!name.starts_with("TONNAGE_") || used_.contains(name))
      continue;
    if (std::find(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(others), name) !=
        known.begin() + static_cast<std::ptrdiff_t>(others)) {
      continue;
    }
    warnings.push_back("environment " + name + " is not a variable that tonnage knows" +
                       did_you_mean(name, known));
  }
}

void apply_flags(const ConfigInputs& inputs, KeyReader& reader, KeyTarget& target) {
  for (const FlagValue& flag : inputs.flags) {
    const KeySpec* spec = find_flag_key(flag.path);
    TONNAGE_CHECK(spec != nullptr && settable(*spec), "a flag sets a key that does not exist");
    const Origin where{"flag " + flag.flag};
    const auto node = node_of_text(*spec, flag.value);
    if (!node) {
      reader.problems().add(where, flag.path + ": " + node.error());
      continue;
    }
    reader.store(*spec, flag.path, *node, where, outside_paths(inputs), target);
  }
}

}  // namespace tonnage
