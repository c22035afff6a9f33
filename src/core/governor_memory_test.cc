// Making room: headroom, victims, waits and refusals, with their arithmetic.
#include <string>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GovernorMemory, TheLoadDecisionCarriesTheArithmetic) {
  Stage s(plain_policy(), 8_GiB);
  s.bring_up(kB);
  s.request(1, kA);
  s.profiled(kA);
  ASSERT_EQ(s.decided().size(), 1U);
  EXPECT_EQ(s.decided()[0].need, 3_GiB);
  EXPECT_EQ(s.decided()[0].headroom, 5_GiB);
  EXPECT_EQ(s.decided()[0].usable, 8_GiB);
  EXPECT_EQ(s.pool().reserved, 6_GiB);
  EXPECT_EQ(s.pool().headroom, 2_GiB);
}

TEST(GovernorMemory, AnIdleModelGivesWayAndItsMemoryIsUsedOnlyWhenItIsGone) {
  Stage s(plain_policy(), 4_GiB);
  s.bring_up(kA);
  s.request(1, kB);
  EXPECT_THAT(s.profiled(kB), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("evict room_for_other"));
  EXPECT_EQ(s.decided()[0].other, kB);
  EXPECT_EQ(s.pool().reserved, 3_GiB);
  EXPECT_THAT(s.request(2, kB), IsEmpty());
  EXPECT_THAT(s.exited(1), ElementsAre("start b g2"));
  EXPECT_THAT(s.reasons(), ElementsAre("load made_room"));
  EXPECT_EQ(s.show(kA).evictions, 1U);
}

TEST(GovernorMemory, ABusyModelIsNeverStoppedForAnother) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.request(2, kB);
  EXPECT_THAT(s.profiled(kB), IsEmpty());
  EXPECT_THAT(s.reasons(), ElementsAre("wait busy_models"));
  EXPECT_THAT(s.decided()[0].victims, ElementsAre(kA));
  EXPECT_EQ(s.decided()[0].headroom, 1_GiB);
  EXPECT_THAT(s.run_for(9min), IsEmpty());
}

TEST(GovernorMemory, OnlyTheVictimsThatAreNeededGo) {
  Policy policy = plain_policy();
  policy.residency.eviction = EvictionKind::lru;
  Stage s(policy, 8_GiB);
  s.ladder(kA, {own_row(1_GiB)});
  s.ladder(kB, {own_row(5_GiB)});
  s.ladder(kC, {own_row(5_GiB)});
  s.bring_up(kA);
  s.pass(10s);
  s.bring_up(kB);
  s.request(1, kC);
  EXPECT_THAT(s.profiled(kC), ElementsAre("stop b g2")) << "a is older, but b alone is enough";
}

TEST(GovernorMemory, WeightsThatTwoModelsMapAreChargedOnce) {
  Stage s(plain_policy(), 5_GiB);
  s.ladder(kA, {mapped_row(7, 3_GiB, 512_MiB)});
  s.ladder(kB, {mapped_row(7, 3_GiB, 1_GiB)});
  s.bring_up(kA);
  s.bring_up(kB);
  EXPECT_EQ(s.pool().reserved, 4608_MiB);
  EXPECT_EQ(s.pool().reserved_weights, 3_GiB);
  s.tell(UnloadModel{CommandId(1), kA});
  s.settle();
  EXPECT_EQ(s.pool().reserved, 4_GiB);
}

TEST(GovernorMemory, AModelThatSharesItsFileWithAPinnedOneFitsBesideIt) {
  Stage s(plain_policy(), 4_GiB);
  s.ladder(kA, {mapped_row(7, 3_GiB, 400_MiB)});
  s.ladder(kB, {mapped_row(7, 3_GiB, 400_MiB)});
  s.bring_up(kA);
  s.tell(PinModel{CommandId(1), kA, true});
  s.request(1, kB);
  EXPECT_THAT(s.profiled(kB), ElementsAre("start b g2"));
}

TEST(GovernorMemory, MeasuredGrowthIsChargedAndNeverTakenBack) {
  Stage s;
  s.bring_up(kA);
  s.tell(ServerSampled{Generation(1), 3584_MiB});
  EXPECT_EQ(s.pool().reserved, 3584_MiB);
  s.tell(ServerSampled{Generation(1), 1_GiB});
  EXPECT_EQ(s.pool().reserved, 3584_MiB);
  EXPECT_EQ(s.pool().measured, 1_GiB);
}

TEST(GovernorMemory, MarginsCoverEverythingButTheWeights) {
  Policy policy = plain_policy();
  Stage s(policy, 16_GiB);
  PlacementRow row = mapped_row(1, 2_GiB, 1000_MiB);
  row.source = FootprintSource::analytic;
  s.ladder(kA, {row});
  row.weights[0].file = FileId(2);
  row.source = FootprintSource::dry_run;
  s.ladder(kB, {row});
  s.bring_up(kA);
  EXPECT_EQ(s.show(kA).reserved, 1200_MiB);
  s.bring_up(kB);
  EXPECT_EQ(s.show(kB).reserved, 1030_MiB);
}

TEST(GovernorMemory, AMarginNeverMakesTheDifferenceToRefusing) {
  Stage s(plain_policy(), 4_GiB);
  PlacementRow row = own_row(4_GiB);
  row.source = FootprintSource::analytic;
  s.ladder(kA, {row});
  s.bring_up(kA);
  EXPECT_EQ(s.pool().reserved, 4_GiB);
}

TEST(GovernorMemory, WhatOtherProgramsHoldMakesItWaitUntilTheyLetGo) {
  Stage s(plain_policy(), 8_GiB);
  s.sample(6_GiB);
  s.request(1, kA);
  EXPECT_THAT(s.profiled(kA), IsEmpty());
  EXPECT_THAT(s.reasons(), ElementsAre("wait foreign_use"));
  EXPECT_THAT(s.sample(5500_MiB), IsEmpty());
  EXPECT_THAT(s.sample(5_GiB), ElementsAre("start a g1"));
}

TEST(GovernorMemory, ALimitBoundsOurOwnUseOnly) {
  Policy policy = plain_policy();
  policy.pools[0].limit = 4_GiB;
  Stage s(policy, 16_GiB);
  s.sample(12_GiB);  // leaves 4 GiB, all of which the limit allows
  s.bring_up(kA);
  EXPECT_EQ(s.pool().headroom, 1_GiB);
  s.sample(2_GiB);
  EXPECT_EQ(s.pool().headroom, 1_GiB) << "14 GiB are free, but ours is bounded by 4";
}

TEST(GovernorMemory, AReserveBoundsEverybodyTogether) {
  Policy policy = plain_policy();
  policy.pools[0].reserve = {.permille = 250, .size = {}};
  Stage s(policy, 16_GiB);
  s.bring_up(kA);
  EXPECT_EQ(s.pool().budget, 12_GiB);
  EXPECT_EQ(s.pool().headroom, 9_GiB);
  s.sample(8_GiB);
  EXPECT_EQ(s.pool().headroom, 1_GiB);
  s.sample(11_GiB);
  EXPECT_EQ(s.pool().headroom, -2_GiB);
}

TEST(GovernorMemory, PinnedModelsInTheWayAreARefusalThatSaysSo) {
  Stage s(plain_policy(), 4_GiB);
  s.bring_up(kA);
  s.tell(PinModel{CommandId(1), kA, true});
  s.request(1, kB);
  EXPECT_THAT(s.profiled(kB), ElementsAre("refuse r1 unavailable pinned_models"));
  EXPECT_GT(s.refusal(1).retry_after, 0s);
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorMemory, SingleModelKeepsOneAtATime) {
  Policy policy = plain_policy();
  policy.residency.single_model = true;
  Stage s(policy, 16_GiB);
  s.bring_up(kB);
  s.tell(Flush{CommandId(1)});
  s.settle();
  s.make_busy(kA, 1);
  EXPECT_THAT(s.request(2, kB), IsEmpty()) << "a is in use";
  EXPECT_THAT(s.end(1), ElementsAre("stop a g2"));
  EXPECT_THAT(s.reasons(), Contains("evict single_model"));
  EXPECT_THAT(s.exited(2), ElementsAre("start b g3"));
}

TEST(GovernorMemory, ADryRunMakesNobodyLeaveForTheSingleModelOption) {
  Policy policy = plain_policy();
  policy.residency.single_model = true;
  Stage s(policy, 16_GiB);
  s.ladder(kB, {own_row(20_GiB)});
  s.bring_up(kA);
  EXPECT_THAT(s.request(1, kB), ElementsAre("profile b"));
  EXPECT_THAT(s.profiled(kB), ElementsAre("refuse r1 too_large never_fits"));
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorMemory, TheHeavySlotHoldsOneHeavyModel) {
  Policy policy = plain_policy();
  policy.residency.heavy_slot = true;
  policy.models[kA.value].heavy = true;
  policy.models[kB.value].heavy = true;
  Stage s(policy, 16_GiB);
  s.bring_up(kA);
  s.bring_up(kC);
  s.request(1, kB);
  s.settle();
  EXPECT_EQ(s.state(kB), ResidencyState::ready);
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
  EXPECT_EQ(s.state(kC), ResidencyState::ready) << "a light model is not concerned";
}

TEST(GovernorMemory, AnEvictionForTheHeavySlotSaysSo) {
  Policy policy = plain_policy();
  policy.residency.heavy_slot = true;
  policy.models[kA.value].heavy = true;
  policy.models[kB.value].heavy = true;
  Stage s(policy, 16_GiB);
  s.bring_up(kB);
  s.tell(Flush{CommandId(1)});
  s.settle();
  s.bring_up(kA);
  EXPECT_THAT(s.request(1, kB), ElementsAre("stop a g2"));
  EXPECT_THAT(s.reasons(), Contains("evict heavy_slot"));
}

TEST(GovernorMemory, DemandTakesAModelInItsGraceUnlessThePolicySaysOtherwise) {
  for (const bool protect : {false, true}) {
    Policy policy = plain_policy();
    if (protect)
      policy.residency.grace_on_demand = 5s;
    Stage s(policy, 4_GiB);
    s.request(1, kB);
    s.settle();
    s.end(1);
    s.tell(UnloadModel{CommandId(1), kB});
    s.settle();
    s.bring_up(kA);
    s.pass(1s);
    const Lines at_once = s.request(2, kB);
    if (!protect) {
      EXPECT_THAT(at_once, ElementsAre("stop a g2"));
      continue;
    }
    EXPECT_THAT(at_once, IsEmpty());
    EXPECT_THAT(s.run_for(3900ms), IsEmpty());
    EXPECT_THAT(s.run_for(100ms), ElementsAre("stop a g2"));
  }
}

TEST(GovernorMemory, AModelLeavesAfterItsTimeToLiveButNotDuringItsGrace) {
  Policy policy = plain_policy();
  policy.models[kA.value].ttl = 2s;
  policy.models[kB.value].ttl = 60s;
  Stage s(policy, 16_GiB);
  s.bring_up(kA);
  s.bring_up(kB);
  s.pass(3s);
  EXPECT_THAT(s.tell(Timer{}), IsEmpty());
  EXPECT_THAT(s.run_for(1900ms), IsEmpty());
  EXPECT_THAT(s.run_for(100ms), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("unload idle_ttl"));
  s.settle();
  s.pass(30s);
  s.request(1, kB);
  EXPECT_THAT(s.run_for(10min), IsEmpty()) << "a request is in it";
  s.end(1);
  EXPECT_THAT(s.run_for(59s), IsEmpty());
  EXPECT_THAT(s.run_for(1s), ElementsAre("stop b g2"));
}

TEST(GovernorMemory, APinnedModelOutlivesItsTimeToLive) {
  Policy policy = plain_policy();
  policy.models[kA.value].ttl = 10s;
  policy.models[kA.value].pinned = true;
  Stage s(policy);
  s.bring_up(kA);
  EXPECT_THAT(s.run_for(1h), IsEmpty());
}

TEST(GovernorMemory, ASmallLoadMayUseRoomThatALargeOneCannotUseYet) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kB, {own_row(6_GiB)});
  s.ladder(kC, {own_row(2_GiB)});
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.settle();
  s.request(3, kC);
  EXPECT_THAT(s.settle(), Contains("admit r3 to c g2"));
}

TEST(GovernorMemory, RoomIsPromisedToWhoWaitedLongEnough) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kB, {own_row(8_GiB)});
  s.ladder(kC, {own_row(2_GiB)});
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.settle();
  s.run_for(30s);
  ASSERT_EQ(s.state(kA), ResidencyState::draining);
  s.request(3, kC);
  s.settle();
  EXPECT_EQ(s.show(kC).loads, 0U) << "b is next";
  s.end(1);
  s.settle();
  EXPECT_EQ(s.state(kB), ResidencyState::ready);
}

}  // namespace
}  // namespace tonnage::stage
