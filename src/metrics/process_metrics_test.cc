#include "metrics/process_metrics.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ProcessMetrics, OfThisProcessAreThere) {
  const std::string text = process_metrics("/proc/self");
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_start_time_seconds",
                           "process_open_fds", "process_max_fds"}) {
    EXPECT_THAT(text, HasSubstr("\n" + std::string(name) + " ")) << name;
    EXPECT_THAT(text, HasSubstr("# TYPE " + std::string(name) + " ")) << name;
  }
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter"));
}

TEST(ProcessMetrics, ANameWithSpacesAndBracketsShiftsNothing) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("tonnage-process-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "7");
  std::ofstream(folder / "7/stat")
      << "7 (a) b c) S 1 7 7 0 -1 4194560 0 0 0 0 250 50 0 0 20 0 1 0 4000 8192 3 0\n";
  std::ofstream(folder / "stat") << "cpu 1 2\nbtime 1000\n";
  const std::string text = process_metrics(folder / "7");
  std::filesystem::remove_all(folder);
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::array<char, 32> cpu{};
  std::snprintf(cpu.data(), cpu.size(), "%.15g", 300 / ticks);
  EXPECT_THAT(text, HasSubstr("\nprocess_cpu_seconds_total " + std::string(cpu.data()) + "\n"));
  EXPECT_THAT(text, HasSubstr("\nprocess_virtual_memory_bytes 8192\n"));
  EXPECT_THAT(text, Not(HasSubstr("process_open_fds ")));
}

}  // namespace
}  // namespace tonnage
