// Bodies in memory, bodies in files, and the budget between them.
#include "net/body.h"

#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

namespace tonnage::net {
namespace {

std::shared_ptr<BodyBudget> budget_of(std::int64_t bytes) {
  auto budget = std::make_shared<BodyBudget>();
  budget->max_bytes = bytes;
  return budget;
}

TEST(BodyTest, StaysInMemoryWithinTheBudgetAndGivesItBack) {
  const auto budget = budget_of(10);
  BodyBuilder builder(budget, {});
  builder.expect(8);
  ASSERT_TRUE(builder.append("12345"));
  ASSERT_TRUE(builder.append("678"));
  EXPECT_EQ(budget->used_bytes, 8);
  auto body = builder.finish();
  ASSERT_TRUE(body);
  EXPECT_EQ((*body)->view(), "12345678");
  EXPECT_FALSE((*body)->in_file());
  EXPECT_EQ(budget->used_bytes, 8);
  // A worker that parses may be the last to hold it.
  std::thread([last = std::move(*body)] { EXPECT_EQ(last->size(), 8u); }).join();
  body->reset();
  EXPECT_EQ(budget->used_bytes, 0);
}

TEST(BodyTest, MovesWholeToAFileWhenTheBudgetIsUsedUp) {
  const auto budget = budget_of(10);
  BodyBuilder builder(budget, std::filesystem::temp_directory_path().string());
  ASSERT_TRUE(builder.append("12345678"));
  ASSERT_TRUE(builder.append("9abc"));
  ASSERT_TRUE(builder.append("def"));
  EXPECT_EQ(budget->used_bytes, 0);
  const auto body = builder.finish();
  ASSERT_TRUE(body);
  EXPECT_TRUE((*body)->in_file());
  EXPECT_EQ((*body)->view(), "123456789abcdef");
}

TEST(BodyTest, WithoutAFolderTheBudgetIsAnErrorAndNothingStaysCharged) {
  const auto budget = budget_of(10);
  {
    BodyBuilder builder(budget, {});
    ASSERT_TRUE(builder.append("12345678"));
    EXPECT_FALSE(builder.append("9abc"));
    BodyBuilder nowhere(budget, "/nonexistent/folder");
    EXPECT_FALSE(nowhere.append("9abc"));
  }
  EXPECT_EQ(budget->used_bytes, 0);
}

TEST(BodyTest, EmptyBodyIsSharedAndFree) {
  BodyBuilder builder(budget_of(10), {});
  const auto body = builder.finish();
  ASSERT_TRUE(body);
  EXPECT_EQ(*body, Body::none());
  EXPECT_TRUE((*body)->empty());
}

}  // namespace
}  // namespace tonnage::net
