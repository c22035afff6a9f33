// Directory: which model a client's name means.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/auth.h"
#include "config/config.h"
#include "core/types.h"

namespace tonnage {

// Ids and aliases of the configured models; look-ups do not allocate. A changed configuration
// assigns a new one.
class Directory {
 public:
  explicit Directory(const Config& config);

  // As it is written; else without spaces around it, ":latest" and regard to case, where exactly
  // one model fits.
  std::optional<ModelId> find(std::string_view name) const;
  // Of any model that has an id, those that are no longer configured included.
  const std::string& id(ModelId model) const { return ids_[model.value]; }
  std::size_t size() const { return ids_.size(); }

  // Ids and aliases, in order of configuration: for "did you mean".
  const std::vector<std::string>& names() const { return names_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  void add(const std::string& name, ModelId model);

  std::vector<std::string> ids_;
  std::vector<std::string> names_;
  std::unordered_map<std::string, ModelId, Hash, std::equal_to<>> by_name_;
  std::unordered_map<std::string, std::optional<ModelId>> by_plain_name_;  // empty: of several
};

// The names among them that a caller may use.
std::vector<std::string> names_for(const Directory& directory, const api::Caller& caller);

// The virtual model: the most recently used ready LLM.
inline constexpr std::string_view kResident = "resident";

}  // namespace tonnage
