#include "daemon/directory.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

Config two_models() {
  Config config;
  config.policy.models.resize(2);
  config.policy.models[0].id = "org/a:7b";
  config.policy.models[1].id = "b";
  config.models.resize(2);
  config.models[1].aliases = {"gpt-4o-mini"};
  return config;
}

TEST(Directory, FindsIdsAndAliasesAsTheyAreWritten) {
  const Directory directory(two_models());
  EXPECT_EQ(directory.find("org/a:7b"), ModelId(0));
  EXPECT_EQ(directory.find("gpt-4o-mini"), ModelId(1));
  EXPECT_EQ(directory.find("a:7b"), std::nullopt);
  EXPECT_EQ(directory.find(""), std::nullopt);
  EXPECT_EQ(directory.id(ModelId(1)), "b") << "an alias stands for the id";
}

TEST(Directory, FindsWhatClientsMakeOfAName) {
  const Directory directory(two_models());
  EXPECT_EQ(directory.find("GPT-4o-mini"), ModelId(1));
  EXPECT_EQ(directory.find("gpt-4o-mini:latest"), ModelId(1));
  EXPECT_EQ(directory.find(" Org/A:7B "), ModelId(0));
  EXPECT_EQ(directory.find(":latest"), std::nullopt);
}

TEST(Directory, DoesNotGuessBetweenTwo) {
  Config config = two_models();
  config.policy.models[1].id = "Org/A:7b";
  config.models[1].aliases = {"b:latest", "B"};
  const Directory directory(config);
  EXPECT_EQ(directory.find("org/a:7b"), ModelId(0)) << "as it is written";
  EXPECT_EQ(directory.find("Org/A:7b"), ModelId(1)) << "as it is written";
  EXPECT_EQ(directory.find("ORG/A:7B"), std::nullopt);
  EXPECT_EQ(directory.find("b"), ModelId(1)) << "two names of one model";
}

TEST(Directory, NamesAreInOrderOfConfiguration) {
  const Directory directory(two_models());
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"org/a:7b", "b", "gpt-4o-mini"}));
}

}  // namespace
}  // namespace tonnage
