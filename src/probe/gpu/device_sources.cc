// The one place that names every source, in the order in which they are believed.
#include <utility>

#include "probe/gpu/cuda.h"
#include "probe/gpu/device_probe.h"
#include "probe/gpu/drm.h"
#include "probe/gpu/injected.h"
#include "probe/gpu/nvidia_smi.h"
#include "probe/gpu/nvml.h"
#include "probe/gpu/vulkan.h"

namespace tonnage {

DeviceProbe make_device_probe(const DeviceSources& where) {
  std::vector<SourceFamily> families;
  if (!where.injected.empty()) {
    families.emplace_back().wins = true;
    families.back().sources.push_back(std::make_unique<InjectedSource>(where.injected));
  }
  auto& nvidia = families.emplace_back().sources;
  nvidia.push_back(std::make_unique<NvmlSource>(where.nvml));
  nvidia.push_back(std::make_unique<CudaSource>(where.cuda));
  nvidia.push_back(std::make_unique<NvidiaSmiSource>(
      NvidiaSmiSource::Options{.program = where.nvidia_smi, .timeout = where.nvidia_smi_timeout}));
  families.emplace_back().sources.push_back(std::make_unique<DrmSource>(where.root));
  if (!where.vulkan_helper.empty()) {
    families.emplace_back().last_resort = true;
    families.back().sources.push_back(
        std::make_unique<VulkanSource>(VulkanSource::Options{.helper = where.vulkan_helper}));
  }
  return DeviceProbe(std::move(families), where.root);
}

}  // namespace tonnage
