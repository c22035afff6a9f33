#include "config/sources.h"

#include <utility>

namespace tonnage {

void Sources::record(const std::string& path, std::string value, Origin origin) {
  const auto [found, fresh] = index_.try_emplace(path, entries_.size());
  if (fresh) {
    entries_.push_back({path, std::move(value), std::move(origin)});
  } else {
    entries_[found->second] = {path, std::move(value), std::move(origin)};
  }
}

Origin Sources::origin_of(std::string_view path) const {
  const auto found = index_.find(path);
  return found == index_.end() ? Origin{} : entries_[found->second].origin;
}

std::vector<Setting> Sources::settings() const {
  std::vector<Setting> out;
  out.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    out.push_back({entry.path, entry.value, to_text(entry.origin)});
  }
  return out;
}

}  // namespace tonnage
