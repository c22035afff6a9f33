#include "probe/psi.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "probe/cgroup.h"
#include "probe/proc_file.h"

namespace tonnage {
namespace {

constexpr std::int64_t kPermilleMax = 1000;

// "12.34" percent as permille, rounded down: two decimals, as the kernel prints them.
std::optional<std::int64_t> parse_average(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos || text.size() != dot + 3)
    return std::nullopt;
  const auto whole = parse_count(text.substr(0, dot));
  const auto hundredths = parse_count(text.substr(dot + 1));
  if (!whole || !hundredths || *whole < 0 || *whole > 100 || *hundredths < 0)
    return std::nullopt;
  return std::min(kPermilleMax, *whole * 10 + *hundredths / 10);
}

struct Line {
  std::int64_t permille = 0;
  std::int64_t total_us = 0;
};

std::optional<Line> parse_line(std::string_view words) {
  constexpr std::string_view kAverage = "avg10=";
  constexpr std::string_view kTotal = "total=";
  std::optional<std::int64_t> average;
  std::optional<std::int64_t> total;
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words)) {
    if (word.starts_with(kAverage))
      average = parse_average(word.substr(kAverage.size()));
    if (word.starts_with(kTotal))
      total = parse_count(word.substr(kTotal.size()));
  }
  if (!average || !total || *total < 0)
    return std::nullopt;
  return Line{*average, *total};
}

std::string reason(int code) {
  return std::generic_category().message(code);
}

std::string trigger_reason(int code) {
  switch (code) {
    case EACCES:
    case EPERM:
    case EROFS:
      return "this user may not set triggers; averages are sampled instead";
    case EINVAL:
      return "the kernel refuses this threshold and window";
    case EOPNOTSUPP:
      return "pressure stall information is switched off (boot with psi=1)";
    case EBUSY:
      return "the descriptor has a trigger already";
    default:
      return reason(code);
  }
}

}  // namespace

Result<PsiAverages> parse_psi(std::string_view text) {
  std::optional<Line> some;
  std::optional<Line> full;
  std::string_view line;
  while (next_line(text, line)) {
    const std::string_view kind = next_word(line);
    if (kind == "some")
      some = parse_line(line);
    else if (kind == "full")
      full = parse_line(line);
  }
  if (!some || !full)
    return fail("not pressure stall information", {}, "the lines 'some' and 'full' are wanted");
  return PsiAverages{some->permille, full->permille, some->total_us, full->total_us};
}

PsiProbe::PsiProbe(std::string root) {
  files_.push_back(under_root(root, "/proc/pressure/memory"));
  // Pressure belongs to version 2, where every group but the root has it, with or without a memory
  // controller.
  const auto found = find_cgroup(root, CgroupVersion::v2);
  if (!found || !*found)
    return;
  const std::string file = (*found)->levels.front() + "/memory.pressure";
  if (::access(file.c_str(), R_OK) == 0)
    files_.push_back(file);
}

Result<StallSample> PsiProbe::sample() const {
  std::optional<StallSample> worst;
  std::optional<Error> problem;
  for (const std::string& file : files_) {
    const auto text = read_proc_file(file);
    const auto averages =
        text ? parse_psi(*text) : Result<PsiAverages>(std::unexpected(text.error()));
    if (!averages) {
      if (!problem)
        problem = averages.error();
      continue;
    }
    StallSample& sample = worst ? *worst : worst.emplace();
    sample.some_permille = std::max(sample.some_permille, averages->some_permille);
    sample.full_permille = std::max(sample.full_permille, averages->full_permille);
  }
  if (worst)
    return *worst;
  return fail("cannot read", "pressure stall information", problem->text(),
              "a kernel since 4.20 has it, unless it was built or booted without (psi=1)");
}

Result<PsiTrigger> PsiTrigger::open(const std::string& file, Kind kind,
                                    std::chrono::microseconds stall,
                                    std::chrono::microseconds window) {
  TONNAGE_CHECK(window.count() > 0 && window % std::chrono::seconds(2) == window.zero(),
                "a window of a PSI trigger is a multiple of 2 s");
  TONNAGE_CHECK(stall.count() > 0 && stall <= window, "a PSI trigger's stall fits its window");
  const int fd = ::open(file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return fail("cannot set a trigger in", file, trigger_reason(errno));
  PsiTrigger trigger(fd);
  const std::string text = std::string(kind == Kind::some ? "some " : "full ") +
                           std::to_string(stall.count()) + " " + std::to_string(window.count());
  // With the terminating zero, which the kernel wants.
  if (::write(fd, text.c_str(), text.size() + 1) < 0)
    return fail("cannot set a trigger in", file, trigger_reason(errno));
  return trigger;
}

PsiTrigger::~PsiTrigger() {
  if (fd_ >= 0)
    ::close(fd_);
}

PsiTrigger& PsiTrigger::operator=(PsiTrigger&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

bool PsiTrigger::gone() const {
  pollfd poll{.fd = fd_, .events = 0, .revents = 0};
  return ::poll(&poll, 1, 0) < 0 || (poll.revents & (POLLERR | POLLNVAL)) != 0;
}

bool PsiTrigger::wait(std::chrono::milliseconds timeout) const {
  pollfd poll{.fd = fd_, .events = POLLPRI, .revents = 0};
  const int ready = ::poll(&poll, 1, static_cast<int>(timeout.count()));
  return ready > 0 && (poll.revents & POLLPRI) != 0 && (poll.revents & POLLERR) == 0;
}

}  // namespace tonnage
