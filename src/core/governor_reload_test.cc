// A changed configuration, and a Governor that is made anew from its state.
#include <string>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The stage's policy with one model removed or a further one, as a reload sends it.
Policy without(ModelId model) {
  Policy policy = plain_policy();
  policy.models[model.value].removed = true;
  return policy;
}

Policy with_limit(Bytes limit) {
  Policy policy = plain_policy();
  policy.pools[0].limit = limit;
  return policy;
}

TEST(GovernorReload, AnIdleModelThatChangedIsReplacedAndComesBack) {
  Stage s;
  s.bring_up(kA);
  EXPECT_THAT(s.tell(PolicyChanged{plain_policy(), {kA}}), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("unload config_changed"));
  // The old ladder is forgotten with the old server.
  EXPECT_THAT(s.exited(1), ElementsAre("profile a"));
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g2"));
  EXPECT_THAT(s.reasons(), ElementsAre("load config_changed"));
  EXPECT_THAT(s.ready(2), IsEmpty());
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorReload, NobodyMakesRoomForAModelThatComesBackUnasked) {
  Stage s;
  s.bring_up(kA);
  s.bring_up(kB);
  s.ladder(kA, {own_row(7_GiB)});
  s.tell(PolicyChanged{plain_policy(), {kA}});
  s.settle();
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
  EXPECT_EQ(s.generation(kB), 2U);
}

TEST(GovernorReload, AChangedModelEndsItsRequestsFirstAndTakesNoNewOnes) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.tell(PolicyChanged{plain_policy(), {kA}}), IsEmpty());
  EXPECT_EQ(s.state(kA), ResidencyState::draining);
  EXPECT_THAT(s.request(2, kA), IsEmpty());
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  s.forget_owed();
  s.exited(1);
  s.profiled(kA);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to a g2"));
}

TEST(GovernorReload, ModelsThatDidNotChangeKeepTheirServers) {
  Stage s;
  s.bring_up(kA);
  s.bring_up(kB);
  EXPECT_THAT(s.tell(PolicyChanged{plain_policy(), {kB}}), ElementsAre("stop b g2"));
  EXPECT_EQ(s.generation(kA), 1U);
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorReload, AChangedModelThatLoadsIsStoppedAtOnceAndLoadedAnew) {
  Stage s;
  s.request(1, kA);
  s.profiled(kA);
  EXPECT_THAT(s.tell(PolicyChanged{plain_policy(), {kA}}), ElementsAre("kill a g1"));
  s.forget_owed();
  EXPECT_THAT(s.exited(1), ElementsAre("profile a"));
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
}

TEST(GovernorReload, WhatWasWorkedOutFromTheOldConfigurationIsForgotten) {
  Stage s;
  s.request(1, kA);
  s.tell(PolicyChanged{plain_policy(), {kA}});
  EXPECT_THAT(s.profiled(kA), ElementsAre("profile a"));
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
}

TEST(GovernorReload, AFailedLookAtTheOldConfigurationIsNoFailure) {
  Stage s;
  s.request(1, kA);
  s.tell(PolicyChanged{plain_policy(), {kA}});
  EXPECT_THAT(s.tell(ProfileFailed{kA, {FailureKind::bad_model, "old"}}), ElementsAre("profile a"));
  EXPECT_EQ(s.show(kA).failures, 0U);
}

TEST(GovernorReload, AChangeEndsTheRestOfAFailedModel) {
  Stage s;
  s.request(1, kA);
  EXPECT_THAT(s.tell(ProfileFailed{kA, {FailureKind::bad_model, "corrupt"}}),
              ElementsAre("refuse r1 bad_gateway load_failed"));
  EXPECT_EQ(s.state(kA), ResidencyState::failed);
  s.tell(PolicyChanged{plain_policy(), {kA}});
  EXPECT_THAT(s.request(2, kA), ElementsAre("profile a"));
}

TEST(GovernorReload, ARemovedModelRefusesWhoWaitsAndGoesWhenItsRequestsEnd) {
  Policy single = plain_policy();
  single.models[0].in_flight_max = 1;
  Stage s(single);
  s.make_busy(kA, 1);
  s.request(2, kA);
  EXPECT_THAT(s.tell(PolicyChanged{without(kA), {}}),
              ElementsAre("refuse r2 not_found model_removed"));
  EXPECT_THAT(s.explanation(2), HasSubstr("a is no longer configured"));
  EXPECT_THAT(s.request(3, kA), ElementsAre("refuse r3 not_found model_removed"));
  EXPECT_THAT(s.tell(LoadModel{CommandId(1), kA}), ElementsAre("failed c1"));
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("unload model_removed"));
  EXPECT_THAT(s.exited(1), IsEmpty());
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
}

TEST(GovernorReload, ARequestThatARemovedModelLostIsNotSentAgain) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(PolicyChanged{without(kA), {}});
  EXPECT_THAT(s.failed(1, FailureKind::crashed), IsEmpty());
  EXPECT_THAT(s.end(1, RequestOutcome::lost), ElementsAre("refuse r1 not_found model_removed"));
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
}

TEST(GovernorReload, ANewModelCanBeAskedForAtOnce) {
  Stage s;
  Policy more = plain_policy();
  more.models.push_back({.id = "e", .ttl = {}});
  s.tell(PolicyChanged{more, {}});
  EXPECT_THAT(s.request(1, ModelId(4)), ElementsAre("profile e"));
}

TEST(GovernorReload, AnOperatorsPinStandsUntilTheConfigurationSaysSomethingNew) {
  Stage s;
  s.tell(PinModel{CommandId(1), kA, true});
  s.tell(PolicyChanged{plain_policy(), {}});
  EXPECT_TRUE(s.show(kA).pinned);
  Policy pinned = plain_policy();
  pinned.models[1].pinned = true;
  s.tell(PolicyChanged{pinned, {}});
  EXPECT_TRUE(s.show(kB).pinned);
  s.tell(PolicyChanged{plain_policy(), {}});
  EXPECT_FALSE(s.show(kB).pinned);
}

TEST(GovernorReload, ASmallerBudgetSendsIdleModelsAwayAndBusyOnesAsTheyEnd) {
  Stage s;
  s.bring_up(kA);
  s.make_busy(kB, 1);
  EXPECT_THAT(s.tell(PolicyChanged{with_limit(2_GiB), {}}), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("unload budget_shrunk"));
  s.forget_owed();
  EXPECT_THAT(s.exited(1), IsEmpty());
  EXPECT_THAT(s.end(1), ElementsAre("stop b g2"));
}

TEST(GovernorReload, WhatIsOnItsWayBackCountsTowardsASmallerBudget) {
  Stage s;
  s.bring_up(kA);
  s.bring_up(kB);
  EXPECT_THAT(s.tell(PolicyChanged{with_limit(3_GiB), {}}), ElementsAre("stop a g1"));
  EXPECT_THAT(s.sample(1_MiB), IsEmpty()) << "a will give back enough";
  EXPECT_THAT(s.exited(1), IsEmpty());
  EXPECT_EQ(s.state(kB), ResidencyState::ready);
}

TEST(GovernorReload, AChangeEndsTheRestOfACrashLoop) {
  Stage s;
  s.make_busy(kA, 1);
  s.failed(1, FailureKind::crashed);
  s.end(1, RequestOutcome::broken);
  s.make_busy(kA, 2);
  s.failed(2, FailureKind::crashed);
  s.end(2, RequestOutcome::broken);
  EXPECT_THAT(s.request(3, kA), IsEmpty());
  ASSERT_EQ(s.state(kA), ResidencyState::failed);
  EXPECT_THAT(s.tell(PolicyChanged{plain_policy(), {kA}}), ElementsAre("profile a"));
}

TEST(GovernorReload, ABudgetThatStillHoldsEverythingStopsNothing) {
  Stage s;
  s.bring_up(kA);
  EXPECT_THAT(s.tell(PolicyChanged{with_limit(3_GiB), {}}), IsEmpty());
}

TEST(GovernorReload, OtherPoolsOrFewerModelsAreIgnored) {
  Stage s;
  Policy fewer = plain_policy();
  fewer.models.pop_back();
  s.tell(PolicyChanged{fewer, {}});
  EXPECT_EQ(s.governor().policy(), plain_policy());
  Policy pools = plain_policy();
  pools.pools.push_back({.name = "gpu0", .reserve = {}, .limit = {}});
  s.tell(PolicyChanged{pools, {}});
  EXPECT_EQ(s.governor().policy(), plain_policy());
}

TEST(GovernorReload, ASparingLoadTakesFreeRoomOnly) {
  Stage s;
  s.bring_up(kA);
  s.tell(LoadModel{CommandId(1), kB, false});
  s.settle();
  EXPECT_EQ(s.state(kB), ResidencyState::ready);
  s.tell(LoadModel{CommandId(2), kC, false});
  EXPECT_THAT(s.profiled(kC), ElementsAre("failed c2"));
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
  EXPECT_EQ(s.state(kB), ResidencyState::ready);
}

TEST(GovernorState, AGovernorMadeFromAStateHasThatState) {
  Stage s;
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.request(3, kB);
  const GovernorState state = s.governor().state();
  EXPECT_EQ(flaw_of(state), std::nullopt);
  EXPECT_EQ(Governor(state).state(), state);
  EXPECT_EQ(Governor(state).next_deadline(), s.governor().next_deadline());
}

TEST(GovernorState, AStateThatDoesNotFitTogetherIsNamed) {
  Stage s;
  s.bring_up(kA);
  const GovernorState good = s.governor().state();
  GovernorState bad = good;
  bad.ledger.charges.clear();
  EXPECT_EQ(flaw_of(bad), "a has a server that is not charged");
  bad = good;
  bad.models[0].row = 9;
  EXPECT_THAT(flaw_of(bad).value_or(""), HasSubstr("not in its ladder"));
  bad = good;
  bad.models.pop_back();
  EXPECT_EQ(flaw_of(bad), "its models are not those of its policy");
  bad = good;
  bad.requests[RequestId(1)].model = ModelId(77);
  EXPECT_EQ(flaw_of(bad), "request 1 names no model");
  bad = good;
  bad.ledger.pools.clear();
  EXPECT_THAT(flaw_of(bad).value_or(""), HasSubstr("pools"));
}

TEST(GovernorReload, AChangedModelIsPlacedAsIfNothingHadFailed) {
  Stage s;
  s.ladder(kA, {own_row(6_GiB, 4096, 4), own_row(3_GiB, 4096, 2)});
  s.make_busy(kA, 1);
  for (std::uint64_t generation = 1; generation <= 2; ++generation) {
    s.failed(generation, FailureKind::out_of_memory);
    s.end(1, RequestOutcome::lost);
    s.settle();
  }
  EXPECT_EQ(s.show(kA).placement->slots, 2);
  s.tell(PolicyChanged{plain_policy(), {kA}});
  s.end(1);
  s.settle();
  EXPECT_EQ(s.show(kA).placement->slots, 4);
}

}  // namespace
}  // namespace tonnage::stage
