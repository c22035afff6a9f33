#include "probe/cgroup.h"

#include <gtest/gtest.h>

#include "base/prng.h"
#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

constexpr std::string_view kV2Mount =
    "25 1 0:22 / /proc rw - proc proc rw\n"
    "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view kHybridMounts =
    "33 30 0:28 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw\n"
    "34 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

// A limit, "none" or "error", as text that a failing test prints.
std::string limit(std::string_view text) {
  const auto parsed = parse_limit(text);
  if (!parsed)
    return "error";
  return *parsed ? std::to_string((*parsed)->count) : "none";
}

TEST(Cgroup, ReadsLimits) {
  EXPECT_EQ(limit("max\n"), "none");
  EXPECT_EQ(limit("9223372036854771712\n"), "none");  // 4 KiB pages
  EXPECT_EQ(limit("9223372036854710272\n"), "none");  // 64 KiB pages
  EXPECT_EQ(limit("-1\n"), "none");
  EXPECT_EQ(limit("1073741824\n"), "1073741824");
  EXPECT_EQ(limit("0\n"), "0");
  EXPECT_EQ(limit(""), "error");
  EXPECT_EQ(limit("lots"), "error");
  EXPECT_EQ(limit("-5"), "error");
  EXPECT_EQ(limit("18446744073709551615"), "error");
}

TEST(Cgroup, TheCacheOfFileNamesCanBeReclaimedToo) {
  EXPECT_EQ(parse_reclaimable(CgroupVersion::v2,
                              "inactive_file 100\nslab_reclaimable 30\nslab_unreclaimable 9\n"),
            130_B);
  EXPECT_EQ(parse_reclaimable(CgroupVersion::v1, "total_inactive_file 100\nslab_reclaimable 3\n"),
            100_B);
}

TEST(Cgroup, ReclaimableIsTheFileCacheOfTheWholeSubtree) {
  EXPECT_EQ(parse_reclaimable(CgroupVersion::v2,
                              "anon 5\nfile 900\ninactive_file 100\nactive_file 20\n"
                              "unevictable 7\n"),
            120_B);
  EXPECT_EQ(parse_reclaimable(CgroupVersion::v1,
                              "inactive_file 1\nactive_file 2\ntotal_inactive_file 100\n"
                              "total_active_file 20\n"),
            120_B);
  EXPECT_EQ(parse_reclaimable(CgroupVersion::v2, "inactive_file x\nactive_file -3\n"), 0_B);
  EXPECT_EQ(
      parse_reclaimable(CgroupVersion::v2, "inactive_file 9223372036854775807\nactive_file 1\n"),
      0_B);
}

TEST(Cgroup, UnescapesMountPoints) {
  const auto mounts =
      parse_cgroup_mounts("1 2 0:3 / /mnt/a\\040b rw shared:1 master:2 - cgroup2 none rw\n");
  ASSERT_EQ(mounts.size(), 1u);
  EXPECT_EQ(mounts[0].point, "/mnt/a b");
}

TEST(Cgroup, FindsTheVersion2PathUpToTheMount) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "0::/user.slice/app.scope\n")
      .file("/proc/self/mountinfo", kV2Mount);
  const auto found = find_cgroup(tree.root());
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->version, CgroupVersion::v2);
  EXPECT_EQ((*found)->levels,
            (std::vector{tree.path("/sys/fs/cgroup/user.slice/app.scope"),
                         tree.path("/sys/fs/cgroup/user.slice"), tree.path("/sys/fs/cgroup")}));
}

TEST(Cgroup, Version1WinsOnAHybridSystem) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "7:cpu,cpuacct:/x\n4:memory:/job\n0::/unified\n")
      .file("/proc/self/mountinfo", kHybridMounts);
  const auto found = find_cgroup(tree.root());
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->version, CgroupVersion::v1);
  EXPECT_EQ((*found)->levels, (std::vector{tree.path("/sys/fs/cgroup/memory/job"),
                                           tree.path("/sys/fs/cgroup/memory")}));
}

TEST(Cgroup, Version2IsUsedWhenVersion1HasNoMemoryController) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "7:cpu,cpuacct:/x\n0::/unified\n")
      .file("/proc/self/mountinfo", kHybridMounts);
  const auto found = find_cgroup(tree.root());
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->version, CgroupVersion::v2);
}

TEST(Cgroup, AContainersMountShowsItsOwnSubtree) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "4:memory:/docker/abc/inner\n")
      .file("/proc/self/mountinfo",
            "35 30 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup ro,memory\n");
  const auto found = find_cgroup(tree.root());
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->levels.front(), tree.path("/sys/fs/cgroup/memory/inner"));
  EXPECT_EQ((*found)->levels.size(), 2u);
}

TEST(Cgroup, APathOutsideOfWhatIsMountedMeansTheMountPoint) {
  for (const char* path : {"/../../other", "/elsewhere", "/docker/abcd", "nonsense", ""}) {
    FixtureTree tree;
    tree.file("/proc/self/cgroup", "4:memory:" + std::string(path) + "\n")
        .file("/proc/self/mountinfo",
              "35 30 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup ro,memory\n");
    const auto found = find_cgroup(tree.root());
    ASSERT_TRUE(found && *found) << path;
    EXPECT_EQ((*found)->levels, std::vector{tree.path("/sys/fs/cgroup/memory")}) << path;
  }
}

TEST(Cgroup, NoMemoryCgroupIsNotAnError) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "").file("/proc/self/mountinfo", "25 1 0:22 / /proc rw - proc\n");
  const auto found = find_cgroup(tree.root());
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
}

TEST(Cgroup, ReadsEveryLevelWithALimitAndNamesTheBrokenOnes) {
  FixtureTree tree;
  tree.file("/cg/a/b/memory.max", "max\n")
      .file("/cg/a/b/memory.high", "3000\n")
      .file("/cg/a/b/memory.current", "2500\n")
      .file("/cg/a/b/memory.stat", "inactive_file 400\nactive_file 100\n")
      .file("/cg/a/memory.max", "garbage\n")
      .file("/cg/cgroup.procs", "");
  std::vector<std::string> skipped;
  const auto levels = read_levels(
      {CgroupVersion::v2, {tree.path("/cg/a/b"), tree.path("/cg/a"), tree.path("/cg")}}, skipped);
  ASSERT_EQ(levels.size(), 1u);
  EXPECT_EQ(levels[0].limit, 3000_B);
  EXPECT_EQ(levels[0].available(), 1000_B);
  ASSERT_EQ(skipped.size(), 1u) << "the root has no limit files, which is normal";
  EXPECT_NE(skipped[0].find("garbage"), std::string::npos);
}

TEST(Cgroup, TheSmallerOfMaxAndHighIsTheLimit) {
  FixtureTree tree;
  tree.file("/cg/memory.current", "0\n").file("/cg/memory.max", "3000\n");
  for (const auto& [high, limit] : {std::pair{"2000\n", 2000_B}, {"4000\n", 3000_B}}) {
    tree.file("/cg/memory.high", high);
    std::vector<std::string> skipped;
    const auto levels = read_levels({CgroupVersion::v2, {tree.path("/cg")}}, skipped);
    ASSERT_EQ(levels.size(), 1u);
    EXPECT_EQ(levels[0].limit, limit);
  }
}

TEST(Cgroup, WithoutStatisticsNothingIsReclaimable) {
  FixtureTree tree;
  tree.file("/cg/memory.limit_in_bytes", "1000\n").file("/cg/memory.usage_in_bytes", "1400\n");
  std::vector<std::string> skipped;
  const auto levels = read_levels({CgroupVersion::v1, {tree.path("/cg")}}, skipped);
  ASSERT_EQ(levels.size(), 1u);
  EXPECT_EQ(levels[0].reclaimable, 0_B);
  EXPECT_EQ(levels[0].available(), 0_B);
  tree.remove("/cg/memory.usage_in_bytes");
  EXPECT_TRUE(read_levels({CgroupVersion::v1, {tree.path("/cg")}}, skipped).empty());
  EXPECT_EQ(skipped.size(), 1u);
}

TEST(Cgroup, ParsersSurviveAnyBytes) {
  const std::string seed = std::string(kHybridMounts) + "4:memory:/a\n0::/b\ninactive_file 12\n";
  Prng random(11);
  for (int round = 0; round < 5000; ++round) {
    std::string text = seed;
    for (int edit = 0; edit < 8; ++edit) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    text.resize(random.below(text.size() + 1));
    parse_cgroup_mounts(text);
    parse_proc_cgroup(text);
    (void)parse_limit(text);
    EXPECT_GE(parse_reclaimable(CgroupVersion::v2, text), 0_B);
  }
}

}  // namespace
}  // namespace tonnage
