// ProcessActivity: counters that move while a process does something, and judgements about them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/tick.h"

namespace tonnage {

// Of a process and its descendants, as the kernel counts since their start.
struct ProcessActivity {
  Duration cpu{};                  // user and system time of all threads
  std::uint64_t bytes_read = 0;    // by read calls and from the disk
  std::uint64_t major_faults = 0;  // pages of mapped files that had to be read
  std::uint64_t minor_faults = 0;
  std::uint64_t resident_pages = 0;

  ProcessActivity& operator+=(const ProcessActivity& other);
  friend bool operator==(const ProcessActivity&, const ProcessActivity&) = default;
};

// Nothing when there is no such process.
std::optional<ProcessActivity> read_process_activity(pid_t pid);
// For a line of /proc/PID/stat and the text of /proc/PID/io, which may be empty.
std::optional<ProcessActivity> parse_process_activity(std::string_view stat, std::string_view io);

// Whether a server that loads got anywhere within `elapsed`: it read, touched or took memory, or
// computed. Being asked whether it is ready, some twenty times a second, is less.
bool load_progressed(const ProcessActivity& before, const ProcessActivity& now, Duration elapsed);

// Whether it computed: a server that only answers probes uses some thousandths of a processor.
bool computed(const ProcessActivity& before, const ProcessActivity& now, Duration elapsed);

}  // namespace tonnage
