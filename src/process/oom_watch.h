// OomWatch: whether the kernel has killed something for memory just now.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/tick.h"

namespace tonnage {

// The number behind "oom_kill " in memory.events (cgroup v2), memory.oom_control (v1) or
// /proc/vmstat.
std::optional<std::uint64_t> parse_oom_kills(std::string_view text);

class OomWatch {
 public:
  // Finds the narrowest counter that covers this process and its children: of its cgroup, else of
  // the machine.
  static OomWatch of_this_process();
  explicit OomWatch(std::filesystem::path counter) : counter_(std::move(counter)) {}

  // Called about once a second while servers run.
  void sample(Tick now);
  // A process that was killed for memory may take seconds to give gigabytes back and be gone, so
  // "just now" is what was counted since kWindow ago.
  bool killed_recently(Tick now);

  static constexpr Duration kWindow = 5s;

 private:
  struct Sample {
    Tick time;
    std::uint64_t kills = 0;
  };
  std::optional<std::uint64_t> read() const;

  std::filesystem::path counter_;
  std::deque<Sample> samples_;  // the first is the newest that is older than kWindow, if any is
};

}  // namespace tonnage
