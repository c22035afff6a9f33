#include "config/problem.h"

#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(Problem, TheNearestNameIsSuggestedOnlyWhenItIsNear) {
  const std::vector<std::string> names = {"yield_after", "degrade_after", "slots", "ttl"};
  EXPECT_EQ(nearest("yeild_after", names), "yield_after");
  EXPECT_EQ(nearest("slot", names), "slots");
  EXPECT_EQ(nearest("tlt", names), "ttl");
  EXPECT_EQ(nearest("completely-else", names), "");
  // Swapped neighbours are one mistake, not two.
  EXPECT_EQ(nearest("acbd", std::vector<std::string>{"acxx", "abcd"}), "abcd");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest(std::string(10'000, 'x'), names), "");
  EXPECT_EQ(did_you_mean("slot", names), "; did you mean 'slots'?");
}

TEST(Problem, QuotedTextIsSafeInATerminal) {
  EXPECT_EQ(in_quotes("a\x1b[31m\n"), "'a?[31m?'");
  const std::string euros = std::string(59, 'a') + "\u20ac\u20ac";
  EXPECT_EQ(in_quotes(euros), "'" + std::string(59, 'a') + "...'");
}

TEST(Problem, TheFileComesFirstThenTheRest) {
  Problems problems;
  problems.add({"environment X", 0, 0}, "third");
  problems.add({"f", 9, 1}, "second");
  problems.add({"f", 2, 7}, "first");
  EXPECT_EQ(problems.text(), "f:2:7: first\nf:9:1: second\nenvironment X: third\n");
}

}  // namespace
}  // namespace tonnage
