// HostProbe: capacity of the host pool, and how much of it is in use by others.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "probe/cgroup.h"

namespace tonnage {

struct HostSample {
  Bytes capacity;   // the smaller of the machine and its tightest cgroup limit
  Bytes available;  // what can be had before the tighter of the two is full; at most capacity
  Bytes foreign;    // what cannot be reclaimed and is not ours
  // For people: "cgroup v2 /sys/fs/cgroup/a 4.00 GiB of machine 15.62 GiB", and what was left out.
  std::string source;
  // What could not be used, a sentence each; they are in `source` as well.
  std::vector<std::string> left_out;

  friend bool operator==(const HostSample&, const HostSample&) = default;
};

// foreign = capacity - available - ours, at least zero, where
//   capacity  = min(MemTotal, every cgroup limit on the way to the root)
//   available = min(capacity, MemAvailable + ARC, per level: limit - (usage - reclaimable))
//   ours      = anonymous, shared and locked bytes of our own processes
// capacity - available is what somebody holds and the kernel cannot take back. Weights that our
// servers map from files are clean file cache: loading 3.2 GiB moved MemAvailable by 0.46 GiB,
// and that part was anonymous. So they are not in it, and only memory of ours that cannot be
// reclaimed is taken off again; the ledger charges mapped weights itself, once per file.
// The ARC of ZFS (probe/arc.h) belongs to the machine and to no cgroup: it makes nothing available
// beyond a cgroup's limit.
// Where the machine is tighter than the cgroup, use by other programs outside the cgroup shows up
// as foreign use of our capacity, which is what it is for a load that needs the memory.
//
// Reads a few small files (about 50 us). Not thread-safe.
class HostProbe {
 public:
  // `root` is "/" or a fixture tree. Finding the cgroup happens here; limits and use are read
  // anew in each sample, and the search is repeated when its files have gone.
  explicit HostProbe(std::string root = "/");

  // `ours` as above: ProcessMemory::unreclaimable() summed over our servers and dry runs. Fails
  // only when /proc/meminfo cannot be used. A cgroup that cannot be read is left out and named in
  // `source`.
  Result<HostSample> sample(Bytes ours);

 private:
  void search();

  std::string root_;
  std::optional<CgroupPath> cgroup_;
  std::string cgroup_problem_;  // why there is none, where that is not normal
  bool arc_seen_ = false;       // ZFS reported its ARC before
};

}  // namespace tonnage
