// MemoryPlan: what a llama.cpp program takes on each device for a model, by its own rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "device_set.h"
#include "footprint/gguf.h"
#include "llama/arguments.h"

namespace fake_gpu {

// A device as the engine names it, and its place in the set.
struct EngineDevice {
  std::string name;  // "CUDA0"
  std::size_t index = 0;
};

// What CUDA_VISIBLE_DEVICES lets a program see.
std::vector<EngineDevice> engine_devices(const DeviceSet& set);

struct DevicePlan {
  EngineDevice device;
  std::int64_t layers = 0;
  std::uint64_t weights = 0;
  std::uint64_t context = 0;
  std::uint64_t compute = 0;
};

struct MemoryPlan {
  std::vector<DevicePlan> devices;  // those chosen for the model
  std::uint64_t host_weights = 0;
  std::uint64_t host_context = 0;
  std::uint64_t host_compute = 0;
};

// Layers are all of one size, and the output counts as one more, on the last device. The last
// `gpu_layers` of them go to the devices in turn, by `--tensor-split` or by their free memory.
// `devices` are those that the arguments chose.
MemoryPlan plan_memory(const tonnage::GgufInfo& model, const Arguments& arguments,
                       const std::vector<EngineDevice>& devices, const DeviceSet& set);

}  // namespace fake_gpu
