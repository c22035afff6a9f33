// MemInfo: the machine's memory as /proc/meminfo tells it.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage {

struct MemInfo {
  Bytes total;
  Bytes available;                   // what can be had without swapping: free + reclaimable cache
  bool available_estimated = false;  // kernel before 3.14: free + buffers + cached - shmem
  Bytes swap_total;
  Bytes swap_free;

  friend bool operator==(const MemInfo&, const MemInfo&) = default;
};

// Fails when MemTotal is missing or zero, or nothing tells what is available.
Result<MemInfo> parse_meminfo(std::string_view text);
Result<MemInfo> read_meminfo(const std::string& root);

}  // namespace tonnage
