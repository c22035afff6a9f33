#include "llama/memory_plan.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <utility>

#include "visible_devices.h"

namespace fake_gpu {
namespace {

constexpr std::uint64_t kComputeMin = std::uint64_t{16} << 20;

std::uint64_t key_of(const tonnage::GgufInfo& model, const char* key, std::uint64_t otherwise) {
  const auto value = model.of(key);
  return value && *value >= 0 ? static_cast<std::uint64_t>(*value) : otherwise;
}

// Bytes of 32 numbers.
std::uint64_t row_bytes(std::string_view type) {
  constexpr auto sizes = std::to_array<std::pair<std::string_view, std::uint64_t>>({
      {"f32", 128},
      {"f16", 64},
      {"bf16", 64},
      {"q8_0", 34},
      {"q5_1", 24},
      {"q5_0", 22},
      {"q4_1", 20},
      {"q4_0", 18},
      {"iq4_nl", 18},
  });
  for (const auto& [name, bytes] : sizes) {
    if (name == type)
      return bytes;
  }
  return 64;
}

std::uint64_t cache_per_layer(const tonnage::GgufInfo& model, const Arguments& arguments) {
  if (model.architecture().find("bert") != std::string::npos)
    return 0;
  const std::uint64_t width = key_of(model, "embedding_length", 0);
  const std::uint64_t heads = std::max<std::uint64_t>(1, key_of(model, "attention.head_count", 1));
  const std::uint64_t kv_heads = key_of(model, "attention.head_count_kv", heads);
  const std::uint64_t keys = key_of(model, "attention.key_length", width / heads) * kv_heads;
  const std::uint64_t values = key_of(model, "attention.value_length", width / heads) * kv_heads;
  const std::uint64_t row =
      (keys * row_bytes(arguments.kv_keys) + values * row_bytes(arguments.kv_values)) / 32;
  return row * static_cast<std::uint64_t>(arguments.context);
}

std::uint64_t compute_buffer(const tonnage::GgufInfo& model, const Arguments& arguments) {
  const auto tokens = static_cast<std::uint64_t>(arguments.ubatch);
  const std::uint64_t numbers =
      3 * key_of(model, "feed_forward_length", 0) + 5 * key_of(model, "embedding_length", 0);
  const std::uint64_t cells = static_cast<std::uint64_t>(arguments.context) /
                              static_cast<std::uint64_t>(std::max(1, arguments.slots));
  return std::max(kComputeMin, tokens * (numbers * 4 + cells * 2));
}

// The share of each device, adding up to at most 1 with those before it.
std::vector<double> shares(const Arguments& arguments, const std::vector<EngineDevice>& devices,
                           const DeviceSet& set) {
  std::vector<double> parts;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const Device& device = set.devices[devices[i].index];
    const std::uint64_t taken = device.reserved + used_bytes(set, devices[i].index);
    double part = device.total > taken ? static_cast<double>(device.total - taken) : 0;
    if (!arguments.tensor_split.empty())
      part = i < arguments.tensor_split.size() ? arguments.tensor_split[i] : 0;
    parts.push_back(part);
  }
  const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
  double before = 0;
  for (double& part : parts) {
    before += sum > 0 ? part / sum : 0;
    part = before;
  }
  return parts;
}

}  // namespace

std::vector<EngineDevice> engine_devices(const DeviceSet& set) {
  std::vector<EngineDevice> devices;
  for (const std::size_t index : visible_devices(set))
    devices.push_back({"CUDA" + std::to_string(devices.size()), index});
  return devices;
}

MemoryPlan plan_memory(const tonnage::GgufInfo& model, const Arguments& arguments,
                       const std::vector<EngineDevice>& devices, const DeviceSet& set) {
  MemoryPlan plan;
  for (const EngineDevice& device : devices)
    plan.devices.push_back({.device = device});
  const auto blocks = static_cast<std::int64_t>(key_of(model, "block_count", 1));
  const std::int64_t layers = blocks + 1;
  const std::int64_t on_devices =
      devices.empty() ? 0 : std::min(arguments.gpu_layers.value_or(layers), layers);
  const auto weights = static_cast<std::uint64_t>(model.tensor_bytes.count);
  const std::uint64_t layer_bytes = weights / static_cast<std::uint64_t>(layers);
  const std::uint64_t layer_cache = cache_per_layer(model, arguments);
  const std::vector<double> until = shares(arguments, devices, set);
  plan.host_weights = weights;
  plan.host_context = static_cast<std::uint64_t>(blocks) * layer_cache;
  for (std::int64_t i = 0; i < on_devices; ++i) {
    const double at = static_cast<double>(i) / static_cast<double>(on_devices);
    const auto found = std::ranges::upper_bound(until, at);
    const auto which = std::min<std::size_t>(static_cast<std::size_t>(found - until.begin()),
                                             plan.devices.size() - 1);
    DevicePlan& device = plan.devices[which];
    ++device.layers;
    device.weights += layer_bytes;
    plan.host_weights -= layer_bytes;
    // The output, which is the last of them, has no cache.
    if (i + 1 < on_devices) {
      device.context += layer_cache;
      plan.host_context -= layer_cache;
    }
  }
  plan.host_compute = kComputeMin;
  for (DevicePlan& device : plan.devices)
    device.compute = device.layers > 0 ? compute_buffer(model, arguments) : 0;
  if (on_devices == 0)
    plan.host_compute = compute_buffer(model, arguments);
  return plan;
}

}  // namespace fake_gpu
