// Loads and dry runs that take turns, and those that need not wait for each other.
#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

PlacementRow on_card(Bytes device, Bytes host = 100_MiB) {
  PlacementRow row = own_row(host);
  row.placement.gpu_layers = 32;
  row.device_bytes = {device};
  return row;
}

Policy with_two_cards() {
  Policy policy = plain_policy();
  for (const char* name : {"gpu0", "gpu1"})
    policy.pools.push_back({.name = name, .reserve = {}, .limit = {}});
  policy.load.profile_device_reservation = 450_MiB;
  return policy;
}

// Two cards of 8 GiB. a and b need most of one, c none; footprints are known.
class Turns : public ::testing::Test {
 protected:
  explicit Turns(Policy policy = with_two_cards()) : s(std::move(policy)) {
    s.ladder(kA, {on_card(5_GiB)});
    s.ladder(kB, {on_card(5_GiB)});
    see_cards();
  }

  void see_cards() {
    for (const std::uint32_t pool : {1U, 2U})
      s.tell(PoolSampled{
          .pool = PoolId(pool), .capacity = 8_GiB, .foreign = 0_B, .used = 0_B, .orphaned = 0_B});
  }
  void know_all() {
    for (const ModelId model : {kA, kB, kC, kD})
      s.profiled(model);
  }

  Stage s;
};

TEST_F(Turns, ALoadOnOneCardHoldsUpNoneOnAnother) {
  know_all();
  EXPECT_THAT(s.request(1, kA), ElementsAre("start a g1"));
  EXPECT_THAT(s.request(2, kB), ElementsAre("start b g2"));
}

TEST_F(Turns, ALoadOnACardHoldsUpNoneInTheHost) {
  know_all();
  EXPECT_THAT(s.request(1, kA), ElementsAre("start a g1"));
  EXPECT_THAT(s.request(2, kC), ElementsAre("start c g2"));
  EXPECT_THAT(s.request(3, kD), IsEmpty()) << "d would load in the host like c";
  EXPECT_THAT(s.ready(2), ElementsAre("admit r2 to c g2", "start d g3"));
}

TEST_F(Turns, LoadsOnOneCardGoOneAfterTheOther) {
  s.ladder(kA, {on_card(3_GiB)});
  s.ladder(kB, {on_card(3_GiB)});
  know_all();
  EXPECT_THAT(s.request(1, kA), ElementsAre("start a g1"));
  EXPECT_THAT(s.request(2, kB), IsEmpty());
  EXPECT_THAT(s.ready(1), ElementsAre("admit r1 to a g1", "start b g2"));
}

// b would fit now, and later: c behind it must not take its memory in the host.
TEST_F(Turns, WhoWaitsForItsTurnKeepsItsMemory) {
  s.ladder(kA, {on_card(3_GiB, 1_GiB)});
  s.ladder(kB, {on_card(3_GiB, 5_GiB)});
  s.ladder(kC, {own_row(4_GiB)});
  s.ladder(kD, {own_row(2_GiB)});
  know_all();
  s.request(1, kA);
  EXPECT_THAT(s.request(2, kB), IsEmpty());
  EXPECT_THAT(s.request(3, kC), IsEmpty());
  EXPECT_THAT(s.request(4, kD), ElementsAre("start d g2")) << "it fits beside b";
  EXPECT_THAT(s.ready(1), ElementsAre("admit r1 to a g1", "start b g3"));
}

TEST_F(Turns, WhoWaitsForItsTurnKeepsItsPlaceOnTheOtherCard) {
  PlacementRow both = on_card(3_GiB);
  both.device_bytes = {3_GiB, 3_GiB};
  s.ladder(kB, {both});
  s.ladder(kC, {on_card(2_GiB)});
  know_all();
  s.request(1, kA);
  EXPECT_THAT(s.request(2, kB), IsEmpty());
  EXPECT_THAT(s.request(3, kC), IsEmpty()) << "b would wait for it next";
  EXPECT_THAT(s.ready(1), ElementsAre("admit r1 to a g1", "start b g2"));
}

// What stops for b on one card is b's; c goes on the other one meanwhile.
TEST_F(Turns, RoomThatIsMadeOnOneCardHoldsUpNobodyOnAnother) {
  s.ladder(kA, {on_card(7_GiB)});
  s.ladder(kB, {on_card(7_GiB)});
  s.ladder(kC, {on_card(6_GiB)});
  s.ladder(kD, {on_card(7_GiB)});
  know_all();
  s.bring_up(kA);
  s.bring_up(kB);
  EXPECT_THAT(s.request(1, kD), ElementsAre("stop a g1"));
  EXPECT_THAT(s.request(2, kC), ElementsAre("stop b g2"));
}

TEST_F(Turns, ADryRunOnDevicesHoldsUpNoLoadInTheHost) {
  s.profiled(kC);
  EXPECT_THAT(s.request(1, kA), ElementsAre("profile a"));
  EXPECT_THAT(s.request(2, kC), ElementsAre("start c g1"));
}

TEST_F(Turns, ADryRunThatHangsHoldsUpTheOthersForAMoment) {
  s.profiled(kC);
  s.ladder(kC, {on_card(3_GiB)});
  s.request(1, kA);
  EXPECT_THAT(s.request(2, kB), IsEmpty());
  EXPECT_THAT(s.run_for(2s - 1us), IsEmpty());
  EXPECT_THAT(s.run_for(1us), ElementsAre("profile b"));
  s.profiled(kB);
  see_cards();
  EXPECT_EQ(s.state(kB), ResidencyState::loading);
  EXPECT_THAT(s.tell(ProfileFailed{kA, {FailureKind::bad_model, "no answer"}}),
              Contains("refuse r1 bad_gateway load_failed"));
}

// Without a device there is nothing to take turns for.
TEST(HostDryRuns, OneThatHangsHoldsUpItsOwnModelAlone) {
  Stage s;
  EXPECT_THAT(s.request(1, kA), ElementsAre("profile a"));
  EXPECT_THAT(s.request(2, kB), ElementsAre("profile b"));
  EXPECT_THAT(s.profiled(kB), ElementsAre("start b g1"));
  EXPECT_THAT(s.ready(1), ElementsAre("admit r2 to b g1"));
  EXPECT_EQ(s.state(kA), ResidencyState::profiling);
  EXPECT_THAT(s.profiled(kA), ElementsAre("start a g2"));
}

TEST(HostDryRuns, AreBoundedInNumber) {
  Policy policy = plain_policy();
  policy.load.profiles_max = 2;
  Stage s(policy);
  s.request(1, kA);
  EXPECT_THAT(s.request(2, kB), ElementsAre("profile b"));
  EXPECT_THAT(s.request(3, kC), IsEmpty());
  EXPECT_THAT(s.tell(ProfileFailed{kA, {FailureKind::bad_model, "no answer"}}),
              ElementsAre("refuse r1 bad_gateway load_failed", "profile c"));
}

TEST(HostDryRuns, EachIsChargedForItself) {
  Policy policy = plain_policy();
  policy.load.profile_reservation = 64_MiB;
  Stage s(policy);
  s.request(1, kA);
  s.request(2, kB);
  EXPECT_EQ(s.pool().reserved, 128_MiB);
  s.profiled(kB);
  EXPECT_EQ(s.pool().reserved, 64_MiB + 3_GiB);
}

// Models that were ready when the daemon ended come back in their order, and nobody is evicted.
TEST(HostDryRuns, AModelThatTakesWhatOthersSpareWaitsForTheOneBefore) {
  Stage s;
  s.ladder(kA, {own_row(5_GiB)});
  s.ladder(kB, {own_row(5_GiB)});
  s.tell(LoadModel{CommandId(1), kB, false});
  s.run_for(1us);
  EXPECT_THAT(s.tell(LoadModel{CommandId(2), kA, false}), ElementsAre("profile a"));
  EXPECT_THAT(s.profiled(kA), IsEmpty());
  EXPECT_THAT(s.profiled(kB), ElementsAre("start b g1"));
  EXPECT_THAT(s.ready(1), ElementsAre("done c1", "failed c2"));
}

TEST(HostDryRuns, OneThatHangsIsNotWaitedForByWhatOthersSpare) {
  Stage s;
  s.tell(LoadModel{CommandId(1), kB, false});
  s.tell(LoadModel{CommandId(2), kA, false});
  EXPECT_THAT(s.profiled(kA), IsEmpty());
  EXPECT_THAT(s.run_for(2s), ElementsAre("start a g1"));
}

TEST(HostDryRuns, ThoseAheadOfRequestsGoOneAfterTheOtherUntilOneHangs) {
  Policy policy = plain_policy();
  policy.load.profile_ahead = true;
  Stage s(policy, 0_B);
  EXPECT_THAT(s.tell(PoolSampled{kHostPool, 8_GiB, 0_B}), ElementsAre("profile a"));
  EXPECT_THAT(s.run_for(2s), ElementsAre("profile b"));
  EXPECT_THAT(s.profiled(kB), ElementsAre("profile c"));
}

}  // namespace
}  // namespace tonnage::stage
