#include "process/activity.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "process/stat.h"

namespace tonnage {
namespace {

TEST(ProcessActivity, ReadsWhatTheKernelCounts) {
  const auto activity = parse_process_activity(
      "42 (a b) c) S 1 43 44 0 -1 4194560 100 5 7 9 250 50 0 0 20 0 4 0 123456 1000 200 1844\n",
      "rchar: 1000\nwchar: 7\nsyscr: 1\nsyscw: 1\nread_bytes: 4096\nwrite_bytes: 0\n");
  ASSERT_TRUE(activity);
  EXPECT_EQ(activity->minor_faults, 100U);
  EXPECT_EQ(activity->major_faults, 7U);
  EXPECT_EQ(activity->cpu, 300 * std::chrono::seconds(1) / ::sysconf(_SC_CLK_TCK));
  EXPECT_EQ(activity->bytes_read, 5096U);
  EXPECT_EQ(activity->resident_pages, 200U);
  EXPECT_FALSE(parse_process_activity("42 (a) S 1 2", ""));
  EXPECT_FALSE(parse_process_activity("", ""));
}

TEST(ProcessActivity, ReadsAProcess) {
  const auto own = read_process_activity(::getpid());
  ASSERT_TRUE(own);
  EXPECT_GT(own->resident_pages, 0U);
  EXPECT_GT(own->bytes_read, 0U);
  EXPECT_FALSE(read_process_activity(-1));
}

TEST(ProcessActivity, ALoadProgressesByAnyOfIt) {
  const ProcessActivity before{.cpu = 1s,
                               .bytes_read = 10'000,
                               .major_faults = 5,
                               .minor_faults = 100,
                               .resident_pages = 1000};
  ProcessActivity now = before;
  EXPECT_FALSE(load_progressed(before, now, 1s));
  now.cpu += 10ms;  // it is asked whether it is ready
  now.minor_faults += 3;
  EXPECT_FALSE(load_progressed(before, now, 1s));
  for (const auto& change : {+[](ProcessActivity& a) { a.bytes_read += 4096; },
                             +[](ProcessActivity& a) { a.major_faults += 1; },
                             +[](ProcessActivity& a) { a.minor_faults += 16; },
                             +[](ProcessActivity& a) { a.resident_pages += 16; },
                             +[](ProcessActivity& a) { a.cpu += 60ms; }}) {
    ProcessActivity moved = before;
    change(moved);
    EXPECT_TRUE(load_progressed(before, moved, 1s));
  }
  ProcessActivity less = before;
  less.resident_pages = 10;
  less.bytes_read = 0;  // a child has ended
  EXPECT_FALSE(load_progressed(before, less, 1s));
}

TEST(ProcessActivity, AnsweringProbesIsNoComputation) {
  const ProcessActivity before{.cpu = 10s};
  EXPECT_FALSE(computed(before, {.cpu = 10s + 30ms}, 10s));
  EXPECT_TRUE(computed(before, {.cpu = 10s + 300ms}, 10s));
  EXPECT_FALSE(computed(before, before, 0s));
}

}  // namespace
}  // namespace tonnage
