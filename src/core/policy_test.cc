#include "core/policy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

PoolPolicy pool(Reserve reserve, std::int64_t max_permille = 1000,
                std::optional<Bytes> limit = {}) {
  return {.name = "host", .reserve = reserve, .max_permille = max_permille, .limit = limit};
}

TEST(Policy, AReserveIsAShareASizeOrTheSmallerOfBoth) {
  EXPECT_EQ(usable_of(pool({}), 10_GiB), 10_GiB);
  EXPECT_EQ(usable_of(pool({.permille = 200, .size = {}}), 10_GiB), 8_GiB);
  EXPECT_EQ(usable_of(pool({.permille = {}, .size = 3_GiB}), 10_GiB), 7_GiB);
  EXPECT_EQ(usable_of(pool({.permille = 200, .size = 1_GiB}), 10_GiB), 9_GiB);
  EXPECT_EQ(usable_of(pool({.permille = 200, .size = 8_GiB}), 10_GiB), 8_GiB);
}

TEST(Policy, TheSmallerOfMaximumAndReserveHolds) {
  EXPECT_EQ(usable_of(pool({.permille = 100, .size = {}}, 500), 10_GiB), 5_GiB);
  EXPECT_EQ(usable_of(pool({.permille = 600, .size = {}}, 500), 10_GiB), 4_GiB);
}

TEST(Policy, ALimitBoundsTheBudgetButNotWhatIsUsable) {
  const PoolPolicy limited = pool({.permille = 200, .size = {}}, 1000, 4_GiB);
  EXPECT_EQ(budget_of(limited, 10_GiB), 4_GiB);
  EXPECT_EQ(usable_of(limited, 10_GiB), 8_GiB);
  EXPECT_EQ(budget_of(limited, 4_GiB), permille_of(4_GiB, 800) - 1_B) << "the reserve rounds up";
}

TEST(Policy, AReserveLargerThanTheMachineLeavesNothing) {
  EXPECT_EQ(usable_of(pool({.permille = {}, .size = 16_GiB}), 10_GiB), 0_B);
  EXPECT_EQ(budget_of(pool({}), 0_B), 0_B);
}

RC_GTEST_PROP(PolicyProperty, BudgetIsWithinUsableIsWithinCapacity, ()) {
  PoolPolicy policy = pool({});
  if (*rc::gen::arbitrary<bool>())
    policy.reserve.permille = *rc::gen::inRange<std::int64_t>(0, 1001);
  if (*rc::gen::arbitrary<bool>())
    policy.reserve.size = Bytes(*rc::gen::inRange<std::int64_t>(0, 100'000));
  if (*rc::gen::arbitrary<bool>())
    policy.limit = Bytes(*rc::gen::inRange<std::int64_t>(0, 100'000));
  policy.max_permille = *rc::gen::inRange<std::int64_t>(0, 1001);
  const Bytes capacity(*rc::gen::inRange<std::int64_t>(0, 100'000));
  const Bytes usable = usable_of(policy, capacity);
  const Bytes budget = budget_of(policy, capacity);
  RC_ASSERT(0_B <= budget);
  RC_ASSERT(budget <= usable);
  RC_ASSERT(usable <= capacity);
  if (policy.limit)
    RC_ASSERT(budget <= *policy.limit);
  // More memory never means less budget, but for the rounding of a reserve.
  RC_ASSERT(budget_of(policy, capacity + 1_KiB) >= budget);
}

}  // namespace
}  // namespace tonnage
