// CgroupEventsProbe: how often our memory cgroup ran into its limits since the last look.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "probe/cgroup.h"

namespace tonnage {

// Counts since the group was made. Empty where this version or kernel does not count it.
// Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.events),
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.failcnt, memory.oom_control)
struct CgroupEvents {
  std::optional<std::int64_t> high;       // throttled and made to reclaim at memory.high
  std::optional<std::int64_t> max;        // hit the limit; memory.failcnt of version 1
  std::optional<std::int64_t> oom;        // an allocation was about to fail
  std::optional<std::int64_t> oom_kills;  // processes that the kernel killed for memory

  friend bool operator==(const CgroupEvents&, const CgroupEvents&) = default;
};

// memory.events: "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n...". Fails when it has none of them.
Result<CgroupEvents> parse_memory_events(std::string_view text);

// The number behind "oom_kill" in memory.oom_control; empty before Linux 4.13.
std::optional<std::int64_t> parse_oom_control(std::string_view text);

// `now` less `before`, count by count. A count that went back belongs to a new group: all of it is
// new then.
CgroupEvents events_since(const CgroupEvents& before, const CgroupEvents& now);

// Reads one or two small files. Not thread-safe.
class CgroupEventsProbe {
 public:
  // `root` is "/" or a fixture tree.
  explicit CgroupEventsProbe(std::string root = "/");

  // What was counted since the last call; the first call tells zeros. Counts of version 2 include
  // those of groups below. Fails where there is no memory cgroup or its files cannot be used.
  Result<CgroupEvents> sample();

 private:
  Result<CgroupEvents> read() const;

  std::optional<CgroupPath> group_;
  std::string problem_;  // why there is no group
  std::optional<CgroupEvents> last_;
};

}  // namespace tonnage
