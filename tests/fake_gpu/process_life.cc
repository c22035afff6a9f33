#include "process_life.h"

#include <fstream>
#include <sstream>
#include <string>

namespace fake_gpu {

std::optional<std::uint64_t> process_started(std::int32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  // The name, in parentheses, may hold anything; what follows is "S 1 1 1 0 ...".
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos)
    return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string state;
  fields >> state;
  if (state.empty() || state == "Z" || state == "X")
    return std::nullopt;
  constexpr int kBetween = 18;  // state is field 3, the start time field 22
  std::string skipped;
  for (int i = 0; i < kBetween; ++i)
    fields >> skipped;
  std::uint64_t started = 0;
  fields >> started;
  return fields ? std::optional(started) : std::nullopt;
}

bool process_lives(std::int32_t pid, std::uint64_t started) {
  return process_started(pid) == started;
}

}  // namespace fake_gpu
