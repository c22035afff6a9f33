// Admission, queues, priorities and fairness, seen through events and actions alone.
#include <string>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(GovernorRequests, AnAbsentModelIsProfiledThenStartedThenAsked) {
  Stage s;
  EXPECT_THAT(s.request(1, kA), ElementsAre("profile a"));
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("load fits_headroom"));
  EXPECT_THAT(s.ready(1), ElementsAre("admit r1 to a g1"));
  EXPECT_EQ(s.show(kA).leases, 1);
}

TEST(GovernorRequests, AReadyModelAdmitsAtOnceWithoutAQueue) {
  Stage s;
  s.bring_up(kA);
  EXPECT_THAT(s.request(1, kA), ElementsAre("admit r1 to a g1"));
  EXPECT_THAT(s.request(2, kA), ElementsAre("admit r2 to a g1"));
  EXPECT_EQ(s.show(kA).waiting, 0);
}

TEST(GovernorRequests, BeyondItsSlotsARequestWaitsForTheNextFreeOne) {
  Stage s;
  s.bring_up(kA);
  s.request(1, kA);
  s.request(2, kA);
  EXPECT_THAT(s.request(3, kA), IsEmpty());
  EXPECT_EQ(s.governor().queue_place(RequestId(3)), 0);
  EXPECT_THAT(s.end(1), ElementsAre("admit r3 to a g1"));
}

TEST(GovernorRequests, NothingStartsBeforeMemoryWasSampled) {
  Stage s(plain_policy(), Bytes{0});
  EXPECT_THAT(s.request(1, kA), IsEmpty());
  EXPECT_THAT(s.tell(PoolSampled{kHostPool, 8_GiB, 0_B}), ElementsAre("profile a"));
}

TEST(GovernorRequests, ADuplicateRequestIdIsIgnored) {
  Stage s;
  s.bring_up(kA);
  s.request(1, kA);
  EXPECT_THAT(s.request(1, kA), IsEmpty());
  EXPECT_EQ(s.show(kA).leases, 1);
  s.request(2, kB);
  s.request(2, kB);
  EXPECT_EQ(s.show(kB).waiting, 1);
}

TEST(GovernorRequests, AnEndThatNamesAnotherGenerationIsIgnored) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(RequestEnded{RequestId(1), Generation(99), RequestOutcome::answered});
  EXPECT_EQ(s.show(kA).leases, 1);
  s.end(1);
  EXPECT_EQ(s.show(kA).leases, 0);
  EXPECT_THAT(s.end(1), IsEmpty());
}

TEST(GovernorRequests, ALookAtAServerTakesALeaseButNoSlot) {
  Stage s;
  s.bring_up(kA);
  s.request(1, kA);
  s.request(2, kA);
  EXPECT_THAT(s.tell(RequestArrived{RequestId(3), kA, Priority::normal, 0, false}),
              ElementsAre("admit r3 to a g1"));
  EXPECT_EQ(s.show(kA).leases, 3);
}

TEST(GovernorRequests, ResidentIsTheMostRecentlyUsedReadyLlm) {
  Policy policy = plain_policy();
  policy.models[kC.value].type = ModelType::embedding;
  Stage s(policy, 16_GiB);
  EXPECT_THAT(s.tell(RequestArrived{.request = RequestId(1), .model = {}}),
              ElementsAre("refuse r1 unavailable no_resident"));
  s.bring_up(kA);
  s.pass(1s);
  s.bring_up(kB);
  s.pass(1s);
  s.bring_up(kC);
  EXPECT_THAT(s.tell(RequestArrived{.request = RequestId(2), .model = {}}),
              ElementsAre("admit r2 to b g2"));
}

TEST(GovernorRequests, AFullQueueAnswersAtOnce) {
  Policy policy = plain_policy();
  policy.queue.waiting_max = 3;
  policy.queue.waiting_per_model_max = 2;
  Stage s(policy);
  s.request(1, kA);
  s.request(2, kA);
  EXPECT_THAT(s.request(3, kA), ElementsAre("refuse r3 unavailable queue_full"));
  EXPECT_GE(s.refusal(3).retry_after, 1s);
  s.request(4, kB);
  EXPECT_THAT(s.request(5, kB), ElementsAre("refuse r5 unavailable queue_full"));
}

TEST(GovernorRequests, WaitingEndsAtTheQueueTimeout) {
  Policy policy = plain_policy();
  policy.queue.queue_timeout = 90s;
  policy.queue.yield_after = 1h;
  Stage s(policy, 4_GiB);
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.settle();
  EXPECT_THAT(s.run_for(89s), IsEmpty());
  EXPECT_THAT(s.run_for(1s), ElementsAre("refuse r2 unavailable queue_timeout"));
  EXPECT_EQ(s.refusal(2).waited, 90s);
  EXPECT_EQ(s.refusal(2).need, 3_GiB);
  EXPECT_EQ(s.refusal(2).headroom, 1_GiB);
}

TEST(GovernorRequests, AClientThatLeavesIsForgottenWhileItWaits) {
  Stage s;
  s.request(1, kA);
  s.tell(ClientGone{RequestId(1)});
  EXPECT_EQ(s.show(kA).waiting, 0);
  EXPECT_THAT(s.profiled(kA), IsEmpty()) << "nobody wants the model any more";
}

TEST(GovernorRequests, AClientThatLeavesKeepsItsLeaseUntilTheSlotIsIdle) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(ClientGone{RequestId(1)});
  EXPECT_EQ(s.show(kA).leases, 1);
  s.end(1, RequestOutcome::client_gone);
  EXPECT_EQ(s.show(kA).leases, 0);
}

TEST(GovernorRequests, HigherPriorityIsServedFirst) {
  Policy policy = plain_policy();
  policy.models[kA.value].in_flight_max = 1;
  Stage s(policy);
  s.make_busy(kA, 1);
  s.request(2, kA, 0, Priority::low);
  s.request(3, kA, 0, Priority::normal);
  s.request(4, kA, 0, Priority::high);
  EXPECT_THAT(s.end(1), ElementsAre("admit r4 to a g1"));
  EXPECT_THAT(s.end(4), ElementsAre("admit r3 to a g1"));
  EXPECT_THAT(s.end(3), ElementsAre("admit r2 to a g1"));
}

TEST(GovernorRequests, TheModelWithTheMoreUrgentRequestIsLoadedFirst) {
  Stage s(plain_policy(), 4_GiB);
  for (const ModelId model : {kA, kB, kC}) {
    s.bring_up(model);  // so that all are profiled
  }
  s.tell(Flush{CommandId(1)});
  s.settle();
  s.tell(RequestArrived{RequestId(1), kA, Priority::low, 0, true});
  EXPECT_EQ(s.state(kA), ResidencyState::loading);
  s.request(2, kB);
  s.request(3, kC, 0, Priority::high);
  s.settle();
  EXPECT_THAT(s.end(1), ElementsAre("stop a g4"));
  EXPECT_THAT(s.exited(4), ElementsAre("start c g5"));
}

TEST(GovernorRequests, AlternatingRequestsForTwoModelsCostTwoLoads) {
  Stage s(plain_policy(), 4_GiB);
  for (std::uint64_t i = 0; i < 3; ++i) {
    s.request(2 * i + 1, kA);
    s.request(2 * i + 2, kB);
  }
  s.settle();
  for (const std::uint64_t done : {1UL, 3UL, 5UL, 2UL, 4UL, 6UL}) {
    s.end(done);
    s.settle();
  }
  EXPECT_EQ(s.governor().snapshot(s.now()).leases, 0);
  EXPECT_EQ(s.show(kA).loads + s.show(kB).loads, 2U);
}

TEST(GovernorRequests, ABusyModelYieldsToOneThatWaitedLongEnough) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.pass(20s);
  s.request(2, kB);
  s.settle();
  EXPECT_THAT(s.run_for(29s), IsEmpty());
  s.run_for(1s);
  EXPECT_EQ(s.state(kA), ResidencyState::draining);
  EXPECT_THAT(s.reasons(), Contains("yield waited_too_long"));
  EXPECT_THAT(s.request(3, kA), IsEmpty()) << "a model that yields admits nothing new";
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("start b g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to b g2"));
}

TEST(GovernorRequests, AModelNoLongerAskedToYieldGoesOnAdmitting) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.settle();
  s.run_for(30s);
  EXPECT_EQ(s.state(kA), ResidencyState::draining);
  s.request(3, kA);
  EXPECT_THAT(s.tell(ClientGone{RequestId(2)}), ElementsAre("admit r3 to a g1"));
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorRequests, AYoungModelWithQueuedWorkOwesItsMinimumResidency) {
  Policy policy = plain_policy();
  policy.queue.yield_after = 1s;
  policy.models[kA.value].in_flight_max = 1;
  Stage s(policy, 4_GiB);
  s.request(2, kB);  // B is profiled first, and is then told to wait
  s.settle();
  s.end(2);
  s.request(1, kA);
  s.exited(1);  // B gave way
  s.profiled(kA);
  s.pass(4s);  // a load of 4 s: A owes 8 s
  s.ready(2);
  s.forget_owed();
  s.request(3, kA);  // queued: A has one slot
  s.request(4, kB);
  s.run_for(7900ms);
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
  s.run_for(200ms);
  EXPECT_EQ(s.state(kA), ResidencyState::draining);
}

TEST(GovernorRequests, PlacesCountThoseServedBefore) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.request(3, kB);
  s.settle();
  s.pass(1s);
  s.request(4, kC);
  s.settle();
  EXPECT_EQ(s.governor().queue_place(RequestId(2)), 0);
  EXPECT_EQ(s.governor().queue_place(RequestId(3)), 1);
  EXPECT_EQ(s.governor().queue_place(RequestId(4)), 2);
  EXPECT_EQ(s.governor().queue_place(RequestId(1)), std::nullopt);
}

TEST(GovernorRequests, ALargerContextThanTheServerHasIsRefusedAtOnceAndHoldsUpNobody) {
  Stage s;
  s.bring_up(kA);
  EXPECT_THAT(s.request(1, kA, 9'000), ElementsAre("refuse r1 too_large context_too_small"));
  EXPECT_THAT(s.request(2, kA, 4'096), ElementsAre("admit r2 to a g1"));
}

TEST(GovernorRequests, ARequestThatCanNeverBeServedTakesNoOtherWithIt) {
  Stage s;
  s.request(1, kA, 9'000);
  s.request(2, kA, 512);
  const Lines lines = s.settle();
  EXPECT_THAT(lines, Contains("refuse r1 too_large context_too_small"));
  EXPECT_THAT(lines, Contains("admit r2 to a g1"));
}

TEST(GovernorRequests, ARefusalForSizeCarriesTheArithmetic) {
  Stage s(plain_policy(), 4_GiB);
  s.ladder(kA, {own_row(9_GiB, 8192, 2), own_row(6_GiB, 2048, 1)});
  s.request(1, kA);
  EXPECT_THAT(s.profiled(kA), ElementsAre("refuse r1 too_large never_fits"));
  EXPECT_EQ(s.refusal(1).need, 6_GiB);
  EXPECT_EQ(s.refusal(1).usable, 4_GiB);
  EXPECT_EQ(s.refusal(1).tried.size(), 2U);
  EXPECT_THAT(s.explanation(1), HasSubstr("6.00 GiB"));
  EXPECT_THAT(s.explanation(1), HasSubstr("1 slot of 2048 tokens"));
}

TEST(GovernorRequests, AReadyModelNeverQueuesBehindAnotherOnesLoad) {
  Stage s;
  s.bring_up(kA);
  s.request(1, kB);
  EXPECT_EQ(s.state(kB), ResidencyState::profiling);
  EXPECT_THAT(s.request(2, kA), ElementsAre("admit r2 to a g1"));
}

TEST(GovernorRequests, LoadsGoOneAtATime) {
  Stage s(plain_policy(), 16_GiB);
  s.request(1, kA);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
  s.request(2, kB);
  EXPECT_THAT(s.profiled(kB), IsEmpty());
  EXPECT_THAT(s.ready(1), ElementsAre("admit r1 to a g1", "start b g2"));
}

}  // namespace
}  // namespace tonnage::stage
