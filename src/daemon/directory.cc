#include "daemon/directory.h"

#include "base/text.h"

namespace tonnage {
namespace {

// Clients of Ollama add ":latest", forms keep spaces, and some write every name in small letters.
std::string plain_name(std::string_view name) {
  constexpr std::string_view kLatest = ":latest";
  std::string plain = to_lower(trim(name));
  if (plain.size() > kLatest.size() && plain.ends_with(kLatest))
    plain.resize(plain.size() - kLatest.size());
  return plain;
}

}  // namespace

Directory::Directory(const Config& config) {
  for (std::size_t i = 0; i < config.policy.models.size(); ++i) {
    const ModelId model(static_cast<std::uint32_t>(i));
    ids_.push_back(config.policy.models[i].id);
    if (config.policy.models[i].removed)
      continue;
    add(ids_.back(), model);
    for (const std::string& alias : config.models[i].aliases)
      add(alias, model);
  }
}

void Directory::add(const std::string& name, ModelId model) {
  names_.push_back(name);
  by_name_.emplace(name, model);
  const auto [known, is_new] = by_plain_name_.try_emplace(plain_name(name), model);
  if (!is_new && known->second != model)
    known->second.reset();
}

std::optional<ModelId> Directory::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end())
    return found->second;
  const auto plain = by_plain_name_.find(plain_name(name));
  return plain == by_plain_name_.end() ? std::nullopt : plain->second;
}

std::vector<std::string> names_for(const Directory& directory, const api::Caller& caller) {
  std::vector<std::string> known;
  for (const std::string& name : directory.names()) {
    if (caller.may_use(directory.id(*directory.find(name))))
      known.push_back(name);
  }
  return known;
}

}  // namespace tonnage
