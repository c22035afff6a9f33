// Operator commands and shutdown.
#include <string>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST(GovernorCommands, LoadIsAnsweredWhenTheModelIsReady) {
  Stage s;
  EXPECT_THAT(s.tell(LoadModel{CommandId(1), kA}), ElementsAre("profile a"));
  EXPECT_THAT(s.tell(LoadModel{CommandId(2), kA}), IsEmpty());
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("load operator_asked"));
  EXPECT_THAT(s.ready(1), ElementsAre("done c1", "done c2"));
  EXPECT_THAT(s.tell(LoadModel{CommandId(3), kA}), ElementsAre("done c3"));
  EXPECT_EQ(s.answers_to(1), 1);
  EXPECT_EQ(s.answers_to(2), 1);
}

TEST(GovernorCommands, AModelThatNobodyKnowsIsAnsweredWithNo) {
  Stage s;
  const ModelId nobody{99};
  EXPECT_THAT(s.tell(LoadModel{CommandId(1), nobody}), ElementsAre("failed c1"));
  EXPECT_THAT(s.tell(UnloadModel{CommandId(2), nobody}), ElementsAre("failed c2"));
  EXPECT_THAT(s.tell(PinModel{CommandId(3), nobody, true}), ElementsAre("failed c3"));
}

TEST(GovernorCommands, LoadOfWhatNeverFitsIsAnsweredWithNo) {
  Stage s(plain_policy(), 2_GiB);
  s.tell(LoadModel{CommandId(1), kA});
  EXPECT_THAT(s.profiled(kA), ElementsAre("failed c1"));
}

TEST(GovernorCommands, ALoadThatWaitsGoesOnAsSoonAsTheLastRequestInItsWayEnds) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.tell(LoadModel{CommandId(1), kB});
  s.settle();
  EXPECT_EQ(s.state(kB), ResidencyState::absent);
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("start b g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("done c1"));
}

TEST(GovernorCommands, AModelThatIsBeingLoadedForAnOperatorIsNoVictim) {
  Stage s(plain_policy(), 4_GiB);
  s.tell(LoadModel{CommandId(1), kA});
  s.profiled(kA);
  s.request(1, kB);
  s.ready(1);
  EXPECT_EQ(s.answers_to(1), 1);
}

TEST(GovernorCommands, UnloadWaitsForLeasesAndAdmitsNothingNew) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.tell(UnloadModel{CommandId(1), kA}), IsEmpty());
  EXPECT_THAT(s.request(2, kA), IsEmpty());
  EXPECT_THAT(s.end(1), ElementsAre("stop a g1"));
  EXPECT_THAT(s.exited(1), UnorderedElementsAre("done c1", "start a g2"))
      << "and a request that waits loads it again";
}

TEST(GovernorCommands, UnloadOfAnIdleModelStopsItAtOnce) {
  Stage s;
  s.bring_up(kA);
  EXPECT_THAT(s.tell(UnloadModel{CommandId(1), kA}), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("unload unloaded_by_operator"));
  EXPECT_THAT(s.tell(UnloadModel{CommandId(2), kA}), IsEmpty());
  EXPECT_THAT(s.exited(1), UnorderedElementsAre("done c1", "done c2"));
  EXPECT_THAT(s.tell(UnloadModel{CommandId(3), kA}), ElementsAre("done c3"));
}

TEST(GovernorCommands, UnloadOfALoadingModelKillsItAndEndsItsLoadCommand) {
  Stage s;
  s.tell(LoadModel{CommandId(1), kA});
  s.profiled(kA);
  EXPECT_THAT(s.tell(UnloadModel{CommandId(2), kA}), ElementsAre("failed c1", "kill a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("done c2"));
  EXPECT_EQ(s.show(kA).failures, 0U);
}

TEST(GovernorCommands, APinnedModelIsNotUnloaded) {
  Stage s;
  s.bring_up(kA);
  EXPECT_THAT(s.tell(PinModel{CommandId(1), kA, true}), ElementsAre("done c1"));
  EXPECT_THAT(s.tell(UnloadModel{CommandId(2), kA}), ElementsAre("failed c2"));
  s.tell(PinModel{CommandId(3), kA, false});
  EXPECT_THAT(s.tell(UnloadModel{CommandId(4), kA}), ElementsAre("stop a g1"));
}

TEST(GovernorCommands, APinEndsAYield) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.settle();
  s.run_for(30s);
  ASSERT_EQ(s.state(kA), ResidencyState::draining);
  s.tell(PinModel{CommandId(1), kA, true});
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorCommands, LoadOfAModelThatYieldsDoesNotBlockWhoItYieldsTo) {
  Stage s(plain_policy(), 4_GiB);
  s.make_busy(kA, 1);
  s.request(2, kB);
  s.settle();
  s.run_for(30s);
  ASSERT_EQ(s.state(kA), ResidencyState::draining);
  s.tell(LoadModel{CommandId(1), kA});
  s.end(1);
  s.settle();
  EXPECT_EQ(s.state(kB), ResidencyState::ready);
  s.end(2);
  s.settle();
  EXPECT_EQ(s.answers_to(1), 1);
}

TEST(GovernorCommands, FlushSparesWhatIsPinnedOrInUse) {
  Stage s(plain_policy(), 16_GiB);
  s.bring_up(kA);
  s.bring_up(kB);
  s.tell(PinModel{CommandId(1), kB, true});
  s.make_busy(kC, 1);
  EXPECT_THAT(s.tell(Flush{CommandId(2)}), ElementsAre("stop a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("done c2"));
  EXPECT_THAT(s.tell(Flush{CommandId(3)}), ElementsAre("done c3"));
}

TEST(GovernorCommands, AnUnloadDuringAReloadForABetterPlacementStays) {
  Stage s(plain_policy(), 8_GiB);
  s.ladder(kA, {own_row(6_GiB, 8192, 4), own_row(3_GiB, 4096, 2)});
  s.sample(4_GiB);
  s.bring_up(kA);
  ASSERT_TRUE(s.show(kA).degraded);
  s.sample(0_B);
  EXPECT_THAT(s.run_for(5s), ElementsAre("stop a g1"));
  s.tell(UnloadModel{CommandId(1), kA});
  EXPECT_THAT(s.exited(1), ElementsAre("done c1"));
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
}

TEST(GovernorShutdown, RefusesWhoWaitsAndDrainsWhatRuns) {
  Stage s;
  s.make_busy(kA, 1);
  s.request(2, kA);
  s.request(3, kA);
  s.request(4, kB);
  EXPECT_THAT(s.tell(Shutdown{}), Contains("refuse r3 unavailable shutting_down"));
  EXPECT_THAT(s.request(5, kA), ElementsAre("refuse r5 unavailable shutting_down"));
  EXPECT_THAT(s.tell(LoadModel{CommandId(1), kA}), ElementsAre("failed c1"));
  EXPECT_THAT(s.end(1), IsEmpty());
  EXPECT_THAT(s.end(2), ElementsAre("stop a g1"));
  EXPECT_THAT(s.exited(1), IsEmpty()) << "a dry run of b is still out";
  EXPECT_THAT(s.profiled(kB), ElementsAre("drained"));
  EXPECT_THAT(s.tell(Shutdown{}), Not(Contains("drained")));
  EXPECT_EQ(s.governor().next_deadline(), std::nullopt);
}

TEST(GovernorShutdown, OfAnIdleDaemonIsImmediate) {
  Stage s;
  EXPECT_THAT(s.tell(Shutdown{}), ElementsAre("drained"));
}

TEST(GovernorShutdown, KillsWhatStillRunsAfterTheDrainTimeout) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.tell(Shutdown{}), IsEmpty());
  EXPECT_THAT(s.run_for(29s), IsEmpty());
  EXPECT_THAT(s.run_for(1s), ElementsAre("kill a g1"));
  EXPECT_THAT(s.exited(1), IsEmpty()) << "the request is still on its way back";
  EXPECT_THAT(s.end(1, RequestOutcome::lost),
              ElementsAre("refuse r1 unavailable shutting_down", "drained"));
}

TEST(GovernorShutdown, ASecondOneGivesNoMoreTime) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(Shutdown{});
  s.run_for(20s);
  s.tell(Shutdown{});
  EXPECT_THAT(s.run_for(10s), ElementsAre("kill a g1"));
}

TEST(GovernorShutdown, StopsALoadAtOnce) {
  Stage s;
  s.tell(LoadModel{CommandId(1), kA});
  s.profiled(kA);
  EXPECT_THAT(s.tell(Shutdown{}), ElementsAre("failed c1", "stop a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("drained"));
}

}  // namespace
}  // namespace tonnage::stage
