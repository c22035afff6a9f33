#include "process/oom_watch.h"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

namespace tonnage {
namespace {

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The counter file of the cgroup that a line "ID:CONTROLLERS:PATH" of /proc/self/cgroup names.
std::optional<std::filesystem::path> counter_of(std::string_view line) {
  const std::size_t first = line.find(':');
  const std::size_t second = line.find(':', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos)
    return std::nullopt;
  const std::string_view controllers = line.substr(first + 1, second - first - 1);
  const std::string path(line.substr(second + 1));
  std::filesystem::path file;
  if (controllers.empty()) {
    file = "/sys/fs/cgroup" + path + "/memory.events";
  } else if (controllers == "memory") {
    file = "/sys/fs/cgroup/memory" + path + "/memory.oom_control";
  } else {
    return std::nullopt;
  }
  // An old kernel's file lacks the count; in a container the path may be the host's.
  return parse_oom_kills(read_whole(file)) ? std::optional(file) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_oom_kills(std::string_view text) {
  constexpr std::string_view kName = "oom_kill ";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(kName))
      continue;
    std::uint64_t count = 0;
    const std::string_view number = line.substr(kName.size());
    const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), count);
    if (error == std::errc())
      return count;
  }
  return std::nullopt;
}

OomWatch OomWatch::of_this_process() {
  const std::string groups = read_whole("/proc/self/cgroup");
  std::string_view rest = groups;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (auto file = counter_of(rest.substr(0, end)))
      return OomWatch(std::move(*file));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return OomWatch("/proc/vmstat");
}

std::optional<std::uint64_t> OomWatch::read() const {
  return parse_oom_kills(read_whole(counter_));
}

void OomWatch::sample(Tick now) {
  const auto kills = read();
  if (!kills)
    return;
  // Nobody looked for a while: what was counted meanwhile says nothing about now.
  if (!samples_.empty() && samples_.back().time + kWindow < now)
    samples_.clear();
  samples_.push_back(Sample{.time = now, .kills = *kills});
  while (samples_.size() > 1 && samples_[1].time + kWindow <= now)
    samples_.pop_front();
}

bool OomWatch::killed_recently(Tick now) {
  if (samples_.empty())
    return false;
  const auto before = samples_.front().kills;
  sample(now);
  return samples_.back().kills > before;
}

}  // namespace tonnage
