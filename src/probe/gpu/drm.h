// DrmSource: AMD and Intel GPUs as the kernel's own files tell them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "probe/gpu/device_source.h"

namespace tonnage {

// Cards of /sys/class/drm, by PCI address.
//  - amdgpu reports mem_info_vram_total and _used. An APU is known by its gpu_metrics, whose format
//    is 2 or 3 where a discrete card's is 1. It has two memories: the carve-out (VRAM), which the
//    firmware took and MemTotal lacks, and the GTT, which is memory of the host. They are never one
//    sum, because the carve-out is not the host's, and the host is counted already. Where models go
//    follows the driver, which prefers the larger of the two (apu_prefer_gtt in amdgpu_ttm.c):
//      carve-out < GTT: unified; total = min(gtt, MemTotal), free = min(gtt free, MemAvailable),
//                       and the carve-out is left out;
//      otherwise: memory of its own, which is the carve-out.
//  - xe and i915 report no totals in files; what processes hold is summed, the rest stays unknown.
//  - nouveau and radeon report nothing here, nvidia by NVML: the card is listed without numbers.
// Of a process with memory of its own, `host_bytes` is its GTT.
// Processes come from /proc/PID/fdinfo; a client that several files or processes share is counted
// once, for the process with the lowest pid. What may not be read is left out and noted. For ROCm
// the larger of that and of the compute driver's number counts (probe/gpu/kfd.h).
// Sources: the kernel's kgd_pp_interface.h (gpu_metrics_v2_* and v3_0 are those "on APUs"),
// https://docs.kernel.org/gpu/amdgpu/driver-misc.html (memory, gpu_metrics),
// https://docs.kernel.org/gpu/drm-usage-stats.html
class DrmSource final : public DeviceSource {
 public:
  // `root` is "/" or a fixture tree.
  explicit DrmSource(std::string root = "/") : root_(std::move(root)) {}

  std::string_view name() const override { return "drm"; }
  // A walk over /proc: some 10 us per process.
  Result<std::vector<DeviceReading>> read() override;

 private:
  DeviceReading read_card(const std::string& folder) const;
  void read_amdgpu(const std::string& folder, DeviceReading& reading) const;
  void read_apu(const std::string& folder, Bytes carve_out, DeviceSample& sample) const;
  void add_processes(std::vector<DeviceReading>& readings) const;

  std::string root_;
};

}  // namespace tonnage
