#include "engine/llama/llama_gpus.h"

#include <algorithm>

namespace tonnage {
namespace {

constexpr std::string_view kCuda = "CUDA";

bool has_uuid(const GpuName& gpu) {
  return gpu.id.starts_with("GPU-") || gpu.id.starts_with("MIG-");
}

// "Vulkan" of "Vulkan1".
std::string_view back_end(std::string_view name) {
  return name.substr(0, name.find_last_not_of("0123456789") + 1);
}

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ",") + word;
  return text;
}

}  // namespace

LlamaGpus match_gpus(std::span<const GpuName> gpus, std::span<const LlamaDevice> devices) {
  LlamaGpus matched;
  matched.selectors.resize(gpus.size());
  const auto is_cuda = [](const LlamaDevice& device) { return back_end(device.name) == kCuda; };
  if (std::ranges::any_of(devices, is_cuda)) {
    for (std::size_t i = 0; i < gpus.size(); ++i) {
      if (has_uuid(gpus[i]))
        matched.selectors[i] = gpus[i].id;
    }
    return matched;
  }
  matched.choice = GpuChoice::by_name;
  std::vector<LlamaDevice> left;
  for (const LlamaDevice& device : devices) {
    if (back_end(device.name) == back_end(devices.front().name))
      left.push_back(device);
  }
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const auto found = std::ranges::find(left, gpus[i].name, &LlamaDevice::description);
    if (found == left.end())
      continue;
    matched.selectors[i] = found->name;
    left.erase(found);
  }
  for (auto& selector : matched.selectors) {
    if (selector || left.empty())
      continue;
    selector = left.front().name;
    left.erase(left.begin());
  }
  return matched;
}

VisibleGpus visible_gpus(GpuChoice choice, std::span<const std::string> selectors,
                         std::span<const Bytes> shares) {
  VisibleGpus visible;
  if (selectors.empty() || choice == GpuChoice::by_uuid)
    visible.env.push_back("CUDA_VISIBLE_DEVICES=" + joined(selectors));
  if (selectors.empty())
    return visible;
  if (choice == GpuChoice::by_uuid) {
    visible.env.emplace_back("CUDA_DEVICE_ORDER=PCI_BUS_ID");
  } else {
    visible.names.assign(selectors.begin(), selectors.end());
  }
  visible.shares.assign(shares.begin(), shares.end());
  return visible;
}

std::vector<std::string> gpu_arguments(std::int32_t gpu_layers, const VisibleGpus& gpus) {
  if (gpu_layers == 0 || gpus.shares.empty())
    return {"--device", "none", "--gpu-layers", "0"};
  std::vector<std::string> arguments = {"--gpu-layers", std::to_string(gpu_layers)};
  if (!gpus.names.empty())
    arguments.insert(arguments.end(), {"--device", joined(gpus.names)});
  if (gpus.shares.size() < 2)
    return arguments;
  std::string split;
  for (const Bytes share : gpus.shares)
    split += (split.empty() ? "" : ",") + std::to_string(share.count / kMiB);
  arguments.insert(arguments.end(), {"--split-mode", "layer", "--tensor-split", split});
  return arguments;
}

}  // namespace tonnage
