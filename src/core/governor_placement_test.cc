// Which placement of the ladder is taken, when a lesser one is, and the way back up.
#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Full context and slots in 6 GiB, or half the slots in 3.
std::vector<PlacementRow> slow_ladder() {
  PlacementRow less = own_row(3_GiB, 4096, 2);
  less.speed_permille = 500;
  return {own_row(6_GiB, 4096, 4), less};
}

TEST(GovernorPlacement, TheBestRowThatFitsAnEmptyPoolIsTheTarget) {
  Stage s(plain_policy(), 5_GiB);
  s.ladder(kA, slow_ladder());
  s.bring_up(kA);
  EXPECT_EQ(s.show(kA).placement->slots, 2);
  EXPECT_FALSE(s.show(kA).degraded) << "no better one can ever be had here";
}

TEST(GovernorPlacement, HasteNeverDegrades) {
  Policy policy = plain_policy();
  Stage s(policy, 8_GiB);
  s.ladder(kA, slow_ladder());
  s.make_busy(kB, 1);
  s.request(2, kA);
  EXPECT_THAT(s.settle(), IsEmpty()) << "3 of 5 free GiB would do for the lesser row";
  EXPECT_THAT(s.run_for(10s), IsEmpty());
  EXPECT_THAT(s.end(1), ElementsAre("stop b g1"));
  s.settle();
  EXPECT_EQ(s.show(kA).placement->slots, 4);
  EXPECT_FALSE(s.show(kA).degraded);
}

TEST(GovernorPlacement, AfterDegradeAfterALesserRowIsTakenAndShown) {
  Policy policy = plain_policy();
  policy.queue.degrade_after = 5s;
  Stage s(policy, 8_GiB);
  s.ladder(kA, slow_ladder());
  s.make_busy(kB, 1);
  s.request(2, kA);
  s.settle();
  EXPECT_THAT(s.run_for(4900ms), IsEmpty());
  EXPECT_THAT(s.run_for(100ms), ElementsAre("start a g2"));
  EXPECT_THAT(s.reasons(), ElementsAre("degrade expected_wait"));
  EXPECT_TRUE(s.show(kA).degraded);
  EXPECT_EQ(s.show(kA).placement->slots, 2);
  EXPECT_EQ(s.show(kA).target->slots, 4);
}

TEST(GovernorPlacement, ARowWithFullContextAndMostOfTheSpeedIsTakenAtOnce) {
  Stage s(plain_policy(), 8_GiB);
  auto ladder = slow_ladder();
  ladder[1].speed_permille = 700;
  s.ladder(kA, ladder);
  s.make_busy(kB, 1);
  s.request(2, kA);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g2"));
  EXPECT_THAT(s.reasons(), ElementsAre("degrade good_enough"));
}

TEST(GovernorPlacement, LessContextIsNeverGoodEnough) {
  Stage s(plain_policy(), 8_GiB);
  auto ladder = slow_ladder();
  ladder[1].speed_permille = 1000;
  ladder[1].placement.context = 2048;
  s.ladder(kA, ladder);
  s.make_busy(kB, 1);
  s.request(2, kA);
  EXPECT_THAT(s.profiled(kA), IsEmpty());
}

TEST(GovernorPlacement, WhatFitsBesideOtherProgramsIsTakenAtOnce) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, slow_ladder());
  s.sample(4_GiB);
  s.request(1, kA);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("degrade never_fits_better"));
}

TEST(GovernorPlacement, FewerSlotsTakeFewerRequests) {
  Policy policy = plain_policy();
  policy.models[kA.value].in_flight_max = 4;
  Stage s(policy, 8_GiB);
  s.ladder(kA, slow_ladder());
  s.sample(4_GiB);
  s.bring_up(kA);
  ASSERT_TRUE(s.show(kA).degraded);
  EXPECT_THAT(s.request(1, kA), ElementsAre("admit r1 to a g1"));
  EXPECT_THAT(s.request(2, kA), ElementsAre("admit r2 to a g1"));
  EXPECT_THAT(s.request(3, kA), IsEmpty());
}

TEST(GovernorPlacement, ADegradedModelMovesUpWhenMemoryReturnsAndItIsIdle) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, slow_ladder());
  s.sample(4_GiB);
  s.make_busy(kA, 1);
  s.sample(0_B);
  EXPECT_THAT(s.run_for(1min), IsEmpty()) << "it is in use";
  s.end(1);
  EXPECT_THAT(s.run_for(4900ms), IsEmpty()) << "it is in its grace";
  EXPECT_THAT(s.run_for(100ms), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("upgrade memory_returned"));
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  s.ready(2);
  EXPECT_FALSE(s.show(kA).degraded);
  EXPECT_THAT(s.run_for(1h), IsEmpty());
}

TEST(GovernorPlacement, ADegradedModelStaysWhileMemoryDoes) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, slow_ladder());
  s.sample(4_GiB);
  s.bring_up(kA);
  EXPECT_THAT(s.run_for(1h), IsEmpty());
}

TEST(GovernorPlacement, ContextIsNeverBelowWhatARequestNeeds) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, {own_row(7_GiB, 8192, 2), own_row(3_GiB, 2048, 2)});
  s.sample(4_GiB);
  s.request(1, kA, 4096);
  EXPECT_THAT(s.profiled(kA), IsEmpty()) << "2048 tokens would fit, but are not enough";
  EXPECT_THAT(s.sample(1_GiB), ElementsAre("start a g1"));
  EXPECT_EQ(s.show(kA).placement->context, 8192);
}

TEST(GovernorPlacement, ARequestForMoreContextReloadsADegradedModelOnceItIsIdle) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, {own_row(7_GiB, 8192, 2), own_row(3_GiB, 2048, 2)});
  s.sample(4_GiB);
  s.make_busy(kA, 1);
  s.sample(0_B);
  EXPECT_THAT(s.request(2, kA, 4096), IsEmpty());
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to a g2"));
}

TEST(GovernorPlacement, RowsLearnedWhileItRunsCountFromTheNextLoadOn) {
  Stage s(plain_policy(), 8_GiB);
  s.bring_up(kA);
  s.ladder(kA, {own_row(5_GiB)});
  s.profiled(kA);
  EXPECT_EQ(s.pool().reserved, 3_GiB);
  s.tell(UnloadModel{CommandId(1), kA});
  s.settle();
  s.bring_up(kA);
  EXPECT_EQ(s.pool().reserved, 5_GiB);
}

TEST(GovernorPlan, SaysWhatWouldHappen) {
  Stage s(plain_policy(), 8_GiB);
  const auto verdict = [&](ModelId model) {
    return s.governor().plan({.model = model}, s.now()).verdict;
  };
  s.ladder(kD, {own_row(9_GiB)});
  EXPECT_EQ(verdict(kA), PlanVerdict::unknown);
  for (const ModelId model : {kA, kB, kC})
    s.bring_up(model);  // c pushes one of the others out
  s.tell(LoadModel{CommandId(1), kD});
  s.settle();
  const ModelId out = s.state(kA) == ResidencyState::absent ? kA : kB;
  const ModelId in = out == kA ? kB : kA;
  EXPECT_EQ(verdict(kC), PlanVerdict::ready);
  EXPECT_EQ(verdict(kD), PlanVerdict::refused);
  EXPECT_EQ(verdict(out), PlanVerdict::evicts);
  s.request(1, kC);
  EXPECT_THAT(s.governor().plan({.model = out}, s.now()).victims, ElementsAre(in));
  s.request(2, in);
  EXPECT_EQ(verdict(out), PlanVerdict::waits);
  s.end(2);
  s.tell(UnloadModel{CommandId(2), in});
  s.settle();
  EXPECT_EQ(verdict(out), PlanVerdict::fits);
}

}  // namespace
}  // namespace tonnage::stage
