#include "api/body.h"

#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "api/form_scan.h"
#include "api/json_scan.h"
#include "base/prng.h"

namespace tonnage::api {
namespace {

constexpr std::string_view kJson = "application/json";

std::string code_of(std::string_view body, std::string_view type = kJson) {
  const auto facts = read_body(type, body);
  return facts ? "ok" : facts.error().code;
}

std::string message_of(std::string_view body, std::string_view type = kJson) {
  const auto facts = read_body(type, body);
  return facts ? "ok" : facts.error().message;
}

TEST(ReadBody, ReadsAChatRequest) {
  const auto facts = read_body(kJson, R"({
    "messages": [{"role":"user","content":"say \"model\": {[\\"}],
    "model": "org/qwen:8b q4", "stream" : true, "max_tokens": 12, "x": [[], {}, -1.5e+3, null]})");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->model, "org/qwen:8b q4");
  EXPECT_TRUE(facts->stream);
  EXPECT_EQ(facts->max_tokens, 12);
}

TEST(ReadBody, OnlyTheTopLevelCounts) {
  EXPECT_EQ(code_of(R"({"a":{"model":"x"},"b":[{"model":"y"}]})"), "missing_model");
  const auto facts = read_body(kJson, R"({"model":"a","options":{"model":"b","stream":true}})");
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->model, "a");
  EXPECT_FALSE(facts->stream);
}

TEST(ReadBody, TheLastOfRepeatedKeysCountsAsInTheServers) {
  EXPECT_EQ(read_body(kJson, R"({"model":"a","model":"b"})")->model, "b");
  EXPECT_EQ(code_of(R"({"model":"a","model":7})"), "invalid_model");
}

TEST(ReadBody, DecodesEscapesInKeysAndNames) {
  const auto facts = read_body(kJson, R"({"mod\u0065l":"a\/\u00e9\ud83d\ude00\n"})");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->model, "a/\xC3\xA9\xF0\x9F\x98\x80\n");
  EXPECT_EQ(code_of(R"({"model":"\ud83d"})"), "invalid_model");
  EXPECT_EQ(code_of(R"({"model":"\ude00\ud83d"})"), "invalid_model");
  EXPECT_EQ(code_of(R"({"model":"\ud83d\ud83d"})"), "invalid_model");
  EXPECT_EQ(code_of(R"({"model":"\ud83d\u0041"})"), "invalid_model");
}

BodyFacts facts_of(const std::string& rest) {
  const auto facts = read_body(kJson, R"({"model":"m",)" + rest + "}");
  EXPECT_TRUE(facts) << facts.error().message;
  return facts.value_or(BodyFacts{});
}

TEST(ReadBody, CountsTheBytesOfThePromptInEveryDialect) {
  const std::string x(1000, 'x');
  const auto bytes = [](const std::string& rest) { return facts_of(rest).prompt_bytes; };
  EXPECT_EQ(bytes(R"("messages":[{"role":"user","content":")" + x + R"("}])"), 1004);
  EXPECT_EQ(bytes(R"("system":[{"type":"text","text":")" + x + R"("}],"max_tokens":7,)" +
                  R"("messages":[{"role":"user","content":[{"type":"text","text":"yy"}]}])"),
            1004 + 4 + 4 + 2);
  EXPECT_EQ(bytes(R"("prompt":")" + x + R"(","suffix":"yy")"), 1002);
  EXPECT_EQ(bytes(R"("instructions":"yy","input":[{"role":"user","content":")" + x + R"("}])"),
            1006);
  EXPECT_EQ(bytes(R"("tools":[{"a":1}])"), 9) << "templates write them out";
  EXPECT_EQ(bytes(R"("metadata":{"note":")" + x + R"("},"user":"yy")"), 0);
}

TEST(ReadBody, OfSeveralTextsTheLongestCounts) {
  const std::string x(1000, 'x');
  EXPECT_EQ(facts_of(R"("input":["a",")" + x + R"(","b"])").prompt_bytes, 1002);
  EXPECT_EQ(facts_of(R"("query":"yy","documents":["a",")" + x + R"("])").prompt_bytes, 1004);
}

TEST(ReadBody, MessagesOfResponsesAreOneText) {
  const BodyFacts facts = facts_of(R"("input":[{"role":"user"},{"role":"assistant"}])");
  EXPECT_EQ(facts.texts, 1);
  EXPECT_EQ(facts.input_bytes, 0);
}

TEST(ReadBody, ImagesAndSoundsCountAsNothing) {
  const std::string data(5000, 'A');
  for (const std::string& message : {
           R"("messages":[{"content":[{"image_url":{"url":"data:image/png;base64,)" + data +
               R"("}}]}])",
           R"("messages":[{"content":[{"source":{"data":")" + data + R"("}}]}])",
           R"("messages":[{"content":[{"input_audio":{"data":")" + data + R"("}}]}])",
           R"("messages":[{"content":"","images":[")" + data + R"(",")" + data + R"("]}])",
       }) {
    EXPECT_EQ(facts_of(message).prompt_bytes, 0) << message.substr(0, 80);
    EXPECT_TRUE(facts_of(message).media);
  }
  EXPECT_TRUE(facts_of(R"("images":[")" + data + R"("],"prompt":"x")").media);
  EXPECT_FALSE(facts_of(R"("messages":[{"content":")" + data + R"("}])").media);
}

TEST(ReadBody, EscapesCountAsWhatTheyStandFor) {
  EXPECT_EQ(facts_of(R"("prompt":"a\nb\u4e2d")").prompt_bytes, 6);
}

TEST(ReadBody, APromptThatIsGivenAsTokensIsCounted) {
  EXPECT_EQ(facts_of(R"("prompt":[1, 2,3])").context_needed, 3);
  EXPECT_EQ(facts_of(R"("input":[[1,2],[3,4,5,6],[7]])").context_needed, 4);
  EXPECT_EQ(facts_of(R"("prompt":"1,2,3")").context_needed, 0);
  EXPECT_EQ(facts_of(R"("prompt":[1,"two",3])").context_needed, 2);
}

TEST(ReadBody, SaysWhatIsWrongWithTheModel) {
  EXPECT_EQ(code_of("{}"), "missing_model");
  EXPECT_EQ(code_of(R"({"model":null})"), "missing_model");
  EXPECT_EQ(code_of(R"({"model":""})"), "missing_model");
  EXPECT_EQ(message_of(R"({"model":[1]})"), "The request's model must be a string, not an array.");
  EXPECT_EQ(message_of(R"({"model":12})"), "The request's model must be a string, not a number.");
  EXPECT_EQ(code_of(R"({"model":")" + std::string(513, 'a') + "\"}"), "invalid_model");
  EXPECT_EQ(code_of(R"({"model":")" + std::string(512, 'a') + "\"}"), "ok");
  EXPECT_EQ(read_body(kJson, "{}").error().param, "model");
  EXPECT_EQ(read_body(kJson, "{}").error().status, 400);
}

TEST(ReadBody, NamesTheByteThatDoesNotFit) {
  EXPECT_NE(message_of(R"({"model":"a",})").find("(byte 13)"), std::string::npos)
      << message_of(R"({"model":"a",})");
  EXPECT_NE(message_of(R"({"model" "a"})").find("a colon is missing here (byte 9)"),
            std::string::npos);
  EXPECT_NE(message_of("").find("it is empty (byte 0)"), std::string::npos);
  EXPECT_NE(message_of("[1]").find("it is not an object (byte 0)"), std::string::npos);
  EXPECT_NE(message_of(R"({"model":"a"} x)").find("something follows"), std::string::npos);
}

TEST(ReadBody, RefusesMalformedJson) {
  for (const char* body : {"{",
                           "{\"",
                           "{\"a",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1",
                           "{\"a\":1,",
                           "{\"a\":[1}",
                           "{\"a\":{]",
                           "{\"a\":[1 2]}",
                           "{\"a\":tru}",
                           "{\"a\":01}",
                           "{\"a\":1.}",
                           "{\"a\":-}",
                           "{\"a\":1e}",
                           "{\"a\":\"\\x\"}",
                           "{\"a\":\"\\u12g4\"}",
                           "{\"a\":\"\n\"}",
                           "{a:1}",
                           "{'a':1}",
                           "{\"a\":[,1]}",
                           "{\"a\":[1,]}",
                           "{\"a\":{,}}",
                           "}",
                           "\"a\"",
                           "nul",
                           "{\"a\":.5}",
                           "{\"a\":\"\\"}) {
    EXPECT_EQ(code_of(body), "invalid_json") << body;
  }
}

TEST(ReadBody, RefusesBadUtf8AndSaysWhere) {
  const std::string body = R"({"model":"a","prompt":")" + std::string(100, 'x') + "\xC3(\"}";
  EXPECT_EQ(code_of(body), "invalid_utf8");
  EXPECT_NE(message_of(body).find("near byte 123"), std::string::npos) << message_of(body);
  EXPECT_EQ(code_of("{\"model\":\"\xED\xA0\x80\"}"), "invalid_utf8");
  EXPECT_EQ(code_of("\xFF"), "invalid_utf8");
  EXPECT_EQ(code_of("{\"model\":\"\xE2\x82\xAC\"}"), "ok");
  EXPECT_EQ(code_of("\xEF\xBB\xBF{\"model\":\"a\"}"), "ok");
}

TEST(ReadBody, RefusesDeepNestingWithoutRecursion) {
  const auto nested = [](std::size_t levels) {
    return R"({"model":"a","x":)" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  EXPECT_EQ(code_of(nested(kJsonDepthMax - 1)), "ok");
  EXPECT_EQ(code_of(nested(kJsonDepthMax)), "json_too_deep");
  EXPECT_EQ(code_of(R"({"model":"a","x":)" + std::string(10'000'000, '[')), "json_too_deep");
}

TEST(ReadBody, TokenLimitsOfEveryDialect) {
  for (const char* key :
       {"max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"}) {
    const std::string body = "{\"model\":\"a\",\"" + std::string(key) + "\":7}";
    EXPECT_EQ(read_body(kJson, body)->max_tokens, 7) << key;
  }
  for (const char* value : {"-1", "1.5", "\"7\"", "null", "99999999999999999999"}) {
    const std::string body = "{\"model\":\"a\",\"max_tokens\":" + std::string(value) + "}";
    EXPECT_EQ(read_body(kJson, body)->max_tokens, std::nullopt) << value;
  }
}

TEST(ReadBody, JsonIsTheDefaultForUnknownTypes) {
  for (const char* type :
       {"", "application/x-www-form-urlencoded", "APPLICATION/JSON; charset=x"}) {
    EXPECT_EQ(code_of(R"({"model":"a"})", type), "ok") << type;
  }
}

constexpr std::string_view kForm =
    "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"name=model;.wav\"\r\n"
    "Content-Type: audio/wav\r\n\r\n\r\n--X\r\n--XY binary \x01\xFF\r\n"
    "--XX\r\ncontent-disposition:form-data;NAME=model\r\n\r\nwhisper\r\n"
    "--XX\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n"
    "--XX--\r\n";

TEST(ReadBody, ReadsAForm) {
  // "--XY" after a new line begins with "--X", but not with the boundary.
  const auto facts = read_body("multipart/form-data; boundary=XX", kForm);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->model, "whisper");
  EXPECT_TRUE(facts->stream);
  EXPECT_EQ(read_body("Multipart/Form-Data; charset=x; BOUNDARY=\"XX\"", kForm)->model, "whisper");
  EXPECT_EQ(
      read_body("multipart/form-data; boundary=XX", "preamble\r\n" + std::string(kForm))->model,
      "whisper");
}

TEST(ReadBody, RefusesBrokenForms) {
  const auto code = [](std::string_view type, std::string_view body) {
    return code_of(body, type);
  };
  EXPECT_EQ(code("multipart/form-data", kForm), "invalid_form");
  EXPECT_EQ(code("multipart/form-data; boundary=", kForm), "invalid_form");
  EXPECT_EQ(code("multipart/form-data; boundary=" + std::string(71, 'a'), kForm), "invalid_form");
  EXPECT_EQ(code("multipart/form-data; boundary=YY", kForm), "invalid_form");
  EXPECT_EQ(code("multipart/form-data; boundary=XX", kForm.substr(0, kForm.size() - 6)),
            "invalid_form");
  EXPECT_EQ(code("multipart/form-data; boundary=XX", "--XX--"), "missing_model");
  EXPECT_EQ(code("multipart/form-data; boundary=XX", "--XX-x"), "invalid_form");
  EXPECT_EQ(code("multipart/form-data; boundary=XX",
                 "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\r\n--XX--"),
            "missing_model");
  EXPECT_EQ(code("multipart/form-data; boundary=XX",
                 "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\xFF\r\n--XX--"),
            "invalid_utf8");
}

TEST(ReadBody, BoundsAFormsPartsAndHeaders) {
  std::string many;
  for (int i = 0; i < kFormPartsMax + 1; ++i)
    many += "--XX\r\n\r\n\r\n";
  EXPECT_EQ(code_of(many + "--XX--", "multipart/form-data; boundary=XX"), "invalid_form");
  const std::string wide =
      "--XX\r\nA: " + std::string(kFormPartHeaderBytesMax, 'x') + "\r\n\r\n\r\n--XX--";
  EXPECT_EQ(code_of(wide, "multipart/form-data; boundary=XX"), "invalid_form");
}

// The full parser that servers use must agree: what it accepts is accepted, and what it refuses is
// refused, but for what only shows when values are decoded.
TEST(ReadBody, AgreesWithAFullParserOnMutatedBodies) {
  const std::string seed = R"({"model":"a\u00e9","stream":false,)"
                           R"("n":[1,-2.5e3,true,null,{"k":"v\\\"w"},[[]],{}],"m":"x"})";
  constexpr std::string_view kPool = "{}[]\",:\\u0123e+-. tfn\n";
  Prng random(3);
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text = seed;
    const auto edits = random.below(4);
    for (std::uint64_t edit = 0; edit < edits; ++edit) {
      const std::size_t at = random.below(text.size());
      switch (random.below(3)) {
        case 0:
          text[at] = kPool[random.below(kPool.size())];
          break;
        case 1:
          text.erase(at, 1 + random.below(4));
          break;
        default:
          text.insert(at, 1, kPool[random.below(kPool.size())]);
      }
    }
    const nlohmann::json full = nlohmann::json::parse(text, nullptr, false);
    const std::string code = code_of(text);
    const bool ours = code != "invalid_json" && code != "invalid_utf8";
    if (full.is_object()) {
      ASSERT_TRUE(ours) << text << "\n" << message_of(text);
      ++accepted;
      const auto facts = read_body(kJson, text);
      const bool has = full.contains("model") && full["model"].is_string() && full["model"] != "";
      ASSERT_EQ(facts.has_value(), has) << text;
      if (has) {
        ASSERT_EQ(facts->model, full["model"].get<std::string>()) << text;
      }
    } else if (ours) {
      // Half a surrogate pair, or a number beyond a double.
      ASSERT_NE(text.find_first_of("ueE"), std::string::npos) << text;
    }
  }
  EXPECT_GT(accepted, 3000);
}

TEST(ReadBody, SurvivesAnyBytes) {
  Prng random(9);
  const std::string json = R"({"model":"a","stream":true,"x":[{"y":"\n"}]})";
  const std::string form(kForm);
  for (int round = 0; round < 20'000; ++round) {
    std::string text = round % 2 == 0 ? json : form;
    for (int edit = 0; edit < 6; ++edit) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    text.resize(random.below(text.size() + 1));
    std::string type = "multipart/form-data; boundary=\"XX\"";
    if (round % 5 == 0)
      type[random.below(type.size())] = static_cast<char>(random.below(256));
    // The exact size on the heap lets AddressSanitizer see a read past the end.
    const std::vector<char> exact(text.begin(), text.end());
    const std::string_view view(exact.data(), exact.size());
    (void)read_body(kJson, view);
    (void)read_body(type, view);
  }
}

}  // namespace
}  // namespace tonnage::api
