// Memory cgroups: the limits that hold for this process, version 1, 2 and both mounted together.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage {

enum class CgroupVersion : std::uint8_t { v1, v2 };

// Where a process' memory cgroup and its ancestors are, as paths under the probe's root.
struct CgroupPath {
  CgroupVersion version = CgroupVersion::v2;
  std::vector<std::string> levels;  // innermost first, ending at the mount point

  friend bool operator==(const CgroupPath&, const CgroupPath&) = default;
};

// One level of the hierarchy that has a limit.
struct CgroupLevel {
  std::string path;
  Bytes limit;
  Bytes used;         // what the kernel charges to it, with its children
  Bytes reclaimable;  // cache in `used`, which goes away before anything is killed
  // limit - (used - reclaimable), never below zero.
  Bytes available() const;
};

// A line of /proc/self/cgroup.
struct CgroupEntry {
  std::string controllers;  // "memory", "cpu,cpuacct"; empty for version 2
  std::string path;
};
// A cgroup mount of /proc/self/mountinfo.
struct CgroupMount {
  CgroupVersion version = CgroupVersion::v2;
  std::string root;   // which part of the hierarchy is mounted
  std::string point;  // where
};

std::vector<CgroupEntry> parse_proc_cgroup(std::string_view text);
// Of version 1, those of one controller.
std::vector<CgroupMount> parse_cgroup_mounts(std::string_view mountinfo,
                                             std::string_view controller = "memory");

// A limit file's number. Empty when there is no limit: "max", or version 1's 2^63 rounded down to
// pages. Fails on anything else.
Result<std::optional<Bytes>> parse_limit(std::string_view text);

// What the kernel takes back before it kills anything, from memory.stat: the file pages on its
// reclaim lists, and in version 2 the caches of file names and inodes (slab_reclaimable; version 1
// does not report them). With children: version 1 says total_inactive_file and total_active_file;
// version 2 counts them always. Shared memory and locked pages are on other lists, so they are
// rightly not in it.
Bytes parse_reclaimable(CgroupVersion version, std::string_view memory_stat);

// Finds the memory cgroup of the process itself. Version 1 wins where its memory controller is
// mounted (on hybrid systems the version 2 tree then has no memory files). Empty: no cgroup.
Result<std::optional<CgroupPath>> find_cgroup(const std::string& root);

// The same in the hierarchy of one version and controller; version 2 has one for all, whether or
// not the controller is switched on there.
Result<std::optional<CgroupPath>> find_cgroup(const std::string& root, CgroupVersion version,
                                              std::string_view controller = "memory");

// Every level with a limit, innermost first. A level whose files are missing or unreadable is
// skipped and named in `skipped`. Version 2's memory.high counts as a limit as well: beyond it the
// kernel throttles every process in the group.
std::vector<CgroupLevel> read_levels(const CgroupPath& path, std::vector<std::string>& skipped);

}  // namespace tonnage
