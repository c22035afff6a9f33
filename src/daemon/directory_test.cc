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
  EXPECT_EQ(directory.find("GPT-4o-mini"), std::nullopt);
  EXPECT_EQ(directory.find(""), std::nullopt);
  EXPECT_EQ(directory.id(ModelId(1)), "b") << "an alias stands for the id";
}

TEST(Directory, NamesAreInOrderOfConfiguration) {
  const Directory directory(two_models());
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"org/a:7b", "b", "gpt-4o-mini"}));
}

}  // namespace
}  // namespace tonnage
