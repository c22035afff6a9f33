// DevicePools: the GPUs that tonnage governs, which pool each of them is, and how servers see them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "config/config.h"
#include "core/types.h"
#include "engine/gpu_sight.h"
#include "engine/llama/llama_devices.h"
#include "probe/gpu/device_probe.h"

namespace tonnage {

struct GovernedDevice {
  std::string id;    // as the probe names it
  std::string name;  // for people
  std::string selector;
  Bytes capacity;  // what can ever be used: without what driver and firmware hold
};

// Made once, from what the probe and the engine see at the start. A GPU that comes later is not
// governed until the next start; one that goes is lost until it is back.
class DevicePools final : public GpuSight {
 public:
  // No GPU at all.
  DevicePools() = default;
  // GPUs with memory of their own that the engine can use, in the order of the survey; where there
  // are none, those that share the host's. `left_out` says of the others why.
  DevicePools(const DeviceSurvey& survey, std::span<const LlamaDevice> engine_devices);

  // Index is PoolId - 1.
  const std::vector<GovernedDevice>& devices() const { return devices_; }
  const std::vector<GovernedDevice>& unified() const { return unified_; }
  bool any() const { return !devices_.empty() || !unified_.empty(); }
  const std::vector<std::string>& left_out() const { return left_out_; }

  // As the configuration wants to know them.
  std::vector<DevicePool> found() const;

  VisibleGpus visible(std::span<const PoolId> pools) const override;
  VisibleGpus visible_for_dry_run(std::size_t count) const override;
  DeviceSpace space() const override;

 private:
  std::vector<std::size_t> largest() const;
  const std::vector<GovernedDevice>& all() const { return devices_.empty() ? unified_ : devices_; }

  GpuChoice choice_ = GpuChoice::by_uuid;
  // Where there are MIG instances a process sees one of its GPUs, so that nothing is split
  // (https://docs.nvidia.com/datacenter/tesla/mig-user-guide/, "CUDA Device Enumeration").
  bool one_each_ = false;
  std::vector<GovernedDevice> devices_;
  std::vector<GovernedDevice> unified_;
  std::vector<std::string> left_out_;
};

}  // namespace tonnage
