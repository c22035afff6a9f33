// Failures of loads, servers and connections, and what becomes of the requests in them.
#include <string>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(GovernorFailures, AProfileFailureRefusesWhoWaitsInItsOwnWords) {
  Stage s;
  s.request(1, kA);
  s.request(2, kA);
  EXPECT_THAT(
      s.tell(ProfileFailed{kA, {FailureKind::bad_model, "the file is truncated"}}),
      ElementsAre("refuse r1 bad_gateway load_failed", "refuse r2 bad_gateway load_failed"));
  EXPECT_THAT(s.explanation(1), HasSubstr("the file is truncated"));
  EXPECT_GE(s.refusal(1).retry_after, 1s);
  EXPECT_EQ(s.state(kA), ResidencyState::failed);
  EXPECT_THAT(s.request(3, kA), ElementsAre("refuse r3 bad_gateway model_failed"));
}

TEST(GovernorFailures, ALoadFailureIsTriedAgainOnceAndThenTold) {
  Stage s;
  s.request(1, kA);
  s.profiled(kA);
  EXPECT_THAT(s.failed(1, FailureKind::crashed), ElementsAre("start a g2"));
  EXPECT_THAT(s.failed(2, FailureKind::crashed, "segmentation fault"),
              ElementsAre("refuse r1 bad_gateway load_failed"));
  EXPECT_THAT(s.explanation(1), HasSubstr("segmentation fault"));
  EXPECT_EQ(s.pool().reserved, 0_B);
}

TEST(GovernorFailures, AfterItsRestAFailedModelIsProfiledAnew) {
  Stage s;
  s.request(1, kA);
  s.profiled(kA);
  s.failed(1, FailureKind::exited);
  s.failed(2, FailureKind::exited);
  s.run_for(999ms);
  EXPECT_EQ(s.state(kA), ResidencyState::failed);
  s.run_for(1ms);
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
  EXPECT_THAT(s.request(2, kA), ElementsAre("profile a"));
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g3"));
  EXPECT_THAT(s.ready(3), ElementsAre("admit r2 to a g3"));
}

TEST(GovernorFailures, EachFurtherFailureDoublesTheRestUpToItsBound) {
  Policy policy = plain_policy();
  policy.load.retry_backoff_max = 5s;
  Stage s(policy);
  for (const Duration rest : {1s, 2s, 4s, 5s, 5s}) {
    s.request(1, kA);
    s.tell(ProfileFailed{kA, {FailureKind::exited, "no"}});
    EXPECT_EQ(s.show(kA).retry_in, rest);
    s.run_for(rest);
  }
}

TEST(GovernorFailures, ABadModelIsNotTriedAgain) {
  Stage s;
  s.request(1, kA);
  s.profiled(kA);
  EXPECT_THAT(s.failed(1, FailureKind::bad_model),
              ElementsAre("refuse r1 bad_gateway load_failed"));
}

TEST(GovernorFailures, AStaleProfileIsMadeAnew) {
  Stage s;
  s.request(1, kA);
  s.profiled(kA);
  EXPECT_THAT(s.failed(1, FailureKind::stale_profile), ElementsAre("profile a"));
  s.ladder(kA, {own_row(1_GiB)});
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g2"));
  EXPECT_EQ(s.pool().reserved, 1_GiB);
}

TEST(GovernorFailures, AnOperatorsLoadEndsTheRest) {
  Stage s;
  s.request(1, kA);
  s.tell(ProfileFailed{kA, {FailureKind::bad_model, "corrupt"}});
  EXPECT_THAT(s.tell(LoadModel{CommandId(7), kA}), ElementsAre("profile a"));
}

TEST(GovernorFailures, AFailedLoadAnswersItsCommandOnce) {
  Stage s;
  s.tell(LoadModel{CommandId(7), kA});
  s.profiled(kA);
  EXPECT_THAT(s.failed(1, FailureKind::bad_setup), ElementsAre("failed c7"));
  s.run_for(10min);
  EXPECT_EQ(s.answers_to(7), 1);
}

TEST(GovernorFailures, ALoadThatTakesTooLongIsKilledAndTriedAgain) {
  Policy policy = plain_policy();
  policy.load.timeout = 60s;
  Stage s(policy);
  s.request(1, kA);
  s.profiled(kA);
  EXPECT_THAT(s.run_for(59s), IsEmpty());
  EXPECT_TRUE(s.show(kA).stalled);
  EXPECT_THAT(s.run_for(1s), ElementsAre("kill a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
}

TEST(GovernorFailures, AStalledLoadShowsInHealthAndHoldsUpNobody) {
  Stage s;
  s.bring_up(kB);
  s.tell(Flush{CommandId(1)});
  s.settle();
  s.request(1, kA);
  s.profiled(kA);
  s.request(2, kB);
  s.run_for(19s);
  EXPECT_THAT(s.governor().snapshot(s.now()).problems, IsEmpty());
  EXPECT_THAT(s.run_for(1s), ElementsAre("start b g3"));
  ASSERT_EQ(s.governor().snapshot(s.now()).problems.size(), 1U);
  EXPECT_EQ(s.governor().snapshot(s.now()).problems[0].code, "load_stalled");
}

TEST(GovernorFailures, EventsOfADeadGenerationAreIgnored) {
  Stage s;
  s.make_busy(kA, 1);
  s.failed(1, FailureKind::crashed);
  EXPECT_EQ(s.generation(kA), 0U);
  EXPECT_THAT(s.ready(1), IsEmpty());
  EXPECT_THAT(s.exited(1), IsEmpty());
  EXPECT_THAT(s.tell(ServerUnresponsive{Generation(1), {}}), IsEmpty());
  EXPECT_THAT(s.tell(ServerSampled{Generation(1), 6_GiB}), IsEmpty());
  EXPECT_EQ(s.pool().reserved, 0_B);
  EXPECT_THAT(s.tell(ProfileFailed{kA, {}}), IsEmpty()) << "nothing was being profiled";
  EXPECT_THAT(s.tell(ServerReady{Generation(77)}), IsEmpty());
}

TEST(GovernorFailures, ALostConnectionSeenBeforeTheExitIsReplayed) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty()) << "its server may be dying";
  EXPECT_THAT(s.reasons(), Contains("replay server_lost"));
  EXPECT_THAT(s.failed(1, FailureKind::crashed), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
}

TEST(GovernorFailures, ALostConnectionSeenAfterTheExitIsReplayed) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.failed(1, FailureKind::crashed), IsEmpty());
  EXPECT_THAT(s.end(1, RequestOutcome::lost), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
}

TEST(GovernorFailures, ASingleBrokenConnectionToALivingServerIsReplayedThere) {
  Stage s;
  s.make_busy(kA, 1);
  s.end(1, RequestOutcome::lost);
  EXPECT_THAT(s.request(2, kA), IsEmpty()) << "nothing new while its exit may follow";
  EXPECT_THAT(s.run_for(1s), ElementsAre("admit r1 to a g1", "admit r2 to a g1"));
}

TEST(GovernorFailures, SuspectsOfACrashRunOneAtATime) {
  Policy policy = plain_policy();
  policy.models[kA.value].in_flight_max = 8;
  Stage s(policy);
  s.make_busy(kA, 1);
  s.request(2, kA);
  s.failed(1, FailureKind::crashed);
  s.end(1, RequestOutcome::lost);
  s.end(2, RequestOutcome::lost);
  s.request(3, kA);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
  EXPECT_THAT(s.end(1), ElementsAre("admit r2 to a g2"));
  EXPECT_THAT(s.request(4, kA), IsEmpty());
  EXPECT_THAT(s.end(2), ElementsAre("admit r3 to a g2", "admit r4 to a g2"));
}

TEST(GovernorFailures, ASuspectWaitsUntilNobodyElseIsAtRisk) {
  Stage s;
  s.make_busy(kA, 1);
  s.failed(1, FailureKind::crashed);
  s.request(2, kA);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to a g2"));
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_THAT(s.end(2), ElementsAre("admit r1 to a g2"));
}

TEST(GovernorFailures, AServerThatIsStoppedMayStillSayThatItIsReady) {
  Stage s;
  s.tell(LoadModel{CommandId(1), kA});
  s.profiled(kA);
  s.tell(UnloadModel{CommandId(2), kA});
  EXPECT_THAT(s.ready(1), IsEmpty());
  EXPECT_EQ(s.state(kA), ResidencyState::stopping);
}

TEST(GovernorFailures, ARequestPresentAtTwoCrashesIsNotTriedAThirdTime) {
  for (const bool exit_first : {true, false}) {
    Stage s;
    s.make_busy(kA, 1);
    s.failed(1, FailureKind::crashed);
    s.end(1, RequestOutcome::lost);
    s.ready(2);
    Lines lines;
    if (exit_first) {
      s.failed(2, FailureKind::crashed);
      lines = s.end(1, RequestOutcome::lost);
    } else {
      s.end(1, RequestOutcome::lost);
      lines = s.failed(2, FailureKind::crashed);
    }
    EXPECT_THAT(lines, Contains("refuse r1 bad_gateway crash_suspect")) << exit_first;
  }
}

TEST(GovernorFailures, InnocentRequestsOutliveACrashLoop) {
  Stage s;
  s.make_busy(kA, 1);
  s.failed(1, FailureKind::crashed);
  s.end(1, RequestOutcome::lost);
  s.ready(2);
  s.request(2, kA);
  s.failed(2, FailureKind::crashed);
  s.end(1, RequestOutcome::lost);
  EXPECT_EQ(s.state(kA), ResidencyState::failed) << "a second crash in a row rests";
  EXPECT_THAT(s.request(3, kA), IsEmpty()) << "and who asks meanwhile waits";
  const Lines lines = s.run_for(5s);
  EXPECT_THAT(lines, ElementsAre("profile a"));
  s.profiled(kA);
  EXPECT_THAT(s.ready(3), ElementsAre("admit r2 to a g3", "admit r3 to a g3"));
}

TEST(GovernorFailures, AHungServerIsKilledAtOnceAndItsRequestsAreReplayed) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.tell(ServerUnresponsive{Generation(1), {FailureKind::unresponsive, "no answer"}}),
              ElementsAre("kill a g1"));
  s.end(1, RequestOutcome::lost);
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
  EXPECT_EQ(s.show(kA).failures, 1U);
}

// When it has gone, the ladder that it was started with is gone too.
TEST(GovernorFailures, AServerMayRunOutOfMemoryWhileAChangedConfigurationWaits) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(PolicyChanged{plain_policy(), {kA}});
  s.failed(1, FailureKind::out_of_memory);
  EXPECT_THAT(s.reasons(), Contains("recover more_room"));
  s.end(1, RequestOutcome::lost);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g2"));
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
}

TEST(GovernorFailures, ABrokenRequestIsEndedAndNotReplayed) {
  Stage s;
  s.make_busy(kA, 1);
  s.failed(1, FailureKind::crashed);
  EXPECT_THAT(s.end(1, RequestOutcome::broken), IsEmpty());
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
}

TEST(GovernorFailures, ALostRequestWhoseClientLeftIsNotReplayed) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(ClientGone{RequestId(1)});
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_EQ(s.show(kA).waiting, 0);
}

TEST(GovernorFailures, ReplaysAreBounded) {
  Policy policy = plain_policy();
  policy.queue.replays_max = 2;
  Stage s(policy);
  s.make_busy(kA, 1);
  for (int replay = 0; replay < 2; ++replay) {
    s.end(1, RequestOutcome::lost);
    EXPECT_THAT(s.run_for(1s * (1 << replay) - 1us), IsEmpty()) << replay;
    EXPECT_THAT(s.run_for(1us), ElementsAre("admit r1 to a g1")) << replay;
  }
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty()) << "its server may be seen dead yet";
  EXPECT_THAT(s.run_for(4s - 1us), IsEmpty()) << "each time it is given twice as long";
  EXPECT_THAT(s.run_for(1us), ElementsAre("refuse r1 bad_gateway server_lost"));
}

// A server that somebody ends, and that takes seconds to go, loses one request again and again.
TEST(GovernorFailures, LossesToOneServerThatWasKilledAreAllGivenBack) {
  Policy policy = plain_policy();
  policy.queue.replays_max = 1;
  Stage s(policy);
  s.make_busy(kA, 1);
  for (std::uint64_t server = 1; server <= 4; ++server) {
    const std::string admitted = "admit r1 to a g" + std::to_string(server);
    const std::string next = "admit r1 to a g" + std::to_string(server + 1);
    s.end(1, RequestOutcome::lost);
    ASSERT_THAT(s.run_for(1s), ElementsAre(admitted));
    if (server % 2 == 0) {
      // Its last loss is seen after the exit.
      s.failed(server, FailureKind::killed);
      s.end(1, RequestOutcome::lost);
    } else {
      s.end(1, RequestOutcome::lost);
      s.failed(server, FailureKind::killed);
    }
    ASSERT_THAT(s.ready(server + 1), ElementsAre(next));
  }
}

TEST(GovernorFailures, LossesToAnotherServerAreNotGivenBack) {
  Policy policy = plain_policy();
  policy.queue.replays_max = 1;
  policy.recovery.kills_max = 3;
  Stage s(policy);
  s.make_busy(kA, 1);
  s.end(1, RequestOutcome::lost);
  s.failed(1, FailureKind::crashed);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
  s.end(1, RequestOutcome::lost);
  s.failed(2, FailureKind::killed);
  EXPECT_THAT(s.ready(3), ElementsAre("admit r1 to a g3")) << "one loss counts";
  s.end(1, RequestOutcome::lost);
  EXPECT_THAT(s.run_for(1s), ElementsAre("refuse r1 bad_gateway server_lost"));
}

TEST(GovernorFailures, AnAnswerForgivesEarlierKills) {
  Policy policy = plain_policy();
  policy.recovery.kills_max = 1;
  Stage s(policy);
  for (std::uint64_t server = 1; server <= 4; ++server) {
    s.make_busy(kA, server);
    s.end(server);
    s.failed(server, FailureKind::killed);
    EXPECT_THAT(s.reasons(), Contains("fail killed_from_outside")) << server;
    EXPECT_EQ(s.state(kA), ResidencyState::absent) << server;
  }
}

TEST(GovernorFailures, WhoIsKilledBeforeItsLossIsSeenIsNoSuspect) {
  Stage s;
  s.make_busy(kA, 1);
  s.request(2, kA);
  s.failed(1, FailureKind::killed);
  s.end(1, RequestOutcome::lost);
  s.end(2, RequestOutcome::lost);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2", "admit r2 to a g2"))
      << "suspects would run one at a time";
}

TEST(GovernorFailures, AnEarlierArrivalStaysInFrontAfterItsReplay) {
  Policy policy = plain_policy();
  policy.models[kA.value].in_flight_max = 1;
  Stage s(policy);
  s.make_busy(kA, 1);
  s.request(2, kA);
  s.end(1, RequestOutcome::lost);
  EXPECT_THAT(s.run_for(1s), ElementsAre("admit r1 to a g1"));
}

TEST(GovernorFailures, AnAnswerForgivesEarlierFailures) {
  Stage s;
  s.make_busy(kA, 1);
  s.failed(1, FailureKind::crashed);
  s.end(1, RequestOutcome::broken);
  s.make_busy(kA, 2);
  s.end(2);
  s.request(3, kA);
  s.failed(2, FailureKind::crashed);
  EXPECT_EQ(s.state(kA), ResidencyState::absent) << "the first crash in a row";
}

}  // namespace
}  // namespace tonnage::stage
