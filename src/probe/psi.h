// PsiProbe, PsiTrigger: how long tasks stand still for want of memory, by the kernel's pressure
// stall information, and a word from the kernel as soon as they do.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tonnage {

// The lines of a pressure file. Source: https://docs.kernel.org/accounting/psi.html
struct PsiAverages {
  std::int64_t some_permille = 0;  // of the last 10 s in which some task stood still
  std::int64_t full_permille = 0;  // in which all did
  std::int64_t some_total_us = 0;  // ever
  std::int64_t full_total_us = 0;

  friend bool operator==(const PsiAverages&, const PsiAverages&) = default;
};

// "some avg10=0.12 avg60=0.00 avg300=0.00 total=345\nfull ...".
Result<PsiAverages> parse_psi(std::string_view text);

// Averages of the machine and of our cgroup, the worse of each.
struct StallSample {
  std::int64_t some_permille = 0;
  std::int64_t full_permille = 0;

  friend bool operator==(const StallSample&, const StallSample&) = default;
};

// Reads one or two small files. Not thread-safe.
class PsiProbe {
 public:
  // `root` is "/" or a fixture tree. Where the pressure files are is found here.
  explicit PsiProbe(std::string root = "/");

  // Fails when no file can be read, and says why: a kernel without PSI, or one where it is
  // switched off.
  Result<StallSample> sample() const;

  // The files in which a trigger can be set, the machine's first.
  const std::vector<std::string>& files() const { return files_; }

 private:
  std::vector<std::string> files_;
};

// One trigger, set in one file for as long as this object lives. For the loop: wait on fd() for an
// exceptional condition (EPOLLPRI; Boost.Asio's wait_error), then call gone(). The kernel reports
// once per window at most, and only while the stall lasts.
class PsiTrigger {
 public:
  enum class Kind : std::uint8_t { some, full };

  // Reports when tasks stood still for `stall` within `window`. Who is not privileged may only use
  // windows of a multiple of 2 s (https://docs.kernel.org/accounting/psi.html); measured on Linux
  // 6.18 without CAP_SYS_RESOURCE: 1 s is refused, 2 s is not. So other windows are a defect of the
  // caller. Fails where the file may not be written or the kernel has no triggers; averages can be
  // sampled all the same.
  static Result<PsiTrigger> open(const std::string& file, Kind kind,
                                 std::chrono::microseconds stall,
                                 std::chrono::microseconds window = std::chrono::seconds(2));

  // Takes over a descriptor that a trigger was written into.
  explicit PsiTrigger(int fd) : fd_(fd) {}
  ~PsiTrigger();
  PsiTrigger(PsiTrigger&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  PsiTrigger& operator=(PsiTrigger&& other) noexcept;

  int fd() const { return fd_; }

  // After a wake-up: the file's cgroup was removed, and nothing more will be reported.
  bool gone() const;

  // For who has no loop: true once tasks stalled, false when the time is over or it is gone().
  bool wait(std::chrono::milliseconds timeout) const;

 private:
  int fd_ = -1;
};

}  // namespace tonnage
