// parse_drm_fdinfo(): what one open file of a GPU's DRM driver says of its client's memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tonnage {

// One /proc/PID/fdinfo/FD of a /dev/dri node.
struct DrmClient {
  std::string driver;                    // "amdgpu", "xe", "i915"
  std::string pci;                       // "0000:08:00.0"; may be empty
  std::int64_t client = 0;               // unique per device; files that were duplicated share it
  std::map<std::string, Bytes> regions;  // "vram", "gtt", "vram0": resident bytes

  // What lies on the device itself, not in the host.
  Bytes device_bytes() const;

  friend bool operator==(const DrmClient&, const DrmClient&) = default;
};

// Empty for a file that is of no DRM driver, or names no client. Per region the best key counts:
// drm-resident-REGION, else drm-memory-REGION (amdgpu's, which means the same), else
// drm-total-REGION. Units are KiB, MiB or none (bytes); "kB" of old kernels is KiB.
// Source: https://docs.kernel.org/gpu/drm-usage-stats.html
std::optional<DrmClient> parse_drm_fdinfo(std::string_view text);

}  // namespace tonnage
