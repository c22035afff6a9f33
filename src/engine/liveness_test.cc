#include "engine/liveness.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr std::string_view kIdle = R"([{"id":0,"is_processing":false}])";

std::string busy(int decoded) {
  return R"([{"id":0,"is_processing":true,"n_decoded":)" + std::to_string(decoded) + "}]";
}

class LivenessTest : public testing::Test {
 protected:
  // A second passes; true while it is taken for alive.
  bool pass(std::chrono::seconds time = std::chrono::seconds(1)) {
    for (auto left = time; left.count() > 0; --left) {
      now_ += std::chrono::seconds(1);
      activity_.cpu += cpu_per_second_;
      if (answers_ && live_.wants_slots(now_)) {
        live_.slots_asked(now_);
        live_.slots_told(now_, *answers_);
      } else if (live_.wants_slots(now_)) {
        live_.slots_asked(now_);
      }
      why_ = live_.watch(now_, activity_);
      if (why_)
        return false;
    }
    return true;
  }

  Liveness::Time now_{};
  Liveness live_{LivenessLimits{}, now_};
  ProcessActivity activity_{.cpu = 1s};
  Duration cpu_per_second_ = 3ms;  // it answers probes
  std::optional<std::string> answers_;
  std::optional<std::string> why_;
};

TEST_F(LivenessTest, ALoadMayTakeAsLongAsItReads) {
  for (int i = 0; i < 100; ++i) {
    activity_.bytes_read += 128 * 1024;
    EXPECT_TRUE(pass(std::chrono::seconds(60))) << *why_;
  }
}

TEST_F(LivenessTest, ALoadThatHangsEnds) {
  EXPECT_TRUE(pass(std::chrono::seconds(599)));
  EXPECT_FALSE(pass(std::chrono::seconds(2)));
  EXPECT_NE(why_->find("without progress"), std::string::npos);
}

TEST_F(LivenessTest, ALoadThatPrintsLives) {
  EXPECT_TRUE(pass(std::chrono::seconds(500)));
  live_.heard(now_);
  EXPECT_TRUE(pass(std::chrono::seconds(500)));
}

TEST_F(LivenessTest, AnIdleServerIsAliveAsLongAsItTellsOfItsSlots) {
  live_.ready(now_);
  answers_ = std::string(kIdle);
  EXPECT_TRUE(pass(std::chrono::hours(3)));
}

TEST_F(LivenessTest, AFrozenComputationIsNoticedWithinItsBound) {
  live_.ready(now_);
  answers_ = busy(1);
  EXPECT_TRUE(pass(std::chrono::seconds(20)));
  answers_.reset();  // the thread that would tell stands still
  const auto frozen = now_;
  while (pass()) {
  }
  EXPECT_LE(now_ - frozen, std::chrono::seconds(91));
  EXPECT_NE(why_->find("stood still"), std::string::npos);
}

TEST_F(LivenessTest, OneWhoseSlotsDoNotMoveIsFrozenAsWell) {
  live_.ready(now_);
  answers_ = busy(7);
  EXPECT_FALSE(pass(std::chrono::seconds(120)));
}

TEST_F(LivenessTest, StepsOfFiftySecondsAreLeftAlone) {
  live_.ready(now_);
  for (int step = 0; step < 50; ++step) {
    answers_.reset();
    EXPECT_TRUE(pass(std::chrono::seconds(50))) << *why_;
    live_.slots_told(now_, busy(step));
  }
}

TEST_F(LivenessTest, ALongPromptThatIsComputedIsLeftAlone) {
  live_.ready(now_);
  cpu_per_second_ = 1900ms;
  EXPECT_TRUE(pass(std::chrono::minutes(29)));
  EXPECT_FALSE(pass(std::chrono::minutes(2))) << "a step of half an hour is none";
}

TEST_F(LivenessTest, TimeInWhichNobodyWatchedDoesNotCount) {
  live_.ready(now_);
  answers_.reset();
  EXPECT_TRUE(pass(std::chrono::seconds(80)));
  now_ += std::chrono::hours(1);
  EXPECT_TRUE(pass(std::chrono::seconds(80)));
  EXPECT_FALSE(pass(std::chrono::seconds(20)));
}

}  // namespace
}  // namespace tonnage
