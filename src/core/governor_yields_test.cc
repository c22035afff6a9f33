// Who gives way to whom when several want the same memory.
#include "core/governor_stage_test.cc"

namespace tonnage {
namespace {

using namespace tonnage::stage;

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

Policy impatient() {
  Policy policy = plain_policy();
  policy.queue.yield_after = 10s;
  return policy;
}

TEST(GovernorYields, APinnedModelAdmitsAgainWhileWhoWaitsWaitsForAnother) {
  Stage stage(impatient());
  stage.ladder(kB, {own_row(5_GiB)});
  stage.make_busy(kA, 1);
  stage.make_busy(kC, 2);
  stage.request(3, kB);
  stage.settle();
  stage.run_for(11s);
  ASSERT_EQ(stage.state(kA), ResidencyState::draining);
  stage.tell(PinModel{CommandId(1), kA, true});
  EXPECT_EQ(stage.state(kA), ResidencyState::ready);
  EXPECT_EQ(stage.state(kC), ResidencyState::draining) << "b fits beside a once c has gone";
  EXPECT_THAT(stage.request(4, kA), Contains("admit r4 to a g1"));
}

// Room that becomes free goes to who waited longest; the next one makes nobody yield before.
TEST(GovernorYields, OnlyTheFirstWhoWaitsMakesOthersYield) {
  Stage stage(impatient());
  for (const ModelId model : {kA, kB, kC, kD})
    stage.ladder(model, {own_row(4_GiB)});
  stage.make_busy(kA, 1);
  stage.make_busy(kB, 2);
  stage.request(3, kC);
  stage.settle();
  stage.request(4, kD);
  stage.settle();
  stage.run_for(30s);
  const bool a = stage.state(kA) == ResidencyState::draining;
  const bool b = stage.state(kB) == ResidencyState::draining;
  EXPECT_NE(a, b) << "one of them is enough for c";
}

// An upgrade is nobody's request: it waits for memory, and takes it from nobody at work.
TEST(GovernorYields, AMoveUpMakesNobodyYield) {
  Policy policy = impatient();
  policy.queue.yield_after = 0s;
  policy.residency.grace = 0s;
  Stage stage(policy);
  PlacementRow lesser = own_row(2_GiB, 2048);
  stage.ladder(kA, {own_row(5_GiB), lesser});
  stage.ladder(kB, {own_row(4_GiB)});
  stage.sample(4_GiB);
  stage.bring_up(kA);
  ASSERT_TRUE(stage.show(kA).degraded);
  stage.profiled(kB);
  EXPECT_THAT(stage.sample(0_B), ElementsAre("stop a g1"));
  EXPECT_THAT(stage.request(1, kB), ElementsAre("start b g2"));
  EXPECT_THAT(stage.exited(1), IsEmpty());
  EXPECT_THAT(stage.ready(2), ElementsAre("admit r1 to b g2"));
  EXPECT_EQ(stage.state(kB), ResidencyState::ready) << "a waits for what b holds";
  EXPECT_THAT(stage.end(1), Not(Contains("kill b g2")));
}

TEST(GovernorResident, IsTheModelThatWasAskedLastEvenIfItHasNotAnsweredYet) {
  Stage stage;
  stage.bring_up(kA);
  stage.pass(1s);
  stage.bring_up(kB);
  stage.pass(1s);
  stage.request(1, kB);
  stage.pass(1s);
  stage.request(2, kA);
  stage.pass(1s);
  EXPECT_THAT(stage.tell(RequestArrived{RequestId(3), std::nullopt}),
              ElementsAre("admit r3 to a g1"));
}

}  // namespace
}  // namespace tonnage
