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

// 8192 tokens in 7 GiB, or 2048 in 3.
std::vector<PlacementRow> two_contexts() {
  return {own_row(7_GiB, 8192, 2), own_row(3_GiB, 2048, 2)};
}

Lines wish(Stage& s, std::uint64_t id, ModelId model, std::int32_t tokens) {
  return s.tell(RequestArrived{.request = RequestId(id), .model = model, .context_wished = tokens});
}

TEST(GovernorPlacement, AWishForContextReloadsADegradedModelOnceItIsIdle) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, two_contexts());
  s.sample(4_GiB);
  s.make_busy(kA, 1);
  s.sample(0_B);
  EXPECT_THAT(wish(s, 2, kA, 2048), ElementsAre("admit r2 to a g1")) << "it is just enough";
  s.end(2);
  EXPECT_THAT(wish(s, 3, kA, 2049), IsEmpty());
  EXPECT_THAT(s.request(4, kA), IsEmpty()) << "who came later does not keep it from its reload";
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), Contains("upgrade more_context"));
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r3 to a g2", "admit r4 to a g2"));
}

TEST(GovernorPlacement, AWishThatNothingCanMeetIsServedAtOnce) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, two_contexts());
  s.sample(4_GiB);
  s.bring_up(kA);
  EXPECT_THAT(wish(s, 1, kA, 4096), ElementsAre("admit r1 to a g1")) << "memory is another's";
  s.end(1);
  s.sample(0_B);
  EXPECT_THAT(wish(s, 2, kA, 1'000'000), ElementsAre("stop a g1")) << "as much as there can be";
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to a g2"));
  ASSERT_EQ(s.show(kA).placement->context, 8192);
  EXPECT_THAT(wish(s, 3, kA, 1'000'000), ElementsAre("admit r3 to a g2")) << "no rung has it";
}

TEST(GovernorPlacement, AWishStopsNoPinnedModelAndUnloadsNobodyWhoWorks) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, two_contexts());
  s.sample(4_GiB);
  s.bring_up(kA);
  s.tell(PinModel{CommandId(1), kA, true});
  s.sample(0_B);
  EXPECT_THAT(wish(s, 1, kA, 4096), ElementsAre("admit r1 to a g1"));
  s.end(1);
  s.tell(PinModel{CommandId(2), kA, false});
  s.make_busy(kB, 2);
  EXPECT_THAT(wish(s, 3, kA, 4096), ElementsAre("admit r3 to a g1"));
  s.end(3);
  s.end(2);
  EXPECT_THAT(wish(s, 4, kA, 4096), ElementsAre("stop a g1")) << "what idles gives way";
  EXPECT_THAT(s.exited(1), ElementsAre("stop b g2"));
  EXPECT_THAT(s.exited(2), ElementsAre("start a g3"));
}

TEST(GovernorPlacement, AWishIsTriedOnce) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, two_contexts());
  s.sample(4_GiB);
  s.bring_up(kA);
  s.sample(0_B);
  EXPECT_THAT(wish(s, 1, kA, 4096), ElementsAre("stop a g1"));
  s.sample(4_GiB);
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2")) << "others took what was free";
  s.sample(0_B);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
}

TEST(GovernorPlacement, AWishWaitsForBusyModelsAndIsGivenUpInTime) {
  Policy policy = plain_policy();
  policy.queue.queue_timeout = 10min;
  policy.queue.yield_after = 1h;
  Stage s(policy, 8_GiB);
  s.ladder(kA, two_contexts());
  s.make_busy(kB, 1);
  wish(s, 2, kA, 4096);
  EXPECT_THAT(s.profiled(kA), IsEmpty());
  EXPECT_THAT(s.run_for(299s), IsEmpty()) << "degrade_after is long over";
  EXPECT_THAT(s.run_for(1s), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to a g2")) << "never refused by an estimate";
  EXPECT_EQ(s.show(kA).placement->context, 2048);
}

TEST(GovernorPlacement, AWishTakesARungThatHoldsItBeforeABetterOne) {
  Stage s(plain_policy(), 8_GiB);
  PlacementRow slow = own_row(4_GiB, 8192, 2);
  slow.speed_permille = 100;
  s.ladder(kA, {own_row(3_GiB, 2048, 2), slow});
  wish(s, 1, kA, 4096);
  s.profiled(kA);
  s.ready(1);
  EXPECT_EQ(s.show(kA).placement->context, 8192);
  EXPECT_FALSE(s.show(kA).degraded);
  s.end(1);
  EXPECT_THAT(s.run_for(1h), IsEmpty()) << "it would take the context away";
}

TEST(GovernorPlacement, MovingUpTakesNoContextFromWhoAskedForIt) {
  Stage s(plain_policy(), 8_GiB);
  PlacementRow slow = own_row(2_GiB, 8192, 2);
  slow.speed_permille = 100;
  s.ladder(kA, {own_row(6_GiB, 8192, 2), own_row(3_GiB, 2048, 2), slow});
  s.sample(5500_MiB);
  s.bring_up(kA);
  ASSERT_EQ(s.show(kA).placement->context, 8192);
  EXPECT_THAT(wish(s, 1, kA, 4096), ElementsAre("admit r1 to a g1"));
  s.end(1);
  s.sample(4_GiB);
  EXPECT_THAT(s.run_for(1min), IsEmpty()) << "2048 tokens would fit, and are quicker";
  EXPECT_THAT(s.sample(0_B), ElementsAre("stop a g1"));
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
