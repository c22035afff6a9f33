#include "daemon/loop_pulse.h"

#include <gtest/gtest.h>

#include "daemon/governor_loop.h"

namespace tonnage {
namespace {

constexpr std::int64_t kBegan = 1'700'000'000'000'000;

TEST(WallWatch, SmallCorrectionsAreNoMove) {
  WallWatch wall(kBegan);
  EXPECT_FALSE(wall.look(Tick(10s), kBegan + 10'000'000));
  EXPECT_FALSE(wall.look(Tick(20s), kBegan + 20'900'000));
  EXPECT_FALSE(wall.look(Tick(30s), kBegan + 29'100'000));
}

TEST(WallWatch, AfterSuspendTheTimeOfDayIsAhead) {
  WallWatch wall(kBegan);
  const std::int64_t hour = 3'600'000'000;
  const auto zero = wall.look(Tick(10s), kBegan + hour + 10'000'000);
  EXPECT_EQ(zero, kBegan + hour);
  EXPECT_FALSE(wall.look(Tick(11s), kBegan + hour + 11'000'000)) << "said once";
}

TEST(WallWatch, AClockThatIsSetBackMovesToo) {
  WallWatch wall(kBegan);
  EXPECT_EQ(wall.look(Tick(10s), kBegan - 5'000'000), kBegan - 15'000'000);
}

LoopClock::duration fake_now{};

// Stands for the system's clock as long as it lives.
struct FakeClock {
  FakeClock() {
    fake_now = 1000s;
    LoopClock::replace_source([] { return fake_now; });
    LoopClock::follow();
  }
  ~FakeClock() { LoopClock::replace_source(nullptr); }
  FakeClock(const FakeClock&) = delete;
  FakeClock& operator=(const FakeClock&) = delete;
};

class PausedLoop : public testing::Test, public ActionSink {
 protected:
  void carry_out(Action action) override {
    if (const auto* refuse = std::get_if<Refuse>(&action))
      refused_.push_back(refuse->decision.reason);
  }
  // Asio looks at its timers when one of them may be due: one that always is.
  void look() {
    LoopTimer now(io_);
    bool looked = false;
    now.expires_after(LoopClock::duration::zero());
    now.async_wait([&](const boost::system::error_code&) { looked = true; });
    while (!looked)
      io_.run_one();
    io_.poll();
  }
  static Policy policy() {
    Policy policy;
    policy.pools.resize(1);
    policy.pools[0].name = "host";
    policy.models.resize(1);
    policy.models[0].id = "m";
    policy.queue.queue_timeout = 10s;
    return policy;
  }

  FakeClock clock_;  // before what reads it
  boost::asio::io_context io_;
  std::vector<ReasonCode> refused_;
  GovernorLoop loop_{io_, policy(), *this};
};

TEST_F(PausedLoop, AnHourWithoutTheProcessIsNoWaitingTime) {
  // Without a sample nothing can be loaded, so the request only waits for its time-out.
  loop_.post(RequestArrived{.request = RequestId(1), .model = ModelId(0)});
  for (int i = 0; i < 12; ++i) {
    fake_now += 500ms;
    look();
  }
  fake_now += 1h;
  look();
  EXPECT_TRUE(refused_.empty()) << "6 of 10 s were waited";
  for (int i = 0; i < 7; ++i) {
    fake_now += 500ms;
    look();
  }
  EXPECT_TRUE(refused_.empty());
  fake_now += 1s;
  look();
  EXPECT_EQ(refused_, std::vector{ReasonCode::queue_timeout});
}

}  // namespace
}  // namespace tonnage
