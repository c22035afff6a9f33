#include "sim/exhaust.h"

#include <gtest/gtest.h>

namespace tonnage::sim {
namespace {

// Deeper: tonnage-sim --exhaust 6.
TEST(Exhaustive, no_order_of_four_events_breaks_a_rule) {
  const Exhausted result = exhaust(4);
  EXPECT_EQ(result.finding, "") << result.scenario;
  EXPECT_GT(result.orders, 10'000U);
}

}  // namespace
}  // namespace tonnage::sim
