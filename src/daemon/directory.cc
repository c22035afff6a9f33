#include "daemon/directory.h"

namespace tonnage {

Directory::Directory(const Config& config) {
  for (std::size_t i = 0; i < config.policy.models.size(); ++i) {
    const ModelId model(static_cast<std::uint32_t>(i));
    ids_.push_back(config.policy.models[i].id);
    if (config.policy.models[i].removed)
      continue;
    names_.push_back(ids_.back());
    by_name_.emplace(ids_.back(), model);
    for (const std::string& alias : config.models[i].aliases) {
      names_.push_back(alias);
      by_name_.emplace(alias, model);
    }
  }
}

std::optional<ModelId> Directory::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    return std::nullopt;
  return found->second;
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
