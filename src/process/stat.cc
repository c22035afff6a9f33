#include "process/stat.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>

#include "base/file_handle.h"

namespace tonnage {
namespace {

// Fields are counted as in proc_pid_stat(5), after "pid (name)".
constexpr int kStateField = 3;
constexpr int kGroupField = 5;
constexpr int kStartField = 22;

template <std::size_t size>
std::string_view read_small_file(const char* path, std::array<char, size>& buffer) {
  const FileHandle file(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file)
    return {};
  const auto count = ::read(file.get(), buffer.data(), buffer.size());
  return count > 0 ? std::string_view(buffer.data(), static_cast<std::size_t>(count))
                   : std::string_view();
}

template <typename T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view line) {
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos)
    return std::nullopt;
  ProcessStat stat;
  std::string_view rest = line.substr(name_end + 1);
  for (int field = kStateField; field <= kStartField; ++field) {
    const std::size_t begin = rest.find_first_not_of(' ');
    if (begin == std::string_view::npos)
      return std::nullopt;
    rest.remove_prefix(begin);
    const std::string_view word = rest.substr(0, rest.find_first_of(" \n"));
    rest.remove_prefix(word.size());
    if (field == kStateField) {
      stat.state = word.front();
    } else if (field == kGroupField && !parse_whole(word, stat.group)) {
      return std::nullopt;
    } else if (field == kStartField && !parse_whole(word, stat.start_ticks)) {
      return std::nullopt;
    }
  }
  return stat;
}

std::optional<ProcessStat> read_process_stat(pid_t pid) {
  std::array<char, 1024> buffer{};
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const std::string_view line = read_small_file(path.c_str(), buffer);
  if (line.empty())
    return std::nullopt;
  return parse_process_stat(line);
}

std::string boot_id() {
  std::array<char, 64> buffer{};
  const std::string_view id = read_small_file("/proc/sys/kernel/random/boot_id", buffer);
  return std::string(id.substr(0, id.find('\n')));
}

}  // namespace tonnage
