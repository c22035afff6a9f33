#include "metrics/token_counts.h"

#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TokenCounts of(std::string_view text) {
  constexpr std::size_t kEnd = 2048;
  return read_token_counts(text.substr(0, kEnd),
                           text.substr(text.size() - std::min(text.size(), kEnd)));
}

TEST(TokenCounts, OfAChatAreItsUsage) {
  EXPECT_EQ(of(R"({"choices":[{"message":{"content":"x"}}],"usage":{"completion_tokens":8,)"
               R"("prompt_tokens":20,"total_tokens":28,"prompt_tokens_details":)"
               R"({"cached_tokens":12}},"timings":{"cache_n":12,"prompt_n":8,"predicted_n":8}})"),
            (TokenCounts{20, 12, 8}));
}

TEST(TokenCounts, OfAStreamAreTheTimingsOfItsLastEvent) {
  std::string text;
  for (int i = 0; i < 500; ++i)
    text += "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
  text +=
      "data: {\"choices\":[],\"timings\":{\"cache_n\":5,\"prompt_n\":7,\"predicted_n\":"
      "500}}\n\ndata: [DONE]\n\n";
  EXPECT_EQ(of(text), (TokenCounts{12, 5, 500}));
}

TEST(TokenCounts, OfEmbeddingsStandBeforeTheVectors) {
  std::string text = R"({"model":"e","object":"list","usage":{"prompt_tokens":9,"total_tokens":9},)"
                     R"("data":[{"embedding":[)";
  text += std::string(100'000, '1') + "]}]}";
  EXPECT_EQ(of(text), (TokenCounts{9, 0, 0}));
}

TEST(TokenCounts, OfAnthropicsStreamAreInItsFirstAndItsLastEvents) {
  std::string text =
      "event: message_start\ndata: {\"message\":{\"usage\":{\"cache_read_input_tokens\":3,"
      "\"input_tokens\":10,\"output_tokens\":0}}}\n\n";
  text += std::string(10'000, 'x');
  text +=
      "event: message_delta\ndata: {\"usage\":{\"output_tokens\":42}}\n\n"
      "event: message_stop\ndata: {}\n\n";
  EXPECT_EQ(of(text), (TokenCounts{13, 3, 42}));
}

TEST(TokenCounts, TextThatSpeaksOfTokensIsNoCount) {
  EXPECT_EQ(of(R"({"content":"{\"prompt_tokens\": 99, \"completion_tokens\": 99}"})"),
            TokenCounts{});
  EXPECT_EQ(of(""), TokenCounts{});
  EXPECT_EQ(of(R"({"usage":{"prompt_tokens":12)"), TokenCounts{}) << "cut short";
  EXPECT_EQ(of(R"({"usage":{"prompt_tokens":-1,"completion_tokens":null}})"), TokenCounts{});
}

}  // namespace
}  // namespace tonnage
