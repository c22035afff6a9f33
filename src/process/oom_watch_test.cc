#include "process/oom_watch.h"

#include <fstream>
#include <iterator>
#include <string>

#include "process/loop_fixture.h"

namespace tonnage {
namespace {

TEST(OomKills, AreFoundInEachKindOfFile) {
  EXPECT_EQ(parse_oom_kills("low 0\nhigh 0\nmax 4\noom 3\noom_kill 2\noom_group_kill 0\n"), 2U);
  EXPECT_EQ(parse_oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7U);
  EXPECT_EQ(parse_oom_kills("nr_free_pages 1\noom_kill 11"), 11U);
  EXPECT_FALSE(parse_oom_kills("oom_kill_disable 1\nunder_oom 0\n"));
  EXPECT_FALSE(parse_oom_kills(""));
}

class OomWatchTest : public testing::Test {
 protected:
  void count(int kills) {
    std::ofstream(path_, std::ios::trunc) << "oom 9\noom_kill " << kills << "\n";
  }
  static Tick at(Duration since) { return Tick(1h + since); }

  ScratchFolder scratch_;
  std::filesystem::path path_ = scratch_.path() / "memory.events";
  OomWatch watch_{path_};
};

TEST_F(OomWatchTest, AKillBetweenTwoLooksIsSeen) {
  count(3);
  watch_.sample(at(0s));
  EXPECT_FALSE(watch_.killed_recently(at(1s)));
  count(4);
  EXPECT_TRUE(watch_.killed_recently(at(2s)));
}

TEST_F(OomWatchTest, AKillStaysRecentForTheWindowAndNoLonger) {
  count(3);
  watch_.sample(at(0s));
  count(4);
  for (const auto second : {1s, 2s, 3s, 4s, 5s})
    watch_.sample(at(second));
  EXPECT_TRUE(watch_.killed_recently(at(5500ms)));
  for (const auto second : {6s, 7s})
    watch_.sample(at(second));
  EXPECT_FALSE(watch_.killed_recently(at(7s)));
}

TEST_F(OomWatchTest, AKillWhileNobodyLookedIsNotRecent) {
  count(3);
  watch_.sample(at(0s));
  count(4);
  watch_.sample(at(60s));
  EXPECT_FALSE(watch_.killed_recently(at(61s)));
}

TEST_F(OomWatchTest, WithoutACounterNothingWasKilled) {
  watch_.sample(at(0s));
  EXPECT_FALSE(watch_.killed_recently(at(1s)));
}

TEST_F(OomWatchTest, TheKernelOfThisMachineCounts) {
  std::ifstream file("/proc/vmstat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(parse_oom_kills(text)) << "needs Linux 4.13 or later";
}

}  // namespace
}  // namespace tonnage
