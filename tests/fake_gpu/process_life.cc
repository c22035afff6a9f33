#include "process_life.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <string>

namespace fake_gpu {

std::optional<std::uint64_t> process_started(std::int32_t pid) {
  const int fd = ::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return std::nullopt;
  std::array<char, 1024> buffer{};
  const auto count = ::read(fd, buffer.data(), buffer.size());
  ::close(fd);
  const std::string line(buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
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
