#include "footprint/server_settings.h"

#include <algorithm>

namespace tonnage {

ServerSettings server_settings(const GgufInfo& model, const Placement& placement, Bytes cache_ram) {
  ServerSettings settings{.placement = placement, .cache_ram = cache_ram, .gpu_arguments = {}};
  if (model.is_embedding() || model.is_reranker()) {
    settings.batch = settings.micro_batch = std::max<std::int32_t>(1, placement.context);
    settings.cache_ram = Bytes(0);  // there are no conversations to keep
  }
  return settings;
}

}  // namespace tonnage
