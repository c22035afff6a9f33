// FoundConfig: a configuration, and what its model files say.
#pragma once

#include <vector>

#include "config/config.h"
#include "engine/llama/model_look.h"

namespace tonnage {

struct FoundConfig {
  Config config;
  std::vector<ModelLook> looks;
};

// Looks at all model files at once; types that the configuration leaves open are read from their
// headers. Waits for files that answer, not for those that hang: a thread other than the loop's.
FoundConfig with_found_types(Config config);

}  // namespace tonnage
