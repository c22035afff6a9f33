#include <signal.h>

#include "engine/server_fixture.h"

namespace tonnage {
namespace {

using HealthTest = ServerFixture;

TEST_F(HealthTest, AHealthyServerIsNeverCalledUnresponsive) {
  start_ready("ready");
  run_for(600ms);  // twelve probes
  EXPECT_TRUE(seen_.unresponsive.empty());
}

TEST_F(HealthTest, AServerThatStopsAnsweringIsReportedOnce) {
  // On a busy machine some polls for readiness are given up and still use up an answer.
  const auto generation = start_ready("silent-after", {"12"});
  ASSERT_TRUE(run_until([&] { return seen_.unresponsive.contains(generation); }));
  run_for(300ms);
  EXPECT_EQ(seen_.unresponsive[generation], 1);
  EXPECT_TRUE(seen_.exits.empty());  // to kill it is the core's decision
  EXPECT_EQ(seen_.failures[generation]->kind, FailureKind::unresponsive);
  EXPECT_EQ(seen_.failures[generation]->text, "no answer on /health for 150ms");
}

TEST_F(HealthTest, AProcessInStateTIsReported) {
  const auto generation = start_ready("ready");
  ::kill(*supervisor_->pid(generation), SIGSTOP);
  ASSERT_TRUE(run_until([&] { return seen_.unresponsive.contains(generation); }));
  EXPECT_EQ(seen_.failures[generation]->text, "its process is stopped (state T)");
}

TEST_F(HealthTest, ProbesAreNotCountedWhileTheLoopItselfWasLate) {
  options_.loop_late_max = -1s;  // as if every tick came too late
  make();
  start_ready("silent-after", {"1"});
  run_for(600ms);
  EXPECT_TRUE(seen_.unresponsive.empty());
}

TEST_F(HealthTest, AServerWhoseSocketWasRemovedIsReported) {
  const auto generation = start_ready("ready");
  std::filesystem::remove(supervisor_->running()[0].endpoint.unix_path);
  EXPECT_TRUE(run_until([&] { return seen_.unresponsive.contains(generation); }));
}

TEST_F(HealthTest, SlotsAreAwaitedUntilTheyAreIdle) {
  const auto generation = start_ready("slots", {"3", "2"});
  std::optional<bool> idle;
  supervisor_->await_slots(generation, true, [] { return 1; }, [&](bool value) { idle = value; });
  EXPECT_FALSE(idle);
  ASSERT_TRUE(run_until([&] { return idle.has_value(); }));
  EXPECT_EQ(idle, true);
}

TEST_F(HealthTest, OtherRequestsMayStayInTheirSlots) {
  const auto generation = start_ready("slots", {"1000000", "2"});
  int others = 0;
  int looks = 0;
  std::optional<bool> idle;
  supervisor_->await_slots(
      generation, true,
      [&] {
        ++looks;
        return others;
      },
      [&](bool value) { idle = value; });
  ASSERT_TRUE(run_until([&] { return looks >= 3; }));
  EXPECT_FALSE(idle);
  others = 2;
  ASSERT_TRUE(run_until([&] { return idle.has_value(); }));
  EXPECT_EQ(idle, true);
}

// A look is an answer, and each answer puts off the moment at which the engine looks for its
// client.
TEST_F(HealthTest, AServerThatWasSilentIsNotLookedAtForMoreThanASecond) {
  const auto generation = start_ready("slots", {"1", "2"});  // idle from the second look on
  std::optional<bool> idle;
  supervisor_->await_slots(generation, false, [] { return 0; }, [&](bool value) { idle = value; });
  run_for(1s);
  EXPECT_FALSE(idle);
}

TEST_F(HealthTest, AServerThatNoticesWhoLeavesIsLookedAtOften) {
  notices_leaving_ = true;
  const auto generation = start_ready("slots", {"20", "2"});
  std::optional<bool> idle;
  supervisor_->await_slots(generation, false, [] { return 0; }, [&](bool value) { idle = value; });
  ASSERT_TRUE(run_until([&] { return idle.has_value(); }));
  EXPECT_EQ(idle, true);  // 20 looks at the distance for others are more than the wait may take
}

TEST_F(HealthTest, AwaitingSlotsEndsAtItsBound) {
  options_.slots_wait_max = 200ms;
  make();
  const auto generation = start_ready("slots", {"1000000", "2"});
  std::optional<bool> idle;
  supervisor_->await_slots(generation, true, [] { return 1; }, [&](bool value) { idle = value; });
  ASSERT_TRUE(run_until([&] { return idle.has_value(); }));
  EXPECT_EQ(idle, false);
}

TEST_F(HealthTest, TheSlotsOfADeadServerAreIdle) {
  const auto generation = start_ready("slots", {"1000000", "2"});
  std::optional<bool> idle;
  seen_.on_exit = [&](Generation) { EXPECT_EQ(idle, true); };  // its requests end before it does
  supervisor_->await_slots(generation, true, [] { return 0; }, [&](bool value) { idle = value; });
  supervisor_->stop(generation, true);
  ASSERT_TRUE(until_exit(generation));
  std::optional<bool> late;
  supervisor_->await_slots(generation, true, [] { return 0; }, [&](bool value) { late = value; });
  EXPECT_FALSE(late);
  ASSERT_TRUE(run_until([&] { return late.has_value(); }));
  EXPECT_EQ(late, true);
}

TEST_F(HealthTest, NobodyIsToldAboutSlotsAfterTheSupervisorIsGone) {
  options_.slots_wait_max = 200ms;
  make();
  const auto generation = start_ready("slots", {"1000000", "2"});
  supervisor_->await_slots(generation, true, [] { return 0; }, [](bool) { FAIL(); });
  run_for(50ms);
  supervisor_.reset();
  run_for(300ms);
}

}  // namespace
}  // namespace tonnage
