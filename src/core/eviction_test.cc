#include "core/eviction.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Candidates = std::vector<Candidate>;

// Values are given in units that the rule's integer density can tell apart exactly.
constexpr std::uint64_t kValueUnit = std::uint64_t{1} << 40;

Candidate candidate(std::uint32_t id, Bytes frees, Duration last_used, std::uint64_t value) {
  return {ModelId(id), frees, Tick{last_used}, value * kValueUnit};
}

std::vector<ModelId> choose(EvictionKind kind, Candidates candidates, Bytes need) {
  return make_eviction_policy(kind)->choose(candidates, need);
}

TEST(Lru, TakesTheLongestUnusedFirst) {
  const Candidates all = {candidate(0, 2_GiB, 30s, 1), candidate(1, 2_GiB, 10s, 9),
                          candidate(2, 2_GiB, 20s, 1)};
  EXPECT_THAT(choose(EvictionKind::lru, all, 3_GiB), ElementsAre(ModelId(1), ModelId(2)));
}

TEST(Lru, SparesWhatALaterVictimMakesUnnecessary) {
  const Candidates all = {candidate(0, 1_GiB, 10s, 1), candidate(1, 4_GiB, 20s, 1)};
  EXPECT_THAT(choose(EvictionKind::lru, all, 4_GiB), ElementsAre(ModelId(1)));
}

TEST(Lru, TiesEndInTheId) {
  const Candidates all = {candidate(2, 2_GiB, 10s, 1), candidate(1, 2_GiB, 10s, 1)};
  EXPECT_THAT(choose(EvictionKind::lru, all, 1_GiB), ElementsAre(ModelId(1)));
}

TEST(Value, TakesTheLowestValuePerByteFirst) {
  const Candidates all = {candidate(0, 4_GiB, 10s, 20), candidate(1, 1_GiB, 10s, 3),
                          candidate(2, 1_GiB, 10s, 1)};
  EXPECT_THAT(choose(EvictionKind::value, all, 2_GiB), ElementsAre(ModelId(2), ModelId(1)));
}

TEST(Value, GivesBackTheMostValuableThatIsNotNeeded) {
  // By value per byte 0, 1, 2 are taken; then 2 alone is enough.
  const Candidates all = {candidate(0, 1_GiB, 10s, 1), candidate(1, 1_GiB, 10s, 2),
                          candidate(2, 8_GiB, 10s, 20)};
  EXPECT_THAT(choose(EvictionKind::value, all, 8_GiB), ElementsAre(ModelId(2)));
}

TEST(Value, GivesBackTheLargestValueFirst) {
  // 15 GiB are taken for 10: either small one may stay, not both.
  const Candidates all = {candidate(0, 3_GiB, 10s, 3), candidate(1, 3_GiB, 10s, 4),
                          candidate(2, 9_GiB, 10s, 18)};
  EXPECT_THAT(choose(EvictionKind::value, all, 10_GiB), ElementsAre(ModelId(0), ModelId(2)));
}

TEST(Value, PrefersOneModelWhoseValueIsLessThanTheSets) {
  const Candidates all = {candidate(0, 2_GiB, 10s, 4), candidate(1, 2_GiB, 10s, 4),
                          candidate(2, 2_GiB, 10s, 4), candidate(3, 5_GiB, 10s, 11)};
  EXPECT_THAT(choose(EvictionKind::value, all, 5_GiB), ElementsAre(ModelId(3)));
}

TEST(Value, OnEqualValueOneRestartIsBetterThanSeveral) {
  const Candidates all = {candidate(0, 2_GiB, 10s, 3), candidate(1, 2_GiB, 10s, 3),
                          candidate(2, 4_GiB, 10s, 6)};
  EXPECT_THAT(choose(EvictionKind::value, all, 4_GiB), ElementsAre(ModelId(2)));
}

TEST(Value, AmongEqualsTheLongestUnusedGoes) {
  const Candidates all = {candidate(0, 2_GiB, 20s, 3), candidate(1, 2_GiB, 10s, 3),
                          candidate(2, 2_GiB, 20s, 3)};
  EXPECT_THAT(choose(EvictionKind::value, all, 3_GiB), ElementsAre(ModelId(1), ModelId(0)));
}

TEST(Eviction, NobodyGoesWhereAllTogetherAreNotEnough) {
  const Candidates all = {candidate(0, 2_GiB, 20s, 3), candidate(1, 2_GiB, 10s, 3)};
  for (const EvictionKind kind : {EvictionKind::lru, EvictionKind::value}) {
    EXPECT_THAT(choose(kind, all, 4_GiB + 1_B), IsEmpty());
    EXPECT_THAT(choose(kind, {}, 1_B), IsEmpty());
  }
}

TEST(Eviction, ExtremeValuesDoNotOverflow) {
  const Candidates all = {
      {ModelId(0), 1_B, Tick{1s}, std::numeric_limits<std::uint64_t>::max()},
      {ModelId(1), 1_B, Tick{1s}, std::numeric_limits<std::uint64_t>::max()},
      {ModelId(2), Bytes(std::numeric_limits<std::int64_t>::max() / 4), Tick{1s}, 0},
  };
  EXPECT_THAT(choose(EvictionKind::value, all, 2_B), ElementsAre(ModelId(2)));
}

TEST(KeepValue, GrowsWithRateAndCostAndSaturates) {
  EXPECT_LT(keep_value(100, 1s), keep_value(100, 2s));
  EXPECT_LT(keep_value(100, 150ms), keep_value(100, 250ms)) << "fast models differ as well";
  EXPECT_LT(keep_value(100, 1s), keep_value(200, 1s));
  EXPECT_GT(keep_value(1, 0s), 0U) << "bringing back is never free";
  EXPECT_EQ(keep_value(std::numeric_limits<std::uint64_t>::max(), 1h),
            std::numeric_limits<std::uint64_t>::max());
}

RC_GTEST_PROP(KeepValueProperty, MoreUseOrADearerReturnIsNeverWorthLess, ()) {
  const auto rate = *rc::gen::arbitrary<std::uint64_t>();
  const auto more = *rc::gen::inRange<std::uint64_t>(0, std::uint64_t{1} << 40);
  const Duration cost(*rc::gen::inRange<std::int64_t>(0, 3'600'000'000));
  const Duration longer(*rc::gen::inRange<std::int64_t>(0, 3'600'000'000));
  RC_ASSERT(keep_value(std::max(rate, rate + more), cost) >= keep_value(rate, cost));
  RC_ASSERT(keep_value(rate, cost + longer) >= keep_value(rate, cost));
}

// Of models that free the same, each alone enough, the one that is worth least goes.
RC_GTEST_PROP(ValueProperty, AmongEqualSizesTheLeastValuableGoes, ()) {
  Candidates all;
  std::uint64_t least = ~std::uint64_t{0};
  const int count = *rc::gen::inRange(1, 9);
  for (int i = 0; i < count; ++i) {
    const auto value = *rc::gen::inRange<std::uint64_t>(0, 9);
    all.push_back(candidate(static_cast<std::uint32_t>(i), 1_GiB, 10s, value));
    least = std::min(least, all.back().value);
  }
  const auto chosen = choose(EvictionKind::value, all, 1_GiB);
  RC_ASSERT(chosen.size() == 1U);
  RC_ASSERT(all[chosen[0].value].value == least);
}

// --- Twins: the reference text, followed word by word ---------------------------------------

Bytes sum_of(const Candidates& set) {
  Bytes sum;
  for (const Candidate& c : set)
    sum += c.frees;
  return sum;
}

__extension__ using Wide = __int128;

Wide value_of(const Candidates& set) {
  Wide sum = 0;
  for (const Candidate& c : set)
    sum += static_cast<Wide>(c.value);
  return sum;
}

// Takes from the front of `order` until enough; nothing where all are not enough.
Candidates take(const Candidates& order, Bytes need) {
  Candidates taken;
  for (const Candidate& c : order) {
    if (sum_of(taken) >= need)
      break;
    taken.push_back(c);
  }
  return sum_of(taken) >= need ? taken : Candidates{};
}

// Gives back each of `order` in turn, where the rest of `set` is still enough.
Candidates give_back(Candidates set, const Candidates& order, Bytes need) {
  for (const Candidate& c : order) {
    Candidates without;
    std::ranges::copy_if(set, std::back_inserter(without),
                         [&](const Candidate& other) { return other.model != c.model; });
    if (sum_of(without) >= need)
      set = without;
  }
  return set;
}

Candidates lru_twin(Candidates all, Bytes need) {
  std::ranges::sort(all, {}, [](const Candidate& c) { return std::pair(c.last_used, c.model); });
  const Candidates taken = take(all, need);
  return give_back(taken, Candidates(taken.rbegin(), taken.rend()), need);
}

Candidates value_twin(Candidates all, Bytes need) {
  std::ranges::sort(all, [](const Candidate& a, const Candidate& b) {
    const Wide left = static_cast<Wide>(a.value) * b.frees.count;
    const Wide right = static_cast<Wide>(b.value) * a.frees.count;
    if (left != right)
      return left < right;
    return std::pair(a.last_used, a.model) < std::pair(b.last_used, b.model);
  });
  Candidates set = take(all, need);
  if (set.empty())
    return {};
  Candidates dearest_first = set;
  std::ranges::sort(dearest_first, [](const Candidate& a, const Candidate& b) {
    return a.value != b.value ? a.value > b.value : a.model < b.model;
  });
  set = give_back(set, dearest_first, need);
  std::optional<Candidate> single;
  for (const Candidate& c : all) {
    if (c.frees < need)
      continue;
    if (!single || std::pair(c.value, c.model) < std::pair(single->value, single->model))
      single = c;
  }
  if (single) {
    const Wide alone = static_cast<Wide>(single->value);
    if (alone < value_of(set) || (alone == value_of(set) && set.size() > 1))
      return {*single};
  }
  return set;
}

std::vector<ModelId> ids(const Candidates& set) {
  std::vector<ModelId> models;
  for (const Candidate& c : set)
    models.push_back(c.model);
  return models;
}

Candidates shuffled(Candidates all) {
  for (std::size_t i = all.size(); i > 1; --i)
    std::swap(all[i - 1], all[*rc::gen::inRange<std::size_t>(0, i)]);
  return all;
}

Candidates draw_candidates() {
  Candidates all;
  const int count = *rc::gen::inRange(0, 9);
  for (int i = 0; i < count; ++i) {
    // Small ranges, so that ties happen.
    all.push_back(candidate(
        static_cast<std::uint32_t>(i), Bytes(*rc::gen::inRange<std::int64_t>(1, 17) * kMiB),
        std::chrono::seconds(*rc::gen::inRange(0, 5)), *rc::gen::inRange<std::uint64_t>(0, 17)));
  }
  return shuffled(std::move(all));
}

Candidates subset(const Candidates& all, unsigned mask) {
  Candidates set;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((mask >> i) & 1U)
      set.push_back(all[i]);
  }
  return set;
}

// Against every subset: enough is found whenever there is enough, and no victim is superfluous.
void check_by_brute_force(const Candidates& all, const std::vector<ModelId>& chosen, Bytes need) {
  const std::set<ModelId> wanted(chosen.begin(), chosen.end());
  RC_ASSERT(wanted.size() == chosen.size());
  bool possible = false;
  for (unsigned mask = 0; mask < (1U << all.size()); ++mask) {
    const Candidates set = subset(all, mask);
    if (sum_of(set) < need)
      continue;
    possible = true;
    const auto models = ids(set);
    const bool within = std::ranges::all_of(models, [&](ModelId m) { return wanted.contains(m); });
    RC_ASSERT((!within || models.size() == wanted.size()));
  }
  RC_ASSERT(possible == !chosen.empty());
  Bytes freed;
  for (const Candidate& c : all) {
    if (wanted.contains(c.model))
      freed += c.frees;
  }
  RC_ASSERT((chosen.empty() || freed >= need));
}

RC_GTEST_PROP(EvictionProperty, LruEqualsItsTwinAndSparesWhatItCan, ()) {
  const Candidates all = draw_candidates();
  const Bytes need(*rc::gen::inRange<std::int64_t>(1, 80) * kMiB);
  const auto chosen = choose(EvictionKind::lru, all, need);
  RC_ASSERT(chosen == ids(lru_twin(all, need)));
  check_by_brute_force(all, chosen, need);
}

RC_GTEST_PROP(EvictionProperty, ValueEqualsItsTwinAndSparesWhatItCan, ()) {
  const Candidates all = draw_candidates();
  const Bytes need(*rc::gen::inRange<std::int64_t>(1, 80) * kMiB);
  const auto chosen = choose(EvictionKind::value, all, need);
  RC_ASSERT(chosen == ids(value_twin(all, need)));
  check_by_brute_force(all, chosen, need);
}

RC_GTEST_PROP(EvictionProperty, TheOrderOfTheCandidatesDoesNotMatter, ()) {
  const Candidates all = draw_candidates();
  const Candidates other = shuffled(all);
  const Bytes need(*rc::gen::inRange<std::int64_t>(1, 80) * kMiB);
  for (const EvictionKind kind : {EvictionKind::lru, EvictionKind::value})
    RC_ASSERT(choose(kind, all, need) == choose(kind, other, need));
}

}  // namespace
}  // namespace tonnage
