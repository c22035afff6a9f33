#include "base/number.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

TEST(Quantity, IsANumberAndItsUnit) {
  const auto quantity = split_quantity("1.25 GiB");
  ASSERT_TRUE(quantity);
  EXPECT_EQ(quantity->number, 1.25L);
  EXPECT_EQ(quantity->unit, "GiB");
}

TEST(Quantity, MayHaveNoUnit) {
  const auto quantity = split_quantity(" 42 ");
  ASSERT_TRUE(quantity);
  EXPECT_EQ(quantity->number, 42.0L);
  EXPECT_EQ(quantity->unit, "");
}

TEST(Quantity, TakesPercentAsAUnit) {
  EXPECT_EQ(split_quantity("10%")->unit, "%");
}

TEST(Quantity, RefusesSignsExponentsAndRubbish) {
  for (const char* text : {"", " ", "+1s", "-1s", ".5s", "1.s", "1e3", "1_000B", "1 2s", "x"})
    EXPECT_FALSE(split_quantity(text)) << "'" << text << "'";
}

TEST(Quantity, RefusesMoreDigitsThanAnyNumberHere) {
  EXPECT_TRUE(split_quantity("999999999999999999B"));
  EXPECT_FALSE(split_quantity("1000000000000000000B"));
}

RC_GTEST_PROP(QuantityProperty, NeverHasANegativeNumberOrASpaceInItsUnit, (const std::string& t)) {
  const auto quantity = split_quantity(t);
  if (!quantity)
    return;
  RC_ASSERT(quantity->number >= 0.0L);
  RC_ASSERT(quantity->unit.find(' ') == std::string_view::npos);
}

}  // namespace
}  // namespace tonnage
