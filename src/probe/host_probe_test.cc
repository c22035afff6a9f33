#include "probe/host_probe.h"

#include <gtest/gtest.h>

#include "probe/fixture_tree.h"
#include "probe/meminfo.h"

namespace tonnage {
namespace {

std::string meminfo(Bytes total, Bytes available) {
  return "MemTotal:       " + std::to_string(total.count / 1024) +
         " kB\nMemFree:        1024 kB\nMemAvailable:   " + std::to_string(available.count / 1024) +
         " kB\nBuffers:        0 kB\nCached:         2048 kB\nSwapTotal:      4096 kB\n"
         "SwapFree:       1024 kB\n";
}

constexpr std::string_view kUnifiedMount =
    "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";

void add_v2_level(FixtureTree& tree, std::string_view path, Bytes limit, Bytes used, Bytes cache) {
  const std::string folder = "/sys/fs/cgroup" + std::string(path);
  tree.file(folder + "/memory.max", std::to_string(limit.count) + "\n")
      .file(folder + "/memory.high", "max\n")
      .file(folder + "/memory.current", std::to_string(used.count) + "\n")
      .file(folder + "/memory.stat", "inactive_file " + std::to_string(cache.count) + "\n");
}

TEST(MemInfo, ReadsWhatMatters) {
  const auto info = parse_meminfo(meminfo(16_GiB, 12_GiB));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->total, 16_GiB);
  EXPECT_EQ(info->available, 12_GiB);
  EXPECT_EQ(info->swap_total, 4_MiB);
  EXPECT_EQ(info->swap_free, 1_MiB);
}

TEST(MemInfo, EstimatesAvailableOnOldKernels) {
  const auto info = parse_meminfo(
      "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 300 kB\nShmem: 50 kB\n");
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->available_estimated);
  EXPECT_EQ(info->available, 370_KiB);
}

TEST(MemInfo, InventsNothing) {
  EXPECT_FALSE(parse_meminfo(""));
  EXPECT_FALSE(parse_meminfo("MemTotal: 0 kB\nMemAvailable: 0 kB\n"));
  EXPECT_FALSE(parse_meminfo("MemTotal: 12 MB\nMemAvailable: 1 kB\n"));
  EXPECT_FALSE(parse_meminfo("MemTotal: 99999999999999999 kB\nMemAvailable: 1 kB\n"));
  EXPECT_FALSE(parse_meminfo("MemTotal: 1000 kB\n"));
}

TEST(MemInfo, AvailableIsNeverMoreThanThereIs) {
  EXPECT_EQ(parse_meminfo("MemTotal: 10 kB\nMemAvailable: 20 kB\n")->available, 10_KiB);
}

TEST(HostProbe, TheMachineAloneWithoutACgroup) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 10_GiB));
  const auto sample = HostProbe(tree.root()).sample(2_GiB);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->capacity, 16_GiB);
  EXPECT_EQ(sample->available, 10_GiB);
  EXPECT_EQ(sample->foreign, 4_GiB);
  EXPECT_NE(sample->source.find("machine 16.00 GiB"), std::string::npos) << sample->source;
  EXPECT_NE(sample->source.find("cgroup unknown"), std::string::npos) << sample->source;
}

TEST(HostProbe, ForeignUseIsNeverNegative) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 10_GiB));
  EXPECT_EQ(HostProbe(tree.root()).sample(7_GiB)->foreign, 0_B);
}

TEST(HostProbe, TheSmallestLimitOnTheWayToTheRootIsTheCapacity) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 15_GiB))
      .file("/proc/self/cgroup", "0::/outer/inner\n")
      .file("/proc/self/mountinfo", kUnifiedMount);
  add_v2_level(tree, "/outer/inner", 8_GiB, 3_GiB, 1_GiB);
  add_v2_level(tree, "/outer", 6_GiB, 4_GiB, 1_GiB);
  const auto sample = HostProbe(tree.root()).sample(1_GiB);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->capacity, 6_GiB);
  EXPECT_EQ(sample->available, 3_GiB);  // 6 - (4 - 1)
  EXPECT_EQ(sample->foreign, 2_GiB);
  EXPECT_EQ(sample->source, "cgroup v2 /sys/fs/cgroup/outer 6.00 GiB of machine 16.00 GiB");
}

TEST(HostProbe, ALargerLimitWithLessRoomStillBindsWhatIsAvailable) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 15_GiB))
      .file("/proc/self/cgroup", "0::/outer/inner\n")
      .file("/proc/self/mountinfo", kUnifiedMount);
  add_v2_level(tree, "/outer/inner", 4_GiB, 1_GiB, 0_B);
  add_v2_level(tree, "/outer", 8_GiB, 7_GiB, 0_B);
  const auto sample = HostProbe(tree.root()).sample(1_GiB);
  EXPECT_EQ(sample->capacity, 4_GiB);
  EXPECT_EQ(sample->available, 1_GiB);
  EXPECT_EQ(sample->foreign, 2_GiB);
}

TEST(HostProbe, AFullMachineCountsInsideARoomyCgroup) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 2_GiB))
      .file("/proc/self/cgroup", "0::/job\n")
      .file("/proc/self/mountinfo", kUnifiedMount);
  add_v2_level(tree, "/job", 8_GiB, 1_GiB, 0_B);
  const auto sample = HostProbe(tree.root()).sample(1_GiB);
  EXPECT_EQ(sample->capacity, 8_GiB);
  EXPECT_EQ(sample->available, 2_GiB);
  EXPECT_EQ(sample->foreign, 5_GiB);
}

TEST(HostProbe, ReadsAHybridSystemsVersion1Files) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 15_GiB))
      .file("/proc/self/cgroup", "4:memory:/job\n0::/\n")
      .file("/proc/self/mountinfo",
            "33 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
            "35 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
      .file("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4294967296\n")
      .file("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "3221225472\n")
      .file("/sys/fs/cgroup/memory/job/memory.stat",
            "total_inactive_file 1073741824\ntotal_active_file 1073741824\n")
      .file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
      .file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
  const auto sample = HostProbe(tree.root()).sample(0_B);
  EXPECT_EQ(sample->capacity, 4_GiB);
  EXPECT_EQ(sample->available, 3_GiB);
  EXPECT_EQ(sample->foreign, 1_GiB);
}

TEST(HostProbe, ABrokenCgroupFallsBackAndSaysSo) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 10_GiB))
      .file("/proc/self/cgroup", "0::/job\n")
      .file("/proc/self/mountinfo", kUnifiedMount)
      .file("/sys/fs/cgroup/job/memory.max", "\x01\x02garbage");
  const auto sample = HostProbe(tree.root()).sample(0_B);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->capacity, 16_GiB);
  EXPECT_NE(sample->source.find("left out: cannot use"), std::string::npos) << sample->source;
}

TEST(HostProbe, SearchesAgainWhenItsCgroupWasRemoved) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 10_GiB))
      .file("/proc/self/cgroup", "0::/old\n")
      .file("/proc/self/mountinfo", kUnifiedMount);
  add_v2_level(tree, "/old", 4_GiB, 0_B, 0_B);
  HostProbe probe(tree.root());
  EXPECT_EQ(probe.sample(0_B)->capacity, 4_GiB);
  tree.remove("/sys/fs/cgroup/old");
  tree.file("/proc/self/cgroup", "0::/new\n");
  add_v2_level(tree, "/new", 5_GiB, 0_B, 0_B);
  EXPECT_EQ(probe.sample(0_B)->capacity, 5_GiB);
}

TEST(HostProbe, FailsOnlyWithoutMeminfo) {
  FixtureTree tree;
  EXPECT_FALSE(HostProbe(tree.root()).sample(0_B));
}

TEST(HostProbe, ReadsThisMachine) {
  const auto sample = HostProbe().sample(0_B);
  ASSERT_TRUE(sample) << sample.error().text();
  EXPECT_GT(sample->capacity, 16_MiB);
  EXPECT_GE(sample->available, 0_B);
  EXPECT_LE(sample->available + sample->foreign, sample->capacity);
}

}  // namespace
}  // namespace tonnage
