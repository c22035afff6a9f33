// Timers of the wheel: never early, soon after, movable, and gone when disarmed.
#include "net/timer_wheel.h"

#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage::net {
namespace {

using Clock = TimerWheel::Clock;

struct Owner {
  explicit Owner(TimerWheel& wheel)
      : timer(TimerWheel::Timer::calling<&Owner::fire>(wheel, this)) {}
  void fire() {
    ++fired;
    fired_at = Clock::now();
    if (then)
      then();
  }
  TimerWheel::Timer timer;
  int fired = 0;
  Clock::time_point fired_at;
  std::move_only_function<void()> then;
};

class TimerWheelTest : public ::testing::Test {
 protected:
  template <typename Condition>
  bool until(Condition condition) {
    const auto deadline = Clock::now() + std::chrono::seconds(10);
    while (!condition() && Clock::now() < deadline) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds(5));
    }
    return condition();
  }

  boost::asio::io_context io{1};
  TimerWheel wheel{io, 1ms};
};

TEST_F(TimerWheelTest, FiresOnceAndNeverEarly) {
  Owner owner(wheel);
  const auto start = Clock::now();
  owner.timer.arm_in(7ms);
  ASSERT_TRUE(until([&] { return owner.fired > 0; }));
  EXPECT_GE(owner.fired_at - start, 7ms);
  EXPECT_FALSE(owner.timer.armed());
}

TEST_F(TimerWheelTest, LaterDeadlineReplacesTheEarlierWithoutFiringAtIt) {
  Owner owner(wheel), witness(wheel);
  const auto start = Clock::now();
  owner.timer.arm_in(3ms);
  owner.timer.arm_in(30ms);
  witness.timer.arm_in(10ms);
  ASSERT_TRUE(until([&] { return owner.fired > 0; }));
  EXPECT_EQ(witness.fired, 1);
  EXPECT_GE(owner.fired_at - start, 30ms);
}

TEST_F(TimerWheelTest, EarlierDeadlineIsMet) {
  Owner owner(wheel), witness(wheel);
  owner.timer.arm_in(1h);
  owner.timer.arm_in(2ms);
  witness.timer.arm_in(5s);
  ASSERT_TRUE(until([&] { return owner.fired > 0; }));
  EXPECT_EQ(witness.fired, 0);
}

TEST_F(TimerWheelTest, DisarmedAndDestroyedTimersDoNotFire) {
  Owner disarmed(wheel), witness(wheel);
  auto destroyed = std::make_unique<Owner>(wheel);
  disarmed.timer.arm_in(2ms);
  destroyed->timer.arm_in(2ms);
  witness.timer.arm_in(10ms);
  disarmed.timer.disarm();
  destroyed.reset();
  ASSERT_TRUE(until([&] { return witness.fired > 0; }));
  EXPECT_EQ(disarmed.fired, 0);
}

TEST_F(TimerWheelTest, CallbackMayArmAgainAndDestroyItsNeighbour) {
  Owner again(wheel);
  auto neighbour = std::make_unique<Owner>(wheel);
  again.then = [&] {
    neighbour.reset();
    if (again.fired < 3)
      again.timer.arm_in(1ms);
  };
  again.timer.arm_in(2ms);
  neighbour->timer.arm_in(2ms);
  ASSERT_TRUE(until([&] { return again.fired == 3; }));
}

TEST_F(TimerWheelTest, DeadlineBeyondOneTurnIsMet) {
  Owner owner(wheel);  // one turn is 1024 steps of 1 ms
  const auto start = Clock::now();
  owner.timer.arm_in(1100ms);
  ASSERT_TRUE(until([&] { return owner.fired > 0; }));
  EXPECT_GE(owner.fired_at - start, 1100ms);
}

}  // namespace
}  // namespace tonnage::net
