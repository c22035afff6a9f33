#include "probe/cpu_budget.h"

#include <gtest/gtest.h>

#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

TEST(CpuBudgetTest, ReadsQuotasOfBothVersions) {
  EXPECT_EQ(parse_cpu_max("150000 100000\n"), 1500);
  EXPECT_EQ(parse_cpu_max("max 100000\n"), std::nullopt);
  EXPECT_EQ(parse_cpu_max(""), std::nullopt);
  EXPECT_EQ(parse_cpu_max("100000 0\n"), std::nullopt);
  EXPECT_EQ(cpu_quota("200000\n", "100000\n"), 2000);
  EXPECT_EQ(cpu_quota("-1\n", "100000\n"), std::nullopt);
}

TEST(CpuBudgetTest, TheLeastQuotaOfAllGroupsAboveCounts) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "0::/a/b\n")
      .file("/proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
      .file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
      .file("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  CpuBudget budget{.online = 8, .allowed = 8};
  read_cpu_quota(tree.root(), budget);
  EXPECT_EQ(budget.quota_permille, 2500);
  EXPECT_EQ(budget.quota_path, tree.path("/sys/fs/cgroup/a"));
  EXPECT_EQ(budget.threads(), 2);
}

TEST(CpuBudgetTest, OfVersionOneTheCpuControllerCounts) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/a/b\n")
      .file("/proc/self/mountinfo",
            "30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n")
      .file("/sys/fs/cgroup/memory/m/cpu.cfs_quota_us", "100000\n")
      .file("/sys/fs/cgroup/memory/m/cpu.cfs_period_us", "100000\n")
      .file("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "600000\n")
      .file("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n")
      .file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000\n")
      .file("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n")
      .file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
      .file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  CpuBudget budget{.online = 32, .allowed = 32};
  read_cpu_quota(tree.root(), budget);
  EXPECT_EQ(budget.quota_permille, 3000);
  EXPECT_EQ(budget.threads(), 3);
}

TEST(CpuBudgetTest, TheLesserOfQuotaAndAffinityCounts) {
  const CpuBudget free{.online = 8, .allowed = 8};
  EXPECT_EQ(free.threads(), std::nullopt) << "the engine knows the machine itself";
  EXPECT_EQ(free.reason(), "");
  const CpuBudget bound{.online = 8, .allowed = 3};
  EXPECT_EQ(bound.threads(), 3);
  EXPECT_EQ(bound.reason(), "3 of 8 processors by affinity");
  const CpuBudget both{.online = 8, .allowed = 3, .quota_permille = 500, .quota_path = "/g"};
  EXPECT_EQ(both.threads(), 1) << "never none";
  EXPECT_EQ(both.reason(), "0.50 of 8 processors by the quota of /g");
  const CpuBudget wide{.online = 8, .allowed = 8, .quota_permille = 9000, .quota_path = "/g"};
  EXPECT_EQ(wide.threads(), std::nullopt);
}

TEST(CpuBudgetTest, AMachineWithoutGroupsHasNoQuota) {
  const FixtureTree tree;
  const CpuBudget budget = cpu_budget(tree.root());
  EXPECT_GE(budget.allowed, 1);
  EXPECT_LE(budget.allowed, budget.online);
  EXPECT_FALSE(budget.quota_permille);
}

}  // namespace
}  // namespace tonnage
