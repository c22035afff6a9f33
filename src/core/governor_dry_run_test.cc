// Dry runs on devices: charged while they work, waited for until they are seen free.
#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr PoolId kGpu{1};

PlacementRow gpu_row(Bytes on_device) {
  PlacementRow row = own_row(100_MiB);
  row.placement.gpu_layers = 32;
  row.device_bytes = {on_device};
  return row;
}

Policy with_gpu() {
  Policy policy = plain_policy();
  policy.pools.push_back({.name = "gpu0", .reserve = {}, .limit = {}});
  policy.load.profile_reservation = 64_MiB;
  policy.load.profile_device_reservation = 450_MiB;
  return policy;
}

// A card of 8 GiB whose processes the driver names.
class DryRuns : public ::testing::Test {
 protected:
  explicit DryRuns(Policy policy = with_gpu()) : s(std::move(policy)) {
    s.ladder(kA, {gpu_row(3_GiB)});
    s.ladder(kB, {gpu_row(3_GiB)});
    seen(0_B);
  }

  // The card's sample: `orphaned` is held by no process.
  Lines seen(Bytes orphaned, Bytes foreign = 0_B) {
    return s.tell(PoolSampled{.pool = kGpu,
                              .capacity = 8_GiB,
                              .foreign = foreign + orphaned,
                              .used = foreign + orphaned,
                              .orphaned = orphaned});
  }
  // With the server of a, which idles.
  void fill_card() {
    s.ladder(kA, {gpu_row(7800_MiB)});
    s.request(1, kA);
    s.profiled(kA);
    seen(0_B);
    s.ready(1);
    s.end(1);
  }
  PoolSnapshot gpu() const { return s.governor().snapshot(s.now()).pools.at(1); }

  Stage s;
};

TEST_F(DryRuns, OneThatWorksIsCharged) {
  EXPECT_THAT(s.request(1, kA), ElementsAre("profile a"));
  EXPECT_EQ(gpu().reserved, 450_MiB);
  EXPECT_EQ(gpu().headroom, 8_GiB - 450_MiB);
  EXPECT_EQ(s.pool().reserved, 64_MiB);
  EXPECT_THAT(s.show(kA).device_reserved, ElementsAre(450_MiB));
}

TEST_F(DryRuns, ItsModelLoadsOnceItsMemoryIsSeenFree) {
  s.request(1, kA);
  EXPECT_THAT(s.profiled(kA), IsEmpty());
  EXPECT_EQ(gpu().releasing, 450_MiB);
  EXPECT_EQ(s.pool().reserved, 0_B) << "host memory is free with the exit";
  EXPECT_THAT(seen(450_MiB), IsEmpty()) << "the driver has not given it back";
  EXPECT_EQ(gpu().headroom, 8_GiB - 450_MiB);
  EXPECT_THAT(seen(0_B), ElementsAre("start a g1"));
}

TEST_F(DryRuns, ThoseOfOtherModelsWaitForIt) {
  s.request(1, kA);
  s.request(2, kB);
  EXPECT_THAT(s.profiled(kA), IsEmpty()) << "neither a load of a nor a dry run of b";
  EXPECT_THAT(seen(0_B), ElementsAre("start a g1"));
}

TEST_F(DryRuns, TheNextOfAProfileWaitsForTheOneBefore) {
  s.request(1, kA);
  EXPECT_THAT(s.tell(DryRunEnded{kA}), IsEmpty());
  EXPECT_EQ(s.state(kA), ResidencyState::profiling);
  EXPECT_EQ(gpu().releasing, 450_MiB);
  EXPECT_THAT(s.tell(DryRunEnded{kA}), IsEmpty()) << "said twice";
  EXPECT_THAT(seen(450_MiB), IsEmpty());
  EXPECT_THAT(seen(0_B), ElementsAre("next dry run of a"));
  EXPECT_EQ(gpu().reserved, 450_MiB);
  s.profiled(kA);
  EXPECT_THAT(seen(0_B), ElementsAre("start a g1"));
}

TEST_F(DryRuns, WhatNeverComesBackIsWaitedForInVainOnce) {
  s.request(1, kA);
  s.profiled(kA);
  seen(450_MiB);
  EXPECT_THAT(s.run_for(4s), IsEmpty());
  s.pass(1s);
  EXPECT_THAT(s.tell(Timer{}), ElementsAre("start a g1")) << "nothing is left that could be killed";
  ASSERT_THAT(s.reasons(), ElementsAre("leak not_returned", "load fits_headroom"));
  EXPECT_THAT(explain(s.decided()[0], s.governor().policy()),
              HasSubstr("The dry run of a ended, but 450 MiB in gpu0"));
  EXPECT_EQ(gpu().headroom, 8_GiB - 450_MiB - 3_GiB) << "it counts as held by others";
}

TEST_F(DryRuns, AFailedProfileLeavesNothingCharged) {
  s.request(1, kA);
  s.tell(ProfileFailed{kA, {FailureKind::bad_model, "truncated"}});
  seen(0_B);
  EXPECT_EQ(gpu().reserved, 0_B);
  EXPECT_EQ(s.pool().reserved, 0_B);
}

TEST_F(DryRuns, IdleModelsMakeRoomForOne) {
  fill_card();
  EXPECT_THAT(s.request(2, kB), ElementsAre("stop a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("evict room_for_profile"));
  EXPECT_THAT(s.exited(1), IsEmpty());
  EXPECT_THAT(seen(0_B), ElementsAre("profile b"));
}

TEST_F(DryRuns, OneIsTriedWithWhatThereIsWhereOthersHoldTheCard) {
  seen(0_B, 7_GiB + 900_MiB);
  EXPECT_THAT(s.request(1, kA), ElementsAre("profile a"));
  EXPECT_EQ(gpu().reserved, 124_MiB);
}

TEST_F(DryRuns, OneIsTriedWithWhatThereIsBesidePinnedModels) {
  fill_card();
  s.tell(PinModel{CommandId(1), kA, true});
  EXPECT_THAT(s.request(2, kB), ElementsAre("profile b"));
  EXPECT_EQ(gpu().reserved, 8_GiB);
}

TEST_F(DryRuns, NothingIsMissedWhereNoSampleCame) {
  s.request(1, kA);
  s.profiled(kA);
  s.pass(5s);
  EXPECT_THAT(s.tell(Timer{}), ElementsAre("start a g1"));
  EXPECT_THAT(s.reasons(), ElementsAre("load fits_headroom"));
}

TEST_F(DryRuns, ALostDeviceIsNotWaitedFor) {
  s.ladder(kA, {gpu_row(3_GiB), own_row(1_GiB)});
  s.request(1, kA);
  s.tell(PoolLost{kGpu, "it fell off the bus"});
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
}

TEST_F(DryRuns, BetweenTwoAShutdownEndsTheProfile) {
  s.request(1, kA);
  s.tell(DryRunEnded{kA});
  EXPECT_THAT(s.tell(Shutdown{}), ElementsAre("refuse r1 unavailable shutting_down", "drained"));
  EXPECT_EQ(s.state(kA), ResidencyState::absent);
}

TEST_F(DryRuns, BetweenTwoTheRemovalOfTheModelEndsTheProfile) {
  s.request(1, kA);
  s.tell(DryRunEnded{kA});
  Policy policy = with_gpu();
  policy.models[0].removed = true;
  s.tell(PolicyChanged{policy, {}});
  EXPECT_THAT(seen(0_B), IsEmpty());
  EXPECT_THAT(s.request(2, kB), ElementsAre("profile b"));
}

class OnTheHostOnly : public DryRuns {
 protected:
  OnTheHostOnly()
      : DryRuns([] {
          Policy policy = with_gpu();
          policy.models[0].host_only = true;
          return policy;
        }()) {
    s.ladder(kA, {own_row(1_GiB)});
  }
};

TEST_F(OnTheHostOnly, NoDeviceIsCharged) {
  s.request(1, kA);
  EXPECT_EQ(gpu().reserved, 0_B);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1")) << "nothing is to be seen free";
}

class Ahead : public DryRuns {
 protected:
  Ahead() : DryRuns(policy()) {}
  static Policy policy() {
    Policy policy = with_gpu();
    policy.load.profile_ahead = true;
    return policy;
  }
};

TEST_F(Ahead, WhatNeedsNoDeviceDoesNotWaitForOneThatIsFull) {
  s.ladder(kA, {gpu_row(7800_MiB)});
  for (const ModelId model : {kA, kB, kC, kD}) {
    s.profiled(model);
    seen(0_B);
  }
  s.request(1, kA);
  s.ready(1);
  s.end(1);
  Policy changed = policy();
  changed.models[3].host_only = true;
  EXPECT_THAT(s.tell(PolicyChanged{changed, {kC, kD}}), ElementsAre("profile d"));
}

TEST(UnifiedDryRuns, TheContextIsTheHosts) {
  Policy policy = plain_policy();
  policy.unified_devices = 1;
  policy.load.profile_reservation = 64_MiB;
  policy.load.profile_device_reservation = 450_MiB;
  Stage s(policy);
  s.request(1, kA);
  EXPECT_EQ(s.pool().reserved, 514_MiB);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g1"));
}

}  // namespace
}  // namespace tonnage::stage
