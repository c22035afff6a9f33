#include "base/loop_clock.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""h;

TEST(PauseFilter, LooksThatFollowEachOtherAreNoPause) {
  PauseFilter filter;
  EXPECT_EQ(filter.look(100s), 0s) << "the first look has none before it";
  EXPECT_EQ(filter.look(100s + 500ms), 0s);
  EXPECT_EQ(filter.look(102s + 500ms), 0s) << "a loop that is late has waited";
  EXPECT_EQ(filter.look(104s + 501ms), 2s + 1ms);
  EXPECT_EQ(filter.look(105s), 0s);
  EXPECT_EQ(filter.look(9h), 9h - 105s);
}

LoopClock::duration fake_now{};

struct FakeSource {
  FakeSource() {
    fake_now = 1000s;
    LoopClock::replace_source([] { return fake_now; });
  }
  ~FakeSource() { LoopClock::replace_source(nullptr); }
};

TEST(LoopClock, StandsStillDuringAPauseAndNeverGoesBack) {
  const FakeSource source;
  LoopClock::follow();
  const auto begin = LoopClock::now();
  fake_now += 400ms;
  EXPECT_EQ(LoopClock::now() - begin, 400ms);
  fake_now += 3h;
  EXPECT_EQ(LoopClock::now() - begin, 400ms);
  EXPECT_EQ(LoopClock::paused(), 3h);
  fake_now += 1s;
  EXPECT_EQ(LoopClock::now() - begin, 1400ms);
}

TEST(LoopClock, WithoutAThreadThatFollowsEverythingCounts) {
  const FakeSource source;
  const auto begin = LoopClock::now();
  fake_now += 3h;
  EXPECT_EQ(LoopClock::now() - begin, 3h);
}

}  // namespace
}  // namespace tonnage
