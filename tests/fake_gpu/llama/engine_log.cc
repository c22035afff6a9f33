#include "llama/engine_log.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>

namespace fake_gpu {

void say_plain(const std::string& text) {
  const std::string line = text + "\n";
  // In one call, so that lines of several threads do not mix.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void say(char level, const std::string& text) {
  static const auto start = std::chrono::steady_clock::now();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::steady_clock::now() - start)
                      .count();
  std::array<char, 64> time{};
  std::snprintf(time.data(), time.size(), "%lld.%02lld.%03lld.%03lld %c ",
                static_cast<long long>(us / 60'000'000),
                static_cast<long long>(us / 1'000'000 % 60),
                static_cast<long long>(us / 1000 % 1000), static_cast<long long>(us % 1000), level);
  say_plain(time.data() + text);
}

std::string mib_text(unsigned long long bytes) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.2f MiB", static_cast<double>(bytes) / 1048576.0);
  return text.data();
}

}  // namespace fake_gpu
