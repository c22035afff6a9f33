#include "core/ledger.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/ledger_fixture.h"

namespace tonnage {
namespace {

using ::testing::IsEmpty;

std::vector<PoolPolicy> one_pool(std::optional<Bytes> limit = {}) {
  return {{.name = "host", .reserve = {}, .limit = limit}};
}

Charge own(Bytes bytes) {
  Charge charge;
  charge.own[0] = bytes;
  return charge;
}

Charge mapping(std::uint64_t file, Bytes weights, Bytes bytes) {
  Charge charge = own(bytes);
  charge.weights[0].file = FileId(file);
  charge.weights[0].size = weights;
  return charge;
}

TEST(Ledger, AFileIsChargedOnceWhileAnybodyMapsIt) {
  Ledger ledger(one_pool());
  ledger.sample(kHostPool, seen(10_GiB, 0_B, Tick{1s}));
  const Charge a = mapping(7, 3_GiB, 1_GiB);
  const Charge b = mapping(7, 3_GiB, 2_GiB);
  EXPECT_EQ(ledger.added(a, kHostPool), 4_GiB);
  ledger.charge(Generation(1), a);
  EXPECT_EQ(ledger.added(b, kHostPool), 2_GiB);
  EXPECT_EQ(ledger.freed(Generation(1), kHostPool), 4_GiB);
  ledger.charge(Generation(2), b);
  EXPECT_EQ(ledger.reserved(kHostPool), 6_GiB);
  EXPECT_EQ(ledger.reserved_weights(), 3_GiB);
  EXPECT_EQ(ledger.freed(Generation(1), kHostPool), 1_GiB) << "b still maps the file";
  ledger.release(Generation(1));
  EXPECT_EQ(ledger.reserved(kHostPool), 5_GiB);
  ledger.release(Generation(2));
  EXPECT_EQ(ledger.reserved(kHostPool), 0_B);
  EXPECT_EQ(ledger.reserved_weights(), 0_B);
}

TEST(Ledger, ADraftIsChargedBesideItsModelAndSharedLikeIt) {
  Ledger ledger(one_pool());
  ledger.sample(kHostPool, seen(10_GiB, 0_B, Tick{1s}));
  Charge drafted = mapping(7, 3_GiB, 1_GiB);
  drafted.weights[1] = {FileId(8), 2_GiB};
  ledger.charge(Generation(1), drafted);
  EXPECT_EQ(ledger.reserved(kHostPool), 6_GiB);
  const Charge other = mapping(8, 2_GiB, 1_GiB);
  EXPECT_EQ(ledger.added(other, kHostPool), 1_GiB) << "the draft's file is charged already";
  ledger.charge(Generation(2), other);
  EXPECT_EQ(ledger.freed(Generation(1), kHostPool), 4_GiB) << "the other model maps the draft";
  EXPECT_EQ(ledger.find(Generation(1))->freed(kHostPool, drafted.weights), 1_GiB);
  ledger.release(Generation(1));
  EXPECT_EQ(ledger.reserved(kHostPool), 3_GiB);
  ledger.release(Generation(2));
  EXPECT_EQ(ledger.reserved(kHostPool), 0_B);
  EXPECT_TRUE(ledger.verify().empty());
}

TEST(Ledger, AMeasurementOnlyRaises) {
  Ledger ledger(one_pool());
  ledger.charge(Generation(1), own(2_GiB));
  ledger.measured(Generation(1), on_host(1_GiB));
  EXPECT_EQ(ledger.reserved(kHostPool), 2_GiB);
  ledger.measured(Generation(1), on_host(3_GiB));
  EXPECT_EQ(ledger.reserved(kHostPool), 3_GiB);
  ledger.release(Generation(1));
  EXPECT_EQ(ledger.reserved(kHostPool), 0_B);
}

TEST(Ledger, WhatItDoesNotKnowIsIgnored) {
  Ledger ledger(one_pool());
  ledger.measured(Generation(9), on_host(1_GiB));
  ledger.release(Generation(9));
  EXPECT_EQ(ledger.reserved(kHostPool), 0_B);
  EXPECT_EQ(ledger.find(Generation(9)), nullptr);
  EXPECT_EQ(ledger.freed(Generation(9), kHostPool), 0_B);
}

TEST(Ledger, ALimitBoundsOursAndForeignUseBoundsBoth) {
  Ledger ledger(one_pool(4_GiB));
  ledger.sample(kHostPool, seen(10_GiB, 5_GiB, Tick{1s}));
  EXPECT_EQ(ledger.budget(kHostPool), 4_GiB);
  EXPECT_EQ(ledger.empty(kHostPool), 4_GiB);
  EXPECT_EQ(ledger.empty_now(kHostPool), 4_GiB) << "5 GiB are free, 4 of them ours";
  ledger.sample(kHostPool, seen(10_GiB, 7_GiB, Tick{2s}));
  EXPECT_EQ(ledger.empty_now(kHostPool), 3_GiB);
  EXPECT_EQ(ledger.empty(kHostPool), 4_GiB);
  ledger.charge(Generation(1), own(3584_MiB));
  EXPECT_EQ(ledger.headroom(kHostPool), -512_MiB) << "and headroom may be negative";
  EXPECT_EQ(ledger.sampled_at(kHostPool), Tick{2s});
}

TEST(Ledger, NegativeSamplesCountAsNothing) {
  Ledger ledger(one_pool());
  ledger.sample(kHostPool, seen(1_GiB, -1_GiB, Tick{1s}));
  EXPECT_EQ(ledger.foreign(kHostPool), 0_B);
  ledger.sample(kHostPool, seen(-1_GiB, 0_B, Tick{1s}));
  EXPECT_EQ(ledger.capacity(kHostPool), 0_B);
}

TEST(Ledger, PoolsAreApart) {
  Ledger ledger(
      {{.name = "host", .reserve = {}, .limit = {}}, {.name = "gpu0", .reserve = {}, .limit = {}}});
  ledger.sample(kHostPool, seen(8_GiB, 0_B, Tick{1s}));
  ledger.sample(PoolId(1), seen(4_GiB, 1_GiB, Tick{1s}));
  Charge charge = mapping(1, 2_GiB, 1_GiB);
  charge.own[1] = 2_GiB;
  ledger.charge(Generation(1), charge);
  EXPECT_EQ(ledger.headroom(kHostPool), 5_GiB);
  EXPECT_EQ(ledger.headroom(PoolId(1)), 1_GiB);
  EXPECT_EQ(ledger.freed(Generation(1), PoolId(1)), 2_GiB);
}

TEST(LedgerDeathTest, AGenerationIsChargedOnce) {
  Ledger ledger(one_pool());
  ledger.charge(Generation(1), own(1_GiB));
  EXPECT_DEATH(ledger.charge(Generation(1), own(1_GiB)), "charged once");
}

// A ledger that adds everything up anew whenever it is asked.
struct LedgerTwin {
  std::map<Generation, Charge> charges;

  Bytes weights() const {
    std::map<FileId, Bytes> files;
    for (const auto& [generation, charge] : charges)
      for (const WeightFile& weights : charge.weights)
        files[weights.file] = weights.size;
    Bytes sum;
    for (const auto& [file, size] : files)
      sum += size;
    return sum;
  }
  Bytes reserved() const {
    Bytes sum = weights();
    for (const auto& [generation, charge] : charges)
      sum += charge.own[0];
    return sum;
  }
};

RC_GTEST_PROP(LedgerProperty, EqualsATwinThatAddsEverythingUp, ()) {
  Ledger ledger(one_pool());
  LedgerTwin twin;
  ledger.sample(kHostPool, seen(64_GiB, 0_B, Tick{1s}));
  std::uint64_t next = 1;
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    const auto bytes = Bytes(*rc::gen::inRange<std::int64_t>(0, 1000));
    // 0 stands for a generation that was never charged.
    const Generation generation(*rc::gen::inRange<std::uint64_t>(0, next));
    switch (*rc::gen::inRange(0, 3)) {
      case 0: {
        const auto file = *rc::gen::inRange<std::uint64_t>(0, 4);
        // The size belongs to the file: one identity, one size. File 0 is "maps nothing".
        Charge charge = mapping(file, Bytes(static_cast<std::int64_t>(file) * 777), bytes);
        const auto draft = *rc::gen::inRange<std::uint64_t>(0, 4);
        if (draft != file)
          charge.weights[1] = {FileId(draft), Bytes(static_cast<std::int64_t>(draft) * 777)};
        const Bytes before = ledger.reserved(kHostPool);
        const Bytes added = ledger.added(charge, kHostPool);
        ledger.charge(Generation(next), charge);
        twin.charges[Generation(next)] = charge;
        ++next;
        RC_ASSERT(ledger.reserved(kHostPool) - before == added);
        break;
      }
      case 1: {
        const Bytes before = ledger.reserved(kHostPool);
        const Bytes freed = ledger.freed(generation, kHostPool);
        ledger.release(generation);
        twin.charges.erase(generation);
        RC_ASSERT(before - ledger.reserved(kHostPool) == freed);
        break;
      }
      default:
        ledger.measured(generation, on_host(bytes));
        if (twin.charges.contains(generation)) {
          Bytes& held = twin.charges[generation].own[0];
          held = std::max(held, bytes);
        }
        break;
    }
    RC_ASSERT(ledger.reserved(kHostPool) == twin.reserved());
    RC_ASSERT(ledger.reserved_weights() == twin.weights());
    RC_ASSERT(ledger.headroom(kHostPool) == 64_GiB - twin.reserved());
    RC_ASSERT(ledger.verify().empty());
  }
}

// Devices have no mapped files: what they hold is the sum of what each server holds there, whatever
// the host is told meanwhile.
Ledger with_gpu() {
  Ledger ledger(
      {{.name = "host", .reserve = {}, .limit = {}}, {.name = "gpu0", .reserve = {}, .limit = {}}});
  ledger.sample(kHostPool, seen(16_GiB, 0_B, Tick{1s}));
  ledger.sample(PoolId(1), seen(8_GiB, 0_B, Tick{1s}));
  return ledger;
}

Charge on_gpu(Bytes bytes) {
  Charge charge;
  charge.own[0] = 1_GiB;
  charge.own[1] = bytes;
  return charge;
}

TEST(Ledger, DeviceMemoryStaysReservedUntilThreeQuartersAreSeenFree) {
  Ledger ledger = with_gpu();
  ledger.charge(Generation(1), on_gpu(4_GiB));
  ledger.release(Generation(1));
  EXPECT_EQ(ledger.reserved(kHostPool), 0_B) << "host memory is free with the exit";
  EXPECT_EQ(ledger.headroom(PoolId(1)), 4_GiB);
  ledger.sample(PoolId(1), seen(8_GiB, 2_GiB, Tick{2s}));
  EXPECT_EQ(ledger.headroom(PoolId(1)), 4_GiB) << "what is not back counts once";
  EXPECT_EQ(ledger.missing(Generation(1), PoolId(1))->returned, 2_GiB);
  ledger.sample(PoolId(1), seen(8_GiB, 1_GiB, Tick{3s}));
  EXPECT_EQ(ledger.releasing(PoolId(1)), 0_B);
  EXPECT_EQ(ledger.headroom(PoolId(1)), 7_GiB) << "the rest counts as held by others";
  EXPECT_THAT(ledger.verify(), IsEmpty());
}

TEST(Ledger, WhatOthersHeldBeforeAnEndIsNotTakenForAMissingRelease) {
  Ledger ledger = with_gpu();
  ledger.sample(PoolId(1), seen(8_GiB, 3_GiB, Tick{2s}));
  ledger.charge(Generation(1), on_gpu(4_GiB));
  ledger.release(Generation(1));
  ledger.sample(PoolId(1), seen(8_GiB, 3_GiB, Tick{3s}));
  EXPECT_EQ(ledger.releasing(PoolId(1)), 0_B);
}

TEST(Ledger, ProcessesThatGrowMeanwhileAreToldFromAMissingReleaseWhereTheDriverNamesThem) {
  Ledger ledger = with_gpu();
  PoolSample sample = seen(8_GiB, 0_B, Tick{2s});
  sample.orphaned = 0_B;
  ledger.sample(PoolId(1), sample);
  ledger.charge(Generation(1), on_gpu(4_GiB));
  ledger.release(Generation(1));
  sample.foreign = 5_GiB;
  ledger.sample(PoolId(1), sample);
  EXPECT_EQ(ledger.releasing(PoolId(1)), 0_B);
  EXPECT_EQ(ledger.headroom(PoolId(1)), 3_GiB);
}

TEST(Ledger, NothingFitsOnALostDeviceUntilItIsSampledAgain) {
  Ledger ledger = with_gpu();
  ledger.charge(Generation(1), on_gpu(4_GiB));
  ledger.lose(PoolId(1));
  EXPECT_EQ(ledger.headroom(PoolId(1)), 0_B);
  EXPECT_EQ(ledger.empty(PoolId(1)), 0_B);
  EXPECT_FALSE(ledger.over_budget()) << "nobody is evicted for it";
  ledger.release(Generation(1));
  EXPECT_EQ(ledger.releasing(PoolId(1)), 0_B);
  ledger.sample(PoolId(1), seen(8_GiB, 0_B, Tick{9s}));
  EXPECT_EQ(ledger.headroom(PoolId(1)), 8_GiB);
  EXPECT_THAT(ledger.verify(), IsEmpty());
}

TEST(Ledger, WhatOthersMayTakeAgainIsNoRoomAndNoOverrun) {
  Ledger ledger = with_gpu();
  PoolSample sample = seen(8_GiB, 1_GiB, Tick{2s});
  sample.expected = 3_GiB;
  ledger.sample(PoolId(1), sample);
  EXPECT_EQ(ledger.headroom(PoolId(1)), 4_GiB);
  ledger.charge(Generation(1), on_gpu(6_GiB));
  EXPECT_LT(ledger.overrun(PoolId(1)), 0_B);
}

TEST(Ledger, ADeficitThatIsToleratedIsHeadroom) {
  Ledger ledger({{.name = "host", .reserve = {}, .limit = {}, .deficit_tolerance = 1_GiB}});
  ledger.sample(kHostPool, seen(4_GiB, 0_B, Tick{1s}));
  EXPECT_EQ(ledger.headroom(kHostPool), 5_GiB);
  EXPECT_EQ(ledger.budget(kHostPool), 4_GiB);
}

// Ends a generation whose device memory is back at once.
void release_seen(Ledger& ledger, Generation generation) {
  ledger.release(generation);
  ledger.write_off(generation);
}

RC_GTEST_PROP(LedgerProperty, PoolsAddUpApart, ()) {
  Ledger ledger({{.name = "host", .reserve = {}, .limit = {}},
                 {.name = "gpu0", .reserve = {}, .limit = {}},
                 {.name = "gpu1", .reserve = {}, .limit = {}}});
  std::map<std::uint64_t, std::pair<Bytes, Bytes>> held;
  for (std::uint32_t i = 0; i < 3; ++i)
    ledger.sample(PoolId(i), seen(64_GiB, 0_B, Tick{1s}));
  const auto draw = [] { return Bytes(*rc::gen::inRange<std::int64_t>(0, 1000)); };
  const auto steps = *rc::gen::inRange<std::uint64_t>(1, 40);
  for (std::uint64_t step = 1; step <= steps; ++step) {
    const auto other = *rc::gen::inRange<std::uint64_t>(0, step);
    Charge charge = mapping(*rc::gen::inRange<std::uint64_t>(0, 3), 777_B, draw());
    charge.own[1] = draw();
    charge.own[2] = draw();
    switch (*rc::gen::inRange(0, 3)) {
      case 0:
        release_seen(ledger, Generation(other));
        held.erase(other);
        break;
      case 1:
        ledger.measured(Generation(other), on_host(draw()));
        break;
      default:
        ledger.charge(Generation(step), charge);
        held[step] = {charge.own[1], charge.own[2]};
    }
    std::pair<Bytes, Bytes> sum;
    for (const auto& [generation, bytes] : held) {
      sum.first += bytes.first;
      sum.second += bytes.second;
    }
    RC_ASSERT(ledger.reserved(PoolId(1)) == sum.first);
    RC_ASSERT(ledger.reserved(PoolId(2)) == sum.second);
    RC_ASSERT(ledger.headroom(PoolId(2)) == 64_GiB - sum.second);
    RC_ASSERT(ledger.verify().empty());
  }
}

}  // namespace
}  // namespace tonnage
