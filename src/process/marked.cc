#include "process/marked.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <optional>

#include "process/pidfd.h"

namespace tonnage {
namespace {

// What the kernel keeps of a program's arguments and variables is 2 MiB at most, as a rule.
constexpr std::size_t kEnvironmentBytesMax = std::size_t{2} << 20;

std::string environment_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/environ";
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char piece[16 * 1024];
  while (file && text.size() < kEnvironmentBytesMax) {
    const auto count = ::read(file.get(), piece, sizeof piece);
    if (count <= 0)
      break;
    text.append(piece, static_cast<std::size_t>(count));
  }
  return text;
}

// `mark` is a whole variable, or the beginning of one.
bool has_variable(const std::string& environment, const std::string& mark) {
  return environment.starts_with(mark) ||
         environment.find(std::string(1, '\0') + mark) != std::string::npos;
}

std::optional<pid_t> number_of(const std::string& name) {
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (error != std::errc() || end != name.data() + name.size())
    return std::nullopt;
  return pid;
}

}  // namespace

std::string mark_variable(std::string_view name) {
  return std::string(kMarkVariable) + "=" + std::string(name);
}

std::vector<std::pair<pid_t, FileHandle>> kill_marked(std::string_view name) {
  const std::string mark = mark_variable(name);
  std::vector<std::pair<pid_t, FileHandle>> killed;
  std::error_code error;
  for (std::filesystem::directory_iterator at("/proc", error), end; !error && at != end;
       at.increment(error)) {
    const auto pid = number_of(at->path().filename().string());
    if (!pid || *pid == ::getpid())
      continue;
    // It pins the process, so that its number cannot pass to another one after the look.
    FileHandle pidfd = open_pidfd(*pid);
    if (pidfd && has_variable(environment_of(*pid), mark) && signal_pidfd(pidfd, SIGKILL))
      killed.emplace_back(*pid, std::move(pidfd));
  }
  return killed;
}

}  // namespace tonnage
