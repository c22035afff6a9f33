// merge_reload: a configuration that was read anew, in the ids of the one that runs.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace tonnage {

struct MergedConfig {
  // Models that were known keep their ids, new ones follow, and those that are gone stay, marked as
  // removed, with the configuration they had.
  Config config;
  std::vector<ModelId> changed;    // their servers run with what is no longer configured
  std::vector<std::string> added;  // ids
  std::vector<std::string> removed;
  std::vector<std::string> later;  // keys that changed and take effect with the next start
};

// Pure: compares and merges, whatever the files say.
MergedConfig merge_reload(const Config& running, Config next);

}  // namespace tonnage
