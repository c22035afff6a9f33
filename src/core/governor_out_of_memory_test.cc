// A server that answers a request that it has no memory for it, and lives on.
#include <string>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

ServerOutOfMemory out_of_memory(std::uint64_t generation) {
  return {Generation(generation), {FailureKind::out_of_memory, "HTTP 500: Compute error."}};
}

TEST(GovernorOutOfMemory, ItIsKilledAtOnceAndItsRequestIsReplayedWithMoreRoom) {
  Stage s;
  s.make_busy(kA, 1);
  EXPECT_THAT(s.tell(out_of_memory(1)), ElementsAre("kill a g1"));
  ASSERT_EQ(s.decided().size(), 1U);
  EXPECT_EQ(s.decided()[0].reason, ReasonCode::stopped_short);
  EXPECT_EQ(s.decided()[0].failure, FailureKind::out_of_memory);
  EXPECT_EQ(
      explain(s.decided()[0], s.governor().policy()),
      "Killing the server of a, which is running but out of memory: HTTP 500: Compute error.");
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_EQ(s.decided().at(0).text, "HTTP 500: Compute error.") << "why it is replayed";
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  EXPECT_THAT(s.reasons(),
              ElementsAre("fail server_failed", "recover more_room", "load fits_headroom"))
      << "the steps after an out-of-memory exit";
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
  EXPECT_EQ(s.show(kA).failures, 1U);
}

TEST(GovernorOutOfMemory, NobodyIsAdmittedThereUntilItHasGone) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(out_of_memory(1));
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_THAT(s.request(2, kA), IsEmpty());
  EXPECT_THAT(s.run_for(1min), IsEmpty());
}

TEST(GovernorOutOfMemory, OfABatchThatFailsTheFirstWordCounts) {
  Stage s;
  s.make_busy(kA, 1);
  s.request(2, kA);
  EXPECT_THAT(s.tell(out_of_memory(1)), ElementsAre("kill a g1"));
  s.end(1, RequestOutcome::lost);
  EXPECT_THAT(s.tell(out_of_memory(1)), IsEmpty());
  EXPECT_THAT(s.decided(), IsEmpty());
  s.end(2, RequestOutcome::lost);
  s.exited(1);
  EXPECT_EQ(s.show(kA).failures, 1U);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2", "admit r2 to a g2"))
      << "none of them is a suspect, who would run alone";
}

TEST(GovernorOutOfMemory, ItsReplaysAreFree) {
  for (const bool exit_first : {true, false}) {
    Policy policy = plain_policy();
    policy.queue.replays_max = 0;
    Stage s(policy);
    s.make_busy(kA, 1);
    s.tell(out_of_memory(1));
    if (exit_first)
      s.exited(1);
    EXPECT_THAT(s.end(1, RequestOutcome::lost), Not(Contains("refuse r1 bad_gateway server_lost")));
    if (!exit_first)
      s.exited(1);
    EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2"));
    EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty()) << "its server may be seen dead yet";
    EXPECT_THAT(s.run_for(1s), ElementsAre("refuse r1 bad_gateway server_lost"))
        << "a connection that breaks for another reason has its price";
  }
}

TEST(GovernorOutOfMemory, ALossThatIsToldAfterTheNextServerFailedIsFreeAsWell) {
  Policy policy = plain_policy();
  policy.queue.replays_max = 1;
  Stage s(policy);
  PlacementRow lesser = own_row(1_GiB);
  lesser.placement.slots = 1;
  s.ladder(kA, {own_row(3_GiB), lesser});
  s.make_busy(kA, 1);
  s.tell(out_of_memory(1));
  s.request(2, kA);
  EXPECT_THAT(s.exited(1), ElementsAre("start a g2"));
  EXPECT_THAT(s.tell(ServerExited{Generation(2), Failure{FailureKind::out_of_memory, "no room"}}),
              ElementsAre("start a g3"));
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_THAT(s.ready(3), ElementsAre("admit r1 to a g3"));
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_THAT(s.run_for(1s), ElementsAre("admit r1 to a g3")) << "this is the first that counts";
}

TEST(GovernorOutOfMemory, WhereNoStepIsLeftItIsACrash) {
  Policy policy = plain_policy();
  policy.queue.replays_max = 0;
  Stage s(policy);
  s.make_busy(kA, 1);
  s.tell(RequestArrived{RequestId(2), kA, Priority::normal, 0, false});
  s.tell(out_of_memory(1));
  s.end(1, RequestOutcome::lost);
  s.end(2, RequestOutcome::lost);
  s.exited(1);
  EXPECT_THAT(s.ready(2), ElementsAre("admit r1 to a g2", "admit r2 to a g2"));
  s.tell(out_of_memory(2));
  EXPECT_THAT(s.end(1, RequestOutcome::lost), IsEmpty());
  EXPECT_THAT(s.end(2, RequestOutcome::lost), IsEmpty());
  EXPECT_THAT(s.exited(2),
              ElementsAre("refuse r1 bad_gateway server_lost", "refuse r2 bad_gateway server_lost"))
      << "the same placement has had its second chance, and there is no lesser one";
}

TEST(GovernorOutOfMemory, ARequestThatNoServerHasMemoryForIsNotTriedForEver) {
  Stage s;
  s.make_busy(kA, 1);
  Lines lines;
  int servers = 0;
  while (lines.empty() && ++servers < 10) {
    const std::uint64_t generation = s.generation(kA);
    s.tell(out_of_memory(generation));
    s.end(1, RequestOutcome::lost);
    lines = s.exited(generation);
    if (!lines.empty() && lines.front().starts_with("start"))
      lines.clear();
    s.ready(s.generation(kA));
  }
  EXPECT_THAT(lines, ElementsAre("refuse r1 bad_gateway crash_suspect"));
  EXPECT_EQ(servers, 3);
}

TEST(GovernorOutOfMemory, WordsOfAServerThatIsNotReadyAreIgnored) {
  Stage s;
  s.request(1, kA);
  s.profiled(kA);
  EXPECT_THAT(s.tell(out_of_memory(1)), IsEmpty()) << "it loads";
  s.ready(1);
  s.end(1);
  EXPECT_THAT(s.tell(UnloadModel{CommandId(1), kA}), ElementsAre("stop a g1"));
  EXPECT_THAT(s.tell(out_of_memory(1)), IsEmpty()) << "it goes already";
  EXPECT_THAT(s.exited(1), ElementsAre("done c1"));
  EXPECT_EQ(s.show(kA).failures, 0U);
  s.make_busy(kA, 2);
  EXPECT_THAT(s.tell(out_of_memory(1)), IsEmpty()) << "it is not the one that runs";
  EXPECT_EQ(s.state(kA), ResidencyState::ready);
}

TEST(GovernorOutOfMemory, AnUnloadThatWaitsForItsRequestsIsDone) {
  Stage s;
  s.make_busy(kA, 1);
  s.tell(UnloadModel{CommandId(1), kA});
  EXPECT_THAT(s.tell(out_of_memory(1)), ElementsAre("kill a g1"));
  EXPECT_THAT(s.exited(1), ElementsAre("done c1"));
}

}  // namespace
}  // namespace tonnage::stage
