// Bodies in memory, bodies in files, and the budget between them.
#include "net/body.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace tonnage::net {
namespace {

std::shared_ptr<BodyBudget> budget_of(std::int64_t bytes) {
  auto budget = std::make_shared<BodyBudget>();
  budget->max_bytes = bytes;
  budget->file_max_bytes = 1000;
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
    BodyBuilder nowhere(budget, "/proc/nonexistent/folder");
    EXPECT_FALSE(nowhere.append("9abc"));
  }
  EXPECT_EQ(budget->used_bytes, 0);
}

TEST(BodyTest, FilesHaveABoundTogetherAndGiveItBack) {
  const auto budget = budget_of(10);
  const std::string folder = std::filesystem::temp_directory_path().string();
  BodyBuilder builder(budget, folder);
  ASSERT_TRUE(builder.append(std::string(900, 'x')));
  auto first = builder.finish();
  ASSERT_TRUE(first);
  EXPECT_TRUE((*first)->in_file());
  EXPECT_EQ(budget->file_used_bytes, 900);
  {
    BodyBuilder second(budget, folder);
    ASSERT_TRUE(second.append(std::string(60, 'y')));
    const auto refused = second.append(std::string(60, 'y'));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().what, "limit of disk space for request bodies reached; retry later");
    EXPECT_EQ(budget->file_used_bytes, 960);
  }
  EXPECT_EQ(budget->file_used_bytes, 900) << "what was refused holds nothing";
  first->reset();
  EXPECT_EQ(budget->file_used_bytes, 0);
  EXPECT_EQ(budget->used_bytes, 0);
}

TEST(BodyTest, AFolderThatIsNotThereIsMade) {
  const auto folder = std::filesystem::path(::testing::TempDir()) /
                      ("bodies-" + std::to_string(::getpid())) / "below";
  BodyBuilder builder(budget_of(1), folder.string());
  EXPECT_TRUE(builder.append("more than one byte"));
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "the file has no name";
  std::filesystem::remove_all(folder.parent_path());
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
