// The planner's choices over random machines, against what brute force finds.
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/planner_machine_test.cc"

namespace tonnage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Planner, FitsWhereThereIsHeadroom) {
  Machine m(2, 8_GiB);
  m.ladder(kAsked, {3_GiB});
  m.run(1, 5_GiB);
  const LoadPlan plan = m.plan();
  EXPECT_EQ(plan.verdict, LoadVerdict::fits);
  EXPECT_EQ(plan.need, 3_GiB);
  EXPECT_EQ(plan.headroom, 3_GiB);
}

TEST(Planner, WaitsForBytesThatAreOnTheirWayBackInsteadOfStoppingMore) {
  Machine m(3, 8_GiB);
  m.ladder(kAsked, {3_GiB});
  m.run(1, 4_GiB);
  m.run(2, 4_GiB);
  m.models[1].state = ResidencyState::stopping;
  EXPECT_EQ(m.plan().verdict, LoadVerdict::pending);
  EXPECT_THAT(m.plan().victims, IsEmpty());
}

TEST(Planner, FreesASharedFileOnlyWithItsLastUser) {
  Machine m(4, 8_GiB, EvictionKind::lru);
  m.ladder(kAsked, {5_GiB});
  m.run(1, 1_GiB, FileId(7), 4_GiB);
  m.run(2, 1_GiB, FileId(7), 4_GiB);
  m.run(3, 2_GiB);
  // 8 are held; 5 are needed: 1 and 2 together give 6, any other pair gives 3 at most.
  const LoadPlan plan = m.plan();
  EXPECT_EQ(plan.verdict, LoadVerdict::evicts);
  EXPECT_THAT(plan.victims, ::testing::UnorderedElementsAre(ModelId(1), ModelId(2)));
}

TEST(Planner, AFileIsFreeOnceItsLastUserStopsBesideOneThatStopsAlready) {
  Machine m(4, 8_GiB, EvictionKind::lru);
  m.ladder(kAsked, {5_GiB});
  m.run(1, 1_GiB, FileId(7), 4_GiB);
  m.run(2, 1_GiB, FileId(7), 4_GiB);
  m.run(3, 2_GiB);
  m.models[1].state = ResidencyState::stopping;
  // 8 are held; 1 gives 1 back, and 2 beside it another 1 with the file.
  EXPECT_THAT(m.plan().victims, ElementsAre(ModelId(2)));
  m.models[2].state = ResidencyState::stopping;
  EXPECT_EQ(m.plan().verdict, LoadVerdict::pending);
}

TEST(Planner, NamesWhoWouldHaveToDrain) {
  Machine m(4, 8_GiB);
  m.ladder(kAsked, {6_GiB});
  m.run(1, 3_GiB);
  m.run(2, 3_GiB);
  m.run(3, 2_GiB);
  m.lease(1);
  m.lease(2);
  const LoadPlan plan = m.plan();
  EXPECT_EQ(plan.verdict, LoadVerdict::waits);
  EXPECT_EQ(plan.reason, ReasonCode::busy_models);
  const auto drain = m.planner().models_to_drain({.model = kAsked}, plan);
  EXPECT_THAT(drain, ::testing::UnorderedElementsAre(ModelId(1), ModelId(2)));
}

TEST(Planner, APinnedModelIsNoVictim) {
  Machine m(3, 8_GiB, EvictionKind::lru);
  m.ladder(kAsked, {4_GiB});
  m.run(1, 3_GiB);
  m.run(2, 3_GiB);  // unused for longer
  m.models[2].pinned = true;
  EXPECT_THAT(m.plan().victims, ElementsAre(ModelId(1)));
}

TEST(Planner, HeadroomThatIsPromisedToAnotherIsNotGivenAway) {
  Machine m(2, 8_GiB);
  m.ladder(kAsked, {3_GiB});
  LoadQuery query{.model = kAsked};
  query.claimed[0] = 5_GiB;
  query.may_evict = false;
  EXPECT_EQ(m.planner().plan_load(query).verdict, LoadVerdict::fits);
  query.claimed[0] = 6_GiB;
  EXPECT_EQ(m.planner().plan_load(query).verdict, LoadVerdict::waits);
}

// With idle models in reach as well: they may not be stopped for it.
TEST(Planner, APromiseHoldsWhereOnlyEvictionWouldHelp) {
  Machine m(2, 8_GiB);
  m.ladder(kAsked, {3_GiB});
  m.run(1, 4_GiB);
  LoadQuery query{.model = kAsked};
  query.claimed[0] = 2_GiB;
  query.may_evict = false;
  EXPECT_EQ(m.planner().plan_load(query).verdict, LoadVerdict::waits);
  query.claimed[0] = 1_GiB;
  EXPECT_EQ(m.planner().plan_load(query).verdict, LoadVerdict::fits);
}

TEST(Planner, AModelWithAQueueIsNoVictim) {
  Machine m(2, 8_GiB);
  m.ladder(kAsked, {4_GiB});
  m.run(1, 5_GiB);
  m.models[1].queue.push(RequestId(1), kNow, Priority::normal, false);
  EXPECT_EQ(m.plan().verdict, LoadVerdict::waits);
}

TEST(Planner, AModelThatYieldsIsInNoGraceAnyMore) {
  Machine m(2, 8_GiB);
  m.policy.residency.grace_on_demand = 5s;
  m.ladder(kAsked, {4_GiB});
  m.run(1, 5_GiB);
  m.models[1].last_used = kNow;
  EXPECT_EQ(m.plan().verdict, LoadVerdict::waits);
  m.models[1].state = ResidencyState::draining;
  m.models[1].drain_cause = DrainCause::yielding;
  EXPECT_EQ(m.plan().verdict, LoadVerdict::evicts);
}

TEST(Planner, APinnedModelAtWorkDoesNotHaveToDrain) {
  Machine m(3, 8_GiB, EvictionKind::lru);
  m.ladder(kAsked, {4_GiB});
  m.run(1, 3_GiB);
  m.run(2, 3_GiB);  // unused for longer
  m.lease(1);
  m.lease(2);
  m.models[2].pinned = true;
  const LoadPlan plan = m.plan();
  EXPECT_THAT(m.planner().models_to_drain({.model = kAsked}, plan), ElementsAre(ModelId(1)));
}

TEST(Planner, ARefusalListsWhatWasTried) {
  Machine m(1, 4_GiB);
  m.ladder(kAsked, {9_GiB, 7_GiB, 5_GiB});
  const LoadPlan plan = m.plan();
  EXPECT_EQ(plan.verdict, LoadVerdict::refused);
  EXPECT_EQ(plan.reason, ReasonCode::never_fits);
  EXPECT_EQ(plan.need, 5_GiB);
  EXPECT_EQ(plan.tried.size(), 3U);
}

TEST(Planner, MinimumResidencyIsTwiceTheLoadWithinItsBounds) {
  Machine m(1, 4_GiB);
  const auto residency = [&] { return m.planner().min_residency(m.models[0]); };
  EXPECT_EQ(residency(), 500ms);
  m.models[0].load_time = 2s;
  EXPECT_EQ(residency(), 4s);
  m.models[0].load_time = 20s;
  EXPECT_EQ(residency(), 10s);
  m.policy.residency.min_residency_max = 0s;
  EXPECT_EQ(residency(), 0s);
}

// Whether stopping some set of idle models would do, found by trying every set.
bool some_idle_set_is_enough(const Machine& m, Bytes lacking) {
  unsigned idle = 0;
  for (std::uint32_t i = 1; i < m.models.size(); ++i) {
    if (m.models[i].leased.empty() && !m.models[i].pinned)
      idle |= 1U << i;
  }
  return freed_together(m, idle) >= lacking;
}

Machine draw_machine() {
  const auto kind = *rc::gen::element(EvictionKind::lru, EvictionKind::value);
  const auto count = *rc::gen::inRange<std::uint32_t>(1, 8);
  Machine m(count, 24_MiB, kind);
  m.ladder(kAsked, {Bytes(*rc::gen::inRange<std::int64_t>(1, 24) * kMiB)});
  for (std::uint32_t i = 1; i < count; ++i) {
    const auto file = *rc::gen::inRange<std::uint64_t>(0, 4);
    const Bytes own(*rc::gen::inRange<std::int64_t>(1, 6) * kMiB);
    // The size of a file belongs to the file; file 0 maps nothing.
    m.run(i, own, FileId(file), Bytes(static_cast<std::int64_t>(file) * kMiB));
    if (*rc::gen::inRange(0, 3) == 0)
      m.lease(i);
    for (int use = *rc::gen::inRange(0, 4); use > 0; --use)
      m.models[i].usage.use(kNow - std::chrono::seconds(*rc::gen::inRange(0, 5'000)));
  }
  return m;
}

RC_GTEST_PROP(PlannerProperty, FindsRoomExactlyWhereBruteForceDoesAndStopsNobodyInVain, ()) {
  const Machine m = draw_machine();
  const Bytes lacking = m.models[0].rows[0].host_anon - m.ledger->headroom(kHostPool);
  const LoadPlan plan = m.plan();
  if (lacking <= 0_B) {
    RC_ASSERT(plan.verdict == LoadVerdict::fits);
    return;
  }
  if (!some_idle_set_is_enough(m, lacking)) {
    RC_ASSERT(plan.verdict == LoadVerdict::waits);
    return;
  }
  RC_ASSERT(plan.verdict == LoadVerdict::evicts);
  unsigned mask = 0;
  for (const ModelId victim : plan.victims) {
    RC_ASSERT(m.models[victim.value].leased.empty());
    mask |= 1U << victim.value;
  }
  RC_ASSERT(freed_together(m, mask) >= lacking);
  for (const ModelId victim : plan.victims)
    RC_ASSERT(freed_together(m, mask & ~(1U << victim.value)) < lacking);
}

}  // namespace
}  // namespace tonnage
