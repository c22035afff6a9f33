#include "probe/cgroup_events.h"

#include <gtest/gtest.h>

#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

constexpr const char* kV2 = "low 0\nhigh 12\nmax 345\noom 2\noom_kill 1\noom_group_kill 0\n";

TEST(CgroupEvents, VersionTwoCountsFourThings) {
  EXPECT_EQ(parse_memory_events(kV2),
            (CgroupEvents{.high = 12, .max = 345, .oom = 2, .oom_kills = 1}));
  // Kernels before 4.13 do not count kills.
  EXPECT_EQ(parse_memory_events("low 0\nhigh 1\nmax 2\noom 3\n")->oom_kills, std::nullopt);
}

TEST(CgroupEvents, WhatCountsNothingIsRefused) {
  for (const char* text : {"", "low 0\n", "high\n", "high x\n", "oom_kill -1\n", "\n\n"})
    EXPECT_FALSE(parse_memory_events(text)) << text;
  EXPECT_EQ(parse_oom_control("oom_kill_disable 0\nunder_oom 0\n"), std::nullopt);
  EXPECT_EQ(parse_oom_control("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7);
  EXPECT_EQ(parse_oom_control("oom_kill many\n"), std::nullopt);
}

TEST(CgroupEvents, ACountThatGoesBackIsThatOfANewGroup) {
  const CgroupEvents before{.high = 5, .max = 100, .oom = {}, .oom_kills = 3};
  EXPECT_EQ(events_since(before, {.high = 7, .max = 2, .oom = 9, .oom_kills = 3}),
            (CgroupEvents{.high = 2, .max = 2, .oom = 0, .oom_kills = 0}));
  EXPECT_EQ(events_since(before, {}), CgroupEvents{});
}

TEST(CgroupEventsProbe, TellsWhatIsNewInVersionTwo) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "0::/user/tonnage\n");
  tree.file("/proc/self/mountinfo", "31 1 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.file("/sys/fs/cgroup/user/tonnage/memory.events", kV2);
  CgroupEventsProbe probe(tree.root());
  EXPECT_EQ(probe.sample(), (CgroupEvents{.high = 0, .max = 0, .oom = 0, .oom_kills = 0}));
  tree.file("/sys/fs/cgroup/user/tonnage/memory.events", "high 12\nmax 350\noom 3\noom_kill 2\n");
  EXPECT_EQ(probe.sample(), (CgroupEvents{.high = 0, .max = 5, .oom = 1, .oom_kills = 1}));
  EXPECT_EQ(probe.sample(), (CgroupEvents{.high = 0, .max = 0, .oom = 0, .oom_kills = 0}));
  tree.file("/sys/fs/cgroup/user/tonnage/memory.events", "?");
  EXPECT_FALSE(probe.sample());
}

TEST(CgroupEventsProbe, TellsWhatIsNewInVersionOne) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "4:memory:/tonnage\n0::/\n");
  tree.file("/proc/self/mountinfo",
            "30 1 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  tree.file("/sys/fs/cgroup/memory/tonnage/memory.failcnt", "100\n");
  CgroupEventsProbe probe(tree.root());
  EXPECT_EQ(probe.sample(), CgroupEvents{.max = 0});
  tree.file("/sys/fs/cgroup/memory/tonnage/memory.failcnt", "117\n");
  tree.file("/sys/fs/cgroup/memory/tonnage/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n");
  // That kills are counted at all is news, not that four have been.
  EXPECT_EQ(probe.sample(), (CgroupEvents{.max = 17, .oom_kills = 0}));
  tree.file("/sys/fs/cgroup/memory/tonnage/memory.failcnt", "lots\n");
  EXPECT_FALSE(probe.sample());
}

TEST(CgroupEventsProbe, WithoutACgroupItSaysSo) {
  FixtureTree tree;
  tree.file("/proc/self/cgroup", "1:cpu:/\n");
  tree.file("/proc/self/mountinfo", "");
  CgroupEventsProbe probe(tree.root());
  const auto sample = probe.sample();
  ASSERT_FALSE(sample);
  EXPECT_NE(sample.error().text().find("no memory cgroup"), std::string::npos);
}

}  // namespace
}  // namespace tonnage
