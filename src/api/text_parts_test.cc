#include "api/text_parts.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/body.h"

namespace tonnage::api {
namespace {

using ::testing::ElementsAre;

// What a server would answer to `body`, whose texts are counted as `texts`.
std::string answer(std::size_t texts, std::int64_t tokens) {
  std::string data;
  for (std::size_t i = 0; i < texts; ++i) {
    data += (i == 0 ? "" : ",") + std::string(R"({"embedding":[0.5,-1e-3],"index":)") +
            std::to_string(i) + R"(,"object":"embedding"})";
  }
  return R"({"model":"m","object":"list","usage":{"prompt_tokens":)" + std::to_string(tokens) +
         R"(,"total_tokens":)" + std::to_string(tokens) + R"(},"data":[)" + data + "]}";
}

class Parts {
 public:
  Parts(std::string body, std::size_t at_once) : body_(std::move(body)) {
    const auto facts = read_body("application/json", body_);
    EXPECT_TRUE(facts && facts->input_bytes > 0);
    parts_.emplace(body_, std::string_view(body_).substr(facts->input_at, facts->input_bytes),
                   at_once);
  }
  TextParts& operator*() { return *parts_; }
  TextParts* operator->() { return &*parts_; }

 private:
  std::string body_;
  std::optional<TextParts> parts_;
};

TEST(TextParts, EachPartIsTheBodyWithItsOwnTexts) {
  const std::string text(3900, 'x');
  Parts parts(R"({"model":"m", "input" : [ ")" + text + R"(" , "b","c"], "user":"u"})", 2);
  EXPECT_EQ(parts->body(), R"({"model":"m", "input" : [ ")" + text + R"(" , "b"], "user":"u"})");
}

TEST(TextParts, ShortTextsGoTogetherAndLongOnesAsManyAsTheServerTakesAtOnce) {
  std::string input;
  for (int i = 0; i < 40; ++i)
    input += (i == 0 ? "" : ",") + std::string(R"("t)") + std::to_string(i) + '"';
  Parts parts(R"({"model":"m","input":[)" + input + "]}", 2);
  std::vector<std::int64_t> counts;
  while (!parts->done()) {
    const auto facts = read_body("application/json", parts->body());
    ASSERT_TRUE(facts);
    counts.push_back(facts->texts);
    ASSERT_TRUE(parts->take(answer(static_cast<std::size_t>(facts->texts), 2)));
  }
  EXPECT_THAT(counts, ElementsAre(16, 16, 8));

  const std::string text = '"' + std::string(5000, 'x') + '"';
  Parts long_ones(R"({"model":"m","input":[)" + text + "," + text + "," + text + "]}", 2);
  EXPECT_EQ(read_body("application/json", long_ones->body())->texts, 2);
}

TEST(TextParts, AnswersAreJoinedInOrderWithTheirIndexesAndSums) {
  const std::string text = '"' + std::string(5000, 'x') + '"';
  Parts parts(R"({"model":"m","input":[)" + text + "," + text + "," + text + "]}", 2);
  ASSERT_TRUE(parts->take(answer(2, 10)));
  ASSERT_FALSE(parts->done());
  ASSERT_TRUE(parts->take(answer(1, 7)));
  ASSERT_TRUE(parts->done());
  EXPECT_EQ(parts->joined(), answer(3, 17));
}

TEST(TextParts, AnAnswerOfAnotherShapeIsNotTaken) {
  const std::string input = R"(["a","b","c"])";
  for (const std::string& strange :
       {std::string("[]"), std::string("{}"), std::string(R"({"data":[{"embedding":[1]}]})"),
        answer(2, 1), answer(4, 1), answer(3, 1).substr(0, 40),
        std::string(R"({"data":"none"})")}) {
    Parts parts(R"({"model":"m","input":)" + input + "}", 1);
    EXPECT_FALSE(parts->take(strange)) << strange;
  }
}

TEST(TextParts, ATextIsAStringOrAListOfTokens) {
  const auto facts = [](const std::string& input) {
    return *read_body("application/json", R"({"model":"m","input":)" + input + "}");
  };
  EXPECT_EQ(facts(R"("one")").texts, 1);
  EXPECT_EQ(facts("[1,2,3]").texts, 1);
  EXPECT_EQ(facts(R"([1,"mixed",3])").texts, 1);
  EXPECT_EQ(facts("[]").texts, 1);
  EXPECT_EQ(facts("[[1,2],[3]]").texts, 2);
  EXPECT_GT(facts("[[1,2],[3]]").input_bytes, 0U);
  EXPECT_EQ(facts(R"(["a",{"image":1}])").texts, 2);
  EXPECT_EQ(facts(R"(["a",{"image":1}])").input_bytes, 0U);
  EXPECT_EQ(facts(R"([ "a, b" , "]" ])").texts, 2);
}

TEST(TextParts, OtherListsAreCountedToo) {
  const auto facts = [](const std::string& rest) {
    return *read_body("application/json", R"({"model":"m",)" + rest + "}");
  };
  EXPECT_EQ(facts(R"("prompt":["a","b"],"n":3)").texts, 2);
  EXPECT_EQ(facts(R"("prompt":["a","b"],"n":3)").choices, 3);
  EXPECT_EQ(facts(R"("documents":["a","b","c"],"query":"q")").texts, 3);
  EXPECT_EQ(facts(R"("n":"many")").choices, std::nullopt);
}

}  // namespace
}  // namespace tonnage::api
