// The one place that names every source, in the order in which they are believed.
#include "probe/gpu/device_probe.h"
#include "probe/gpu/nvml.h"

namespace vramd {

std::vector<SourceFamily> make_sources(const DeviceSources& where) {
  SourceFamily nvidia;
  nvidia.push_back(std::make_unique<NvmlSource>(where.nvml));
  std::vector<SourceFamily> families;
  families.push_back(std::move(nvidia));
  return families;
}

}  // namespace vramd
