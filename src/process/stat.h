// read_process_stat: the few fields of /proc/PID/stat that tell one process from another.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tonnage {

struct ProcessStat {
  char state = '?';  // R S D T t Z X I
  pid_t group = 0;
  std::uint64_t start_ticks = 0;  // since boot; with the boot id it names a process for ever
};

// Nothing when there is no such process.
std::optional<ProcessStat> read_process_stat(pid_t pid);
// For one line in the kernel's format; the program's name in it may hold anything.
std::optional<ProcessStat> parse_process_stat(std::string_view line);

// Differs after each boot of the machine; empty where the kernel does not tell.
std::string boot_id();

}  // namespace tonnage
