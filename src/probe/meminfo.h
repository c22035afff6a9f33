// MemInfo: the machine's memory as /proc/meminfo tells it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage {

struct MemInfo {
  Bytes total;
  // What can be had without swapping: free memory, cache that the kernel can drop, and `arc`.
  Bytes available;
  bool available_estimated = false;  // kernel before 3.14: free + buffers + cached - shmem
  Bytes arc;                         // of `available`: what ZFS gives back when it is needed
  std::optional<Bytes> arc_size;     // the whole ARC; empty where there is no ZFS
  std::string arc_problem;           // a sentence: why the ARC is not in `available`
  Bytes swap_total;
  Bytes swap_free;

  friend bool operator==(const MemInfo&, const MemInfo&) = default;
};

// Fails when MemTotal is missing or zero, or nothing tells what is available.
Result<MemInfo> parse_meminfo(std::string_view text);
// /proc/meminfo, and the ARC of ZFS where there is one (probe/arc.h): it is in `available`, but
// `available` stays within `total`. An ARC that cannot be read changes nothing.
Result<MemInfo> read_meminfo(const std::string& root);

}  // namespace tonnage
