#include "process/activity.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "base/descriptors.h"
#include "base/file_handle.h"

namespace tonnage {
namespace {

// Fields are counted as in proc_pid_stat(5), after "pid (name)".
constexpr std::size_t kFirstField = 3;
constexpr std::size_t kMinorFaults = 10, kMajorFaults = 12, kUserTime = 14, kSystemTime = 15;
constexpr std::size_t kResident = 24;
constexpr std::size_t kProcessesMax = 64;

// Of one processor.
constexpr int kComputingPercent = 2;
constexpr int kLoadingPercent = 5;
constexpr std::uint64_t kReadMin = 4096;
constexpr std::uint64_t kMinorFaultsMin = 16;
constexpr std::uint64_t kPagesMin = 16;

std::string read_text(const std::string& path) {
  const FileHandle file(
      open_with_reserve([&path] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  std::array<char, 4096> buffer{};
  const auto size = file ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string_view next_word(std::string_view& rest) {
  const std::size_t begin = std::min(rest.find_first_not_of(" \n"), rest.size());
  rest.remove_prefix(begin);
  const std::string_view word = rest.substr(0, rest.find_first_of(" \n"));
  rest.remove_prefix(word.size());
  return word;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t field_of(std::string_view io, std::string_view name) {
  const std::size_t at = io.find(name);
  return at == std::string_view::npos ? 0 : number(io.substr(at + name.size()));
}

std::vector<pid_t> family(pid_t pid) {
  std::vector<pid_t> all{pid};
  for (std::size_t i = 0; i < all.size() && all.size() < kProcessesMax; ++i) {
    const std::string id = std::to_string(all[i]);
    const std::string children = read_text("/proc/" + id + "/task/" + id + "/children");
    std::string_view rest = children;
    for (auto word = next_word(rest); !word.empty(); word = next_word(rest))
      all.push_back(static_cast<pid_t>(number(word)));
  }
  return all;
}

bool computed_percent(const ProcessActivity& before, const ProcessActivity& now, Duration elapsed,
                      int percent) {
  return (now.cpu - before.cpu) * 100 >= elapsed * percent && now.cpu > before.cpu;
}

// A process of the family may have ended, and its counters with it.
std::uint64_t grown(std::uint64_t before, std::uint64_t now) {
  return now > before ? now - before : 0;
}

}  // namespace

ProcessActivity& ProcessActivity::operator+=(const ProcessActivity& other) {
  cpu += other.cpu;
  bytes_read += other.bytes_read;
  major_faults += other.major_faults;
  minor_faults += other.minor_faults;
  resident_pages += other.resident_pages;
  return *this;
}

std::optional<ProcessActivity> parse_process_activity(std::string_view stat, std::string_view io) {
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos)
    return std::nullopt;
  stat.remove_prefix(name_end + 1);
  std::array<std::string_view, kResident + 1> fields{};
  for (std::size_t i = kFirstField; i < fields.size(); ++i)
    fields[i] = next_word(stat);
  if (fields[kResident].empty())
    return std::nullopt;
  static const long ticks = ::sysconf(_SC_CLK_TCK);
  const auto spent = number(fields[kUserTime]) + number(fields[kSystemTime]);
  ProcessActivity activity;
  activity.cpu = std::chrono::seconds(1) * static_cast<std::int64_t>(spent) / ticks;
  activity.bytes_read = field_of(io, "rchar: ") + field_of(io, "read_bytes: ");
  activity.major_faults = number(fields[kMajorFaults]);
  activity.minor_faults = number(fields[kMinorFaults]);
  activity.resident_pages = number(fields[kResident]);
  return activity;
}

std::optional<ProcessActivity> read_process_activity(pid_t pid) {
  std::optional<ProcessActivity> sum;
  for (const pid_t one : family(pid)) {
    const std::string folder = "/proc/" + std::to_string(one);
    if (const auto own =
            parse_process_activity(read_text(folder + "/stat"), read_text(folder + "/io"))) {
      sum = sum.value_or(ProcessActivity{});
      *sum += *own;
    }
  }
  return sum;
}

bool load_progressed(const ProcessActivity& before, const ProcessActivity& now, Duration elapsed) {
  return grown(before.bytes_read, now.bytes_read) >= kReadMin ||
         grown(before.major_faults, now.major_faults) > 0 ||
         grown(before.minor_faults, now.minor_faults) >= kMinorFaultsMin ||
         grown(before.resident_pages, now.resident_pages) >= kPagesMin ||
         computed_percent(before, now, elapsed, kLoadingPercent);
}

bool computed(const ProcessActivity& before, const ProcessActivity& now, Duration elapsed) {
  return computed_percent(before, now, elapsed, kComputingPercent);
}

}  // namespace tonnage
