// read_kfd(): what processes hold on AMD GPUs through ROCm, by the kernel's compute driver.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace tonnage {

// /sys/class/kfd/kfd/topology/nodes/N/properties: the PCI address of a node, "0000:08:00.0".
// Empty where the text names no place. Source: the kernel's kfd_topology_add_device(), where
// location_id is pci_dev_id(), bus << 8 | slot << 3 | function, with the number of a partition in
// bits 31 to 28, and `domain` is the PCI domain
// (https://github.com/torvalds/linux, drivers/gpu/drm/amd/amdkfd/kfd_topology.c).
std::optional<std::string> parse_kfd_place(std::string_view properties);

struct KfdHolding {
  std::string pci;
  std::int32_t pid = 0;  // in the namespace of the host
  Bytes bytes;           // VRAM

  friend bool operator==(const KfdHolding&, const KfdHolding&) = default;
};

// By PCI address, then pid, one entry each: partitions of one card are added up. Empty where there
// is no ROCm. From /sys/class/kfd/kfd/proc/PID/vram_GPUID (kfd_process.c,
// kfd_procfs_add_sysfs_files()); `root` is "/" or a fixture tree.
std::vector<KfdHolding> read_kfd(const std::string& root);

}  // namespace tonnage
