#include "daemon/prompt_sizes.h"

#include <limits>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr ModelId kA{0};
constexpr ModelId kB{3};
constexpr ModelId kC{4};

TEST(PromptSizes, AreGuessedCarefullyAtFirst) {
  const PromptSizes sizes;
  EXPECT_EQ(sizes.tokens_of(kA, 0), 0) << "no prompt was read";
  EXPECT_EQ(sizes.tokens_of(kA, 3000), 1000 + 32);
}

TEST(PromptSizes, AreLearnedForEachModel) {
  PromptSizes sizes;
  sizes.learn(kB, 10'000, 2'000);
  EXPECT_NEAR(sizes.tokens_of(kB, 5'000), 1'000 + 62 + 32, 8) << "5 bytes a token, and a bit more";
  EXPECT_EQ(sizes.tokens_of(kA, 3000), 1000 + 32);
  sizes.learn(kA, 1'000, 1'000);
  EXPECT_GE(sizes.tokens_of(kA, 1'000), 1'000) << "a vocabulary of bytes";
}

TEST(PromptSizes, ShortPromptsTeachNothing) {
  PromptSizes sizes;
  sizes.learn(kA, 4, 30);
  EXPECT_EQ(sizes.tokens_of(kA, 3000), 1000 + 32);
}

TEST(PromptSizes, NewerAnswersCountMore) {
  PromptSizes sizes;
  for (int i = 0; i < 100; ++i)
    sizes.learn(kA, 100'000, 50'000);
  for (int i = 0; i < 100; ++i)
    sizes.learn(kA, 100'000, 20'000);
  EXPECT_NEAR(sizes.tokens_of(kA, 100'000), 20'000 * 17 / 16, 300);
}

TEST(PromptSizes, NonsenseIsBounded) {
  PromptSizes sizes;
  sizes.learn(kC, 600, 1'000'000'000'000);
  EXPECT_EQ(sizes.tokens_of(kC, 60'000'000), 20'000'000 + 32);
  sizes.learn(kA, 1'000, 900'000);
  EXPECT_LE(sizes.tokens_of(kA, 1'000), 2'000 + 32);
  sizes.learn(kB, 1'000'000, 1);
  EXPECT_GE(sizes.tokens_of(kB, 16'000), 1'000 + 32);
  sizes.learn(kB, std::numeric_limits<std::uint64_t>::max(), 7);
  sizes.learn(kB, 7'000, std::numeric_limits<std::uint64_t>::max());
  EXPECT_GT(sizes.tokens_of(kB, std::numeric_limits<std::uint64_t>::max()), 1 << 29);
}

}  // namespace
}  // namespace tonnage
