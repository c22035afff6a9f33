// One translator: whatever a model server says, early or late, becomes one error object.
#include "api/engine_error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tonnage::api {
namespace {

using nlohmann::json;

constexpr const char* kOverflow =
    R"({"error":{"code":400,"message":"request (5020 tokens) exceeds the available context size )"
    R"((1024 tokens), try increasing it","type":"exceed_context_size_error",)"
    R"("n_prompt_tokens":5020,"n_ctx":1024}})";

json shape(const ApiError& error, Dialect dialect = Dialect::openai) {
  return json::parse(error_body(error, dialect));
}

json late(const ApiError& error, Dialect dialect) {
  const std::string event = error_event(error, dialect);
  const std::size_t data = event.find("data: ");
  EXPECT_EQ(event.find("data: ", data + 1), std::string::npos);
  return json::parse(event.substr(data + 6));
}

TEST(EngineError, APromptThatIsTooLongHasCodeTypeStatusAndBothNumbers) {
  const json error = shape(engine_error(400, kOverflow, "m"))["error"];
  EXPECT_EQ(error["type"], "exceed_context_size_error");
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["status"], 400);
  EXPECT_EQ(error["n_prompt_tokens"], 5020);
  EXPECT_EQ(error["n_ctx"], 1024);
  EXPECT_EQ(error["message"],
            "request (5020 tokens) exceeds the available context size (1024 tokens), try "
            "increasing it");
}

// Official clients send a request again that was answered with 500, and each time in vain.
TEST(EngineError, WhatOnlyTheRequestCanMendIs400) {
  const auto status = [](std::string message) {
    const json body{{"error", {{"code", 500}, {"message", message}, {"type", "server_error"}}}};
    const ApiError early = engine_error(500, body.dump(), "m");
    const auto late = engine_error_event("data: " + body.dump() + "\n\n", "m");
    EXPECT_TRUE(late && *late == early) << message;
    return early.status;
  };
  for (const char* message :
       {"image input is not supported - hint: if this is unexpected, you may need to provide the "
        "mmproj",
        "[json.exception.parse_error.101] parse error at line 1, column 9: syntax error",
        "Failed to parse messages: Missing 'role' in message: {}",
        "Failed to parse tools: Unsupported tool type: {}", "'messages' is required",
        "\"prompt\" must not be empty", "Cannot use both json_schema and grammar"}) {
    EXPECT_EQ(status(message), 400) << message;
  }
  for (const char* message :
       {"Compute error.", "failed to process mtmd chunk", "got exception: bad allocation",
        "The model produced output that does not match the expected peg-native format",
        "[json.exception.type_error.316] invalid UTF-8 byte at index 3: 0xFF"}) {
    EXPECT_EQ(status(message), 500) << message;
  }
  const json error = shape(
      engine_error(500, R"({"error":{"message":"'messages' is required","type":"server_error"}})",
                   "m"))["error"];
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["code"], "invalid_request");
}

TEST(EngineError, IsTheSameEarlyAndLateInEveryDialect) {
  for (const Dialect dialect : {Dialect::openai, Dialect::anthropic}) {
    const ApiError error = engine_error(400, kOverflow, "m");
    EXPECT_EQ(shape(error, dialect), late(error, dialect));
    const auto in_stream = engine_error_event("data: " + std::string(kOverflow) + "\n\n", "m");
    ASSERT_TRUE(in_stream);
    EXPECT_EQ(shape(*in_stream, dialect), shape(error, dialect));
  }
}

TEST(EngineError, HasAnthropicsEnvelopeTypeAndWords) {
  const json body = shape(engine_error(400, kOverflow, "m"), Dialect::anthropic);
  EXPECT_EQ(body["type"], "error");
  EXPECT_EQ(body["error"]["type"], "invalid_request_error");
  EXPECT_EQ(body["error"]["engine_type"], "exceed_context_size_error");
  EXPECT_EQ(body["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(body["error"]["details"]["error_code"], "context_length_exceeded");
  EXPECT_EQ(body["error"]["n_ctx"], 1024);
  EXPECT_TRUE(body["error"]["message"].get<std::string>().starts_with(
      "prompt is too long: 5020 tokens > 1024 maximum: request"));
}

TEST(EngineError, AnEncodersWordsForATextThatIsTooLongAreTheSameError) {
  const json error = shape(engine_error(
      500,
      R"({"error":{"code":500,"message":"input (5002 tokens) is too large to process. increase )"
      R"~(the physical batch size (current batch size: 2048)","type":"server_error"}})~",
      "m"))["error"];
  EXPECT_EQ(error["status"], 400);
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["n_prompt_tokens"], 5002);
  EXPECT_EQ(error["n_ctx"], 2048);
}

TEST(EngineError, OtherErrorsKeepTypeMessageAndNumbers) {
  const json error = shape(
      engine_error(400,
                   R"({"error":{"code":400,"message":"bad","type":"invalid_request_error","at":7,)"
                   R"("deep":{"x":1},"long":")" +
                       std::string(1000, 'x') + "\"}}",
                   "m"))["error"];
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["code"], "invalid_request");
  EXPECT_EQ(error["message"], "bad");
  EXPECT_EQ(error["at"], 7);
  EXPECT_FALSE(error.contains("deep"));
  EXPECT_FALSE(error.contains("long"));
  EXPECT_EQ(shape(engine_error(501, R"({"error":{"message":"x","type":"not_supported_error"}})",
                               "m"))["error"]["code"],
            "not_supported");
}

TEST(EngineError, ALoadingServerSaysWhenToAskAgain) {
  const ApiError error = engine_error(
      503, R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})", "m");
  EXPECT_EQ(retry_after_s(error), 1);
  EXPECT_EQ(shape(error)["error"]["retry_after_s"], 1);
  EXPECT_EQ(shape(error, Dialect::anthropic)["error"]["type"], "overloaded_error");
}

TEST(EngineError, AnyBodyBecomesAProperError) {
  struct Case {
    const char* body;
    const char* message;
  };
  for (const Case& c : {
           Case{"", "The server of model 'm' answered with status 500 and an empty body."},
           Case{" \r\n", "The server of model 'm' answered with status 500 and an empty body."},
           Case{"busy\n now", "The server of model 'm' answered with status 500: busy now"},
           Case{"<html><body><h1>Bad</h1>\n<p>gateway</p></body></html>",
                "The server of model 'm' answered with status 500: Bad gateway"},
           Case{"{\"a\":1}", "The server of model 'm' answered with status 500: {\"a\":1}"},
           Case{"{\"error\":", "The server of model 'm' answered with status 500: {\"error\":"},
           Case{"[1]", "The server of model 'm' answered with status 500: [1]"},
           Case{R"({"error":"no"})", "no"},
           Case{R"({"detail":"not here"})", "not here"},
           Case{R"({"message":"plain","x":1})", "plain"},
       }) {
    const json error = shape(engine_error(500, c.body, "m"))["error"];
    EXPECT_EQ(error["message"], c.message) << c.body;
    EXPECT_EQ(error["status"], 500);
    EXPECT_EQ(error["type"], "server_error");
    EXPECT_EQ(error["code"], "upstream_error");
  }
}

TEST(EngineError, JsonInAStringIsUnpacked) {
  const json wrapped = {{"error", {{"message", kOverflow}, {"code", "upstream_error"}}}};
  EXPECT_EQ(shape(engine_error(400, wrapped.dump(), "m")),
            shape(engine_error(400, kOverflow, "m")));
}

TEST(EngineError, WordsAreBounded) {
  const std::string page = "<p>" + std::string(100'000, 'x') + "</p>";
  EXPECT_LT(engine_error(500, page, std::string(5000, 'm')).message.size(), 600u);
  const std::string text = R"({"error":{"message":")" + std::string(50'000, 'y') + "\xC3\xA9\"}}";
  EXPECT_LT(engine_error(500, text, "m").message.size(), 2100u);
  // Not by the depth of what it holds either.
  EXPECT_FALSE(engine_error(500, std::string(60'000, '['), "m").message.empty());
  const std::string deep =
      "{\"error\":" + std::string(30'000, '[') + std::string(30'000, ']') + "}";
  EXPECT_FALSE(engine_error(500, deep, "m").message.empty());
  EXPECT_TRUE(engine_error_event("data: " + deep + "\n\n", "m"));
}

TEST(EngineError, AnEventOfAStreamIsReadInEveryForm) {
  const json plain = shape(engine_error(500, R"({"error":{"message":"x","code":500}})", "m"));
  for (const char* event : {
           "data: {\"error\":{\"message\":\"x\",\"code\":500}}\n\n",
           "event: error\r\ndata: {\"message\":\"x\",\"code\":500}\r\n\r\n",
           "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"x\"}}\n\n",
           "error: {\"code\":500,\"message\":\"x\"}\n\n",
           "data: {\"error\":{\"message\":\ndata: \"x\"}}\n\n",
           "data:  { \"error\" : {\"message\":\"x\"} }\n\n",
           "data: {\"id\":\"1\",\"choices\":[],\"error\":{\"message\":\"x\"}}\n\n",
       }) {
    const auto error = engine_error_event(event, "m");
    ASSERT_TRUE(error) << event;
    EXPECT_EQ(shape(*error), plain) << event;
  }
  for (const char* event :
       {"data: {\"error\":null,\"choices\":[]}\n\n", "data: {\"error\":\"\",\"a\":1}\n\n",
        "data: {\"error\":false}\n\n", "data: {\"error\":{}}\n\n",
        "data: {\"finish_reason\":\"error\"}\n\n", "data: {\"a\":\"error\",\"b\":\"cut sh"}) {
    EXPECT_FALSE(engine_error_event(event, "m")) << event;
  }
  const auto cut = engine_error_event("data: {\"error\":{\"message\":\"xyz", "m");
  ASSERT_TRUE(cut);
  EXPECT_NE(cut->message.find("xyz"), std::string::npos);
  EXPECT_EQ(engine_error_event("data: {\"error\":{\"message\":\"x\",\"code\":503}}", "m")->status,
            503);
}

}  // namespace
}  // namespace tonnage::api
