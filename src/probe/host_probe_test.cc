#include "probe/host_probe.h"

#include <gtest/gtest.h>

#include "probe/arc.h"
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

std::string arcstats(Bytes size, Bytes c_min) {
  return "13 1 0x01 147 39984 0 0\nname                            type data\n"
         "hits                            4    100\nc                               4    7\n"
         "c_min                           4    " +
         std::to_string(c_min.count) + "\nsize                            4    " +
         std::to_string(size.count) + "\n";
}
constexpr std::string_view kArc = "/proc/spl/kstat/zfs/arcstats";

TEST(Arc, ReadsWhatMatters) {
  const auto stats = parse_arcstats(arcstats(5_GiB, 1_GiB));
  ASSERT_TRUE(stats);
  EXPECT_EQ(*stats, (ArcStats{5_GiB, 1_GiB}));
  EXPECT_EQ(stats->reclaimable(), 4_GiB);
  EXPECT_EQ((ArcStats{1_GiB, 2_GiB}.reclaimable()), 0_B);
}

TEST(Arc, InventsNothing) {
  for (const char* text : {"", "size 4 12\n", "c_min 4 12\n", "size 4 nonsense\nc_min 4\n",
                           "size 4 12\nc_min 4 -1\n", "size 4 12\nsize 4 13\nc_min 4 1\n",
                           "size 4 99999999999999999999\nc_min 4 1\n", "size 12\nc_min 4 1\n"})
    EXPECT_FALSE(parse_arcstats(text)) << text;
}

TEST(HostProbe, WhatZfsGivesBackIsAvailableAndNamed) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 2_GiB)).file(kArc, arcstats(10_GiB, 1_GiB));
  const auto sample = HostProbe(tree.root()).sample(1_GiB);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->available, 11_GiB);
  EXPECT_EQ(sample->foreign, 4_GiB);
  EXPECT_NE(sample->source.find("ZFS ARC 10.00 GiB of which 9.00 GiB can be reclaimed"),
            std::string::npos)
      << sample->source;
  EXPECT_TRUE(sample->left_out.empty());
}

TEST(HostProbe, AnArcAtItsLeastAddsNothingAndIsNamed) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 2_GiB)).file(kArc, arcstats(10_GiB, 10_GiB));
  const auto sample = HostProbe(tree.root()).sample(0_B);
  EXPECT_EQ(sample->available, 2_GiB);
  EXPECT_NE(sample->source.find("ZFS ARC 10.00 GiB of which 0 B"), std::string::npos)
      << sample->source;
}

TEST(HostProbe, AnArcLargerThanTheMachineIsNotBelieved) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 2_GiB)).file(kArc, arcstats(8192_GiB, 0_B));
  const auto sample = HostProbe(tree.root()).sample(0_B);
  EXPECT_EQ(sample->available, 16_GiB);
  EXPECT_EQ(sample->foreign, 0_B);
}

TEST(HostProbe, TheMachinesArcAddsNothingBeyondACgroupsLimit) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 2_GiB))
      .file(kArc, arcstats(10_GiB, 1_GiB))
      .file("/proc/self/cgroup", "0::/job\n")
      .file("/proc/self/mountinfo", kUnifiedMount);
  add_v2_level(tree, "/job", 4_GiB, 3_GiB, 0_B);
  const auto sample = HostProbe(tree.root()).sample(0_B);
  EXPECT_EQ(sample->capacity, 4_GiB);
  EXPECT_EQ(sample->available, 1_GiB);
  EXPECT_EQ(sample->foreign, 3_GiB);
}

TEST(HostProbe, AnArcThatCannotBeReadChangesNothingAndIsNamed) {
  FixtureTree tree;
  tree.file("/proc/meminfo", meminfo(16_GiB, 2_GiB)).file(kArc, "size 4 nonsense\nc_min 4\n");
  HostProbe probe(tree.root());
  auto sample = probe.sample(0_B);
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->available, 2_GiB);
  ASSERT_EQ(sample->left_out.size(), 1U);
  EXPECT_NE(sample->left_out[0].find("arcstats"), std::string::npos) << sample->left_out[0];
  tree.file(kArc, arcstats(10_GiB, 1_GiB));
  sample = probe.sample(0_B);
  EXPECT_EQ(sample->available, 11_GiB);
  EXPECT_TRUE(sample->left_out.empty());
  tree.remove(kArc);
  sample = probe.sample(0_B);
  EXPECT_EQ(sample->available, 2_GiB);
  EXPECT_EQ(sample->left_out,
            std::vector<std::string>{"the ARC of ZFS, which is no longer reported"});
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
