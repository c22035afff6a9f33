#include "config/clients_reader.h"

#include <algorithm>
#include <utility>

namespace tonnage {
namespace {

using Names = std::map<std::string, std::size_t, std::less<>>;

// Takes the key from where it is named. A problem never shows it.
std::string resolve_key(const ApiKeyDraft& draft, const Environment& environment) {
  if (draft.key_env.empty())
    return draft.key.key;
  const auto found = environment.find(draft.key_env);
  return found == environment.end() ? std::string{} : found->second;
}

std::string wrong_key(const ApiKeyDraft& draft, const std::string& key) {
  if (draft.key_env.empty() && draft.key.key.empty()) {
    return "the key is missing; add 'key: SECRET' or 'key_env: VARIABLE'";
  }
  if (!draft.key_env.empty() && !draft.key.key.empty()) {
    return "both key and key_env are given; keep one";
  }
  if (key.empty())
    return "the environment variable " + in_quotes(draft.key_env) + " is not set";
  if (key.size() < kClientKeyBytesMin) {
    return "the key is shorter than " + std::to_string(kClientKeyBytesMin) +
           " characters; 'openssl rand -hex 24' makes a good one";
  }
  if (key.size() > kClientKeyBytesMax) {
    return "the key is longer than " + std::to_string(kClientKeyBytesMax) + " characters";
  }
  if (std::ranges::any_of(key, [](char c) { return c <= ' ' || c > '~'; })) {
    return "the key holds a space or a character that no header can carry";
  }
  return {};
}

// Aliases become ids, so that whoever checks knows one name per model.
void resolve_models(KeyReader& reader, const std::string& name, const Origin& where,
                    const Names& names, const Config& config, ApiKey& key) {
  std::vector<std::string> known;
  for (const auto& [id, index] : names)
    known.push_back(id);
  for (std::string& model : key.models) {
    if (model.ends_with('*'))
      continue;
    const auto found = names.find(model);
    if (found == names.end()) {
      reader.problems().add(where, name + ".models: there is no model " + in_quotes(model) +
                                       did_you_mean(model, known));
    } else {
      model = config.policy.models[found->second].id;
    }
  }
}

}  // namespace

void read_clients(KeyReader& reader, const NestedNode& list, const Environment& environment,
                  const Names& names, Config& config) {
  Problems& problems = reader.problems();
  if (list.node->kind != Node::Kind::list) {
    problems.add(list.origin, "keys: " + describe(*list.node) + " is given, but " +
                                  wanted(*list.spec) + " is wanted");
    return;
  }
  if (list.node->items.size() > kClientKeysMax) {
    problems.add(list.origin, "keys: more than " + std::to_string(kClientKeysMax));
    return;
  }
  for (const Node& item : list.node->items) {
    const std::string name = "keys[" + std::to_string(config.keys.size() + 1) + "]";
    const Origin where = reader.origin(item, *list.node);
    ApiKeyDraft draft;
    KeyTarget target{.api_key = &draft};
    store_defaults(KeyScope::api_key, name + ".", target, nullptr);
    if (item.kind != Node::Kind::map) {
      // Likely a bare key: not to be shown.
      problems.add(where, name + ": a map such as {name: laptop, key: SECRET} is wanted");
      config.keys.push_back({});
      continue;
    }
    reader.read(item, {KeyScope::api_key, "", name}, target);
    ApiKey& key = draft.key;
    const std::string secret = resolve_key(draft, environment);
    if (const std::string wrong = wrong_key(draft, secret); !wrong.empty()) {
      problems.add(where, std::string(name).append(": ").append(wrong));
    }
    key.key = secret;
    if (key.name.empty())
      problems.add(where, name + ": the name is missing; add 'name: CLIENT'");
    if (key.scopes == Scopes{false, false, false}) {
      problems.add(where, name + ".scopes: the list is empty; name infer, read or admin");
    }
    for (const ApiKey& other : config.keys) {
      if (!key.name.empty() && other.name == key.name) {
        problems.add(where,
                     name + ": the name " + in_quotes(key.name) + " is taken by another key");
      }
      if (!key.key.empty() && other.key == key.key) {
        problems.add(where, name + ": the same key as that of " + in_quotes(other.name));
      }
    }
    resolve_models(reader, name, where, names, config, key);
    config.keys.push_back(std::move(key));
  }
}

}  // namespace tonnage
