// CpuBudget: how many processors this process and its children may use: by affinity, and by the
// quotas of its control group and all groups above it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "probe/cgroup.h"

namespace tonnage {

struct CpuBudget {
  std::int32_t online = 1;                     // processors of the machine
  std::int32_t allowed = 1;                    // of those, the ones that affinity leaves
  std::optional<std::int64_t> quota_permille;  // of one processor, over all of them; the least
  std::string quota_path;                      // the group that sets it

  // Threads that compute without standing in each other's way; empty where nothing limits them, and
  // a program's own choice by the machine is right. A quota is rounded down: a thread too many has
  // all others wait for it at every barrier.
  std::optional<std::int32_t> threads() const;
  // "1.5 processors by /sys/fs/cgroup/..."; empty where nothing limits them.
  std::string reason() const;

  friend bool operator==(const CpuBudget&, const CpuBudget&) = default;
};

// cpu.max of version 2: "150000 100000" or "max 100000". Permille of a processor.
std::optional<std::int64_t> parse_cpu_max(std::string_view text);
// The files of version 1: a quota of -1 is none.
std::optional<std::int64_t> cpu_quota(std::string_view quota_us, std::string_view period_us);

// The least quota of the process's group and of those above it, as far as they can be seen.
void read_cpu_quota(const std::string& root, CpuBudget& budget);

// Of this process.
CpuBudget cpu_budget(const std::string& root);

}  // namespace tonnage
