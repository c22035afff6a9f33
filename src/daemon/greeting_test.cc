#include "daemon/greeting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::HasSubstr;
using testing::Not;

Config two_models() {
  Config config;
  config.models.resize(2);
  config.policy.models = {{.id = "talk", .type = ModelType::llm},
                          {.id = "embed", .type = ModelType::embedding}};
  return config;
}

std::string said(const Config& config, Tour tour) {
  Snapshot snapshot;
  snapshot.pools.resize(1);
  snapshot.pools[0].budget = 340_MiB;
  snapshot.pools[0].capacity = 8_GiB;
  return greeting(config, {Listen{"0.0.0.0", 4000}}, snapshot, tour);
}

TEST(Greeting, SaysWhereWhatAndHowMuch) {
  const std::string text = said(two_models(), Tour::none);
  EXPECT_THAT(text, HasSubstr("tonnage serves 2 models at http://127.0.0.1:4000\n"));
  EXPECT_THAT(text, HasSubstr("340 MiB for models, of 8.00 GiB"));
  EXPECT_THAT(text, HasSubstr("talk, embed\n"));
  EXPECT_THAT(text, Not(HasSubstr("curl")));
}

TEST(Greeting, TheTourAsksEachModelWhatItsTypeAnswersAndComesBackToTheFirst) {
  const std::string text = said(two_models(), Tour::models);
  const auto chat =
      text.find(R"('{"model":"talk","max_tokens":64,"temperature":0,"messages":[{"role":"user",)"
                R"("content":"Name the capital of France."}]}')");
  const auto embeddings = text.find(R"('{"model":"embed","input":")");
  const auto again = text.find("Name three fruits.");
  ASSERT_NE(chat, std::string::npos) << text;
  ASSERT_NE(embeddings, std::string::npos) << text;
  EXPECT_THAT(text, HasSubstr("http://127.0.0.1:4000/v1/chat/completions -H"));
  EXPECT_THAT(text, HasSubstr("http://127.0.0.1:4000/v1/embeddings -H"));
  EXPECT_LT(chat, embeddings);
  EXPECT_LT(embeddings, again);
  EXPECT_THAT(text, Not(HasSubstr("nonsense")));
  EXPECT_THAT(text, HasSubstr("tonnage why talk\n"));
}

TEST(Greeting, OnlyDemoModelsAreSaidToSpeakNonsense) {
  const std::string text = said(two_models(), Tour::demo);
  EXPECT_THAT(text, HasSubstr("they speak nonsense"));
  EXPECT_THAT(text, HasSubstr(R"("model":"talk","max_tokens":16)"));
  EXPECT_THAT(text, Not(HasSubstr(R"("model":"embed")")));
}

TEST(Greeting, OneModelIsAskedOnceAndOtherTypesNotAtAll) {
  Config config;
  config.models.resize(1);
  config.policy.models = {{.id = "ear", .type = ModelType::stt}};
  EXPECT_THAT(said(config, Tour::models), Not(HasSubstr("curl")));
  config.policy.models = {{.id = "talk", .type = ModelType::llm}};
  EXPECT_THAT(said(config, Tour::models), Not(HasSubstr("Name three fruits.")));
}

}  // namespace
}  // namespace tonnage
