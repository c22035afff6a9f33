#include "metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

namespace tonnage {
namespace {

std::optional<std::string> text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file)
    return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// The fields of /proc/PID/stat behind the name, which may hold anything: the first is the state.
std::vector<std::string> stat_fields(const std::string& text) {
  std::istringstream rest(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  return {std::istream_iterator<std::string>(rest), {}};
}

// When the machine was started, in Unix time.
std::optional<double> boot_time(const std::filesystem::path& proc) {
  const auto text = text_of(proc.parent_path() / "stat");
  const std::size_t at = text ? text->find("btime ") : std::string::npos;
  if (at == std::string::npos)
    return std::nullopt;
  return std::strtod(text->c_str() + at + 6, nullptr);
}

class Page {
 public:
  void add(std::string_view name, std::string_view type, std::string_view help, double value) {
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "%.15g", value);
    out_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    out_.append(name).append(" ").append(type).append("\n");
    out_.append(name).append(" ").append(number.data()).append("\n");
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace

std::string process_metrics(const std::filesystem::path& proc) {
  // Places behind the name in /proc/PID/stat, see proc(5).
  constexpr std::size_t kUser = 11, kSystem = 12, kStart = 19, kVirtual = 20, kResident = 21;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page_bytes = static_cast<double>(::sysconf(_SC_PAGESIZE));
  Page page;
  const auto text = text_of(proc / "stat");
  const std::vector<std::string> fields = text ? stat_fields(*text) : std::vector<std::string>{};
  const auto number = [&](std::size_t at) { return std::strtod(fields[at].c_str(), nullptr); };
  if (fields.size() > kResident) {
    page.add("process_cpu_seconds_total", "counter", "Processor time of the daemon, in seconds.",
             (number(kUser) + number(kSystem)) / ticks);
    page.add("process_virtual_memory_bytes", "gauge", "Address space of the daemon.",
             number(kVirtual));
    page.add("process_resident_memory_bytes", "gauge", "Memory of the daemon itself.",
             number(kResident) * page_bytes);
    if (const auto boot = boot_time(proc)) {
      page.add("process_start_time_seconds", "gauge", "When the daemon was started, in Unix time.",
               *boot + number(kStart) / ticks);
    }
  }
  std::error_code error;
  const auto files = std::filesystem::directory_iterator(proc / "fd", error);
  if (!error) {
    page.add("process_open_fds", "gauge", "Open file descriptors of the daemon.",
             static_cast<double>(std::distance(begin(files), end(files))));
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    page.add("process_max_fds", "gauge", "File descriptors that the daemon may have open.",
             static_cast<double>(limit.rlim_cur));
  }
  return page.take();
}

}  // namespace tonnage
