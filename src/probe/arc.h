// ArcStats: the file cache of ZFS (ARC), as /proc/spl/kstat/zfs/arcstats reports it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage {

// The kernel does not count the ARC as cache: to MemAvailable it is memory in use. ZFS gives it
// back when memory is needed, down to `c_min`
// (https://openzfs.github.io/openzfs-docs/Performance%20and%20Tuning/Module%20Parameters.html,
// zfs_arc_min).
struct ArcStats {
  Bytes size;
  Bytes c_min;

  // What ZFS gives back; never below zero.
  Bytes reclaimable() const;

  friend bool operator==(const ArcStats&, const ArcStats&) = default;
};

// Lines of "name type data". Fails where `size` or `c_min` is missing, given twice, negative or no
// number: half of the pair says nothing.
Result<ArcStats> parse_arcstats(std::string_view text);

// Empty where there is no such file: no ZFS. `root` is "/" or a fixture tree.
Result<std::optional<ArcStats>> read_arcstats(const std::string& root);

}  // namespace tonnage
