#include "api/errors.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tonnage::api {
namespace {

using nlohmann::json;

TEST(Errors, HaveOpenAisShape) {
  const ApiError error{404, "model_not_found", "no", "model", {}, R"({"a":1})"};
  EXPECT_EQ(error_body(error, Dialect::openai),
            R"({"error":{"message":"no","type":"invalid_request_error","code":"model_not_found",)"
            R"("param":"model","status":404,"tonnage":{"a":1}}})");
}

TEST(Errors, HaveAnthropicsShape) {
  const json body =
      json::parse(error_body({503, "queue_full", "no", {}, {}, {}}, Dialect::anthropic));
  EXPECT_EQ(body["type"], "error");
  EXPECT_EQ(body["error"]["type"], "overloaded_error");
  EXPECT_TRUE(body["error"]["param"].is_null());
  EXPECT_FALSE(body["error"].contains("tonnage"));
  EXPECT_EQ(body["error"]["details"]["error_code"], "queue_full");
  EXPECT_EQ(body["error"]["status"], 503);
  EXPECT_EQ(body["error"]["retry_after_s"], 1);
}

TEST(Errors, SayWhenAskingAgainMakesSense) {
  ApiError error{503, "x", "no", {}, 7, {}};
  EXPECT_EQ(retry_after_s(error), 7);
  error.retry_after_s.reset();
  EXPECT_EQ(retry_after_s(error), 1);
  error.status = 429;
  EXPECT_EQ(retry_after_s(error), 1);
  error.status = 400;
  EXPECT_EQ(retry_after_s(error), std::nullopt);
}

TEST(Errors, NameTheLimitAndItsKey) {
  EXPECT_EQ(body_too_large(64_MiB).message,
            "The body of the request is larger than the limit of 64 MiB. Raise limits.body_max "
            "to allow more.");
  EXPECT_EQ(
      upstream_timeout("m", "did not finish its answer", 3600s, "limits.request_timeout").message,
      "The server of model 'm' did not finish its answer within 1h "
      "(limits.request_timeout). Raise this limit if answers may take longer.");
  EXPECT_EQ(upstream_lost("m", "the server closed the connection", "Segmentation fault").message,
            "The connection to the server of model 'm' was lost: the server closed the "
            "connection. Its last words: Segmentation fault");
  EXPECT_EQ(too_many_requests("app", 2).message,
            "Limit of 2 concurrent requests reached for the key 'app'. Wait until one of them "
            "ends.");
  EXPECT_EQ(method_not_allowed("PUT", "GET").message, "PUT is not allowed; use GET.");
  EXPECT_EQ(compressed_body("gzip").status, 415);
}

TEST(Errors, SurviveTextThatIsNotUtf8) {
  const ApiError error{400, "x", "bad \xFF byte\n", "\xC3", {}, "not json"};
  const json body = json::parse(error_body(error, Dialect::openai));
  EXPECT_EQ(body["error"]["message"], "bad \xEF\xBF\xBD byte\n");
}

TEST(Errors, AreOneEventInAStream) {
  const ApiError error{502, "server_lost", "line\nline", {}, {}, {}};
  const std::string openai = error_event(error, Dialect::openai);
  EXPECT_TRUE(openai.starts_with("data: {\"error\""));
  EXPECT_EQ(openai.find("\n\n"), openai.size() - 2);
  EXPECT_TRUE(error_event(error, Dialect::anthropic).starts_with("event: error\ndata: {\"type\""));
}

TEST(Errors, QueueCommentsStayOneLine) {
  EXPECT_EQ(queue_comment(17, 3, "qwen"),
            ": tonnage queue place 3, request 17, waiting for qwen\n\n");
  EXPECT_EQ(queue_comment(17, 1, ""), ": tonnage queue place 1, request 17\n\n");
  EXPECT_EQ(queue_comment(17, 1, "a\n\ndata: x"),
            ": tonnage queue place 1, request 17, waiting for a  data: x\n\n");
}

TEST(NearMatches, FindWhatWasMeant) {
  const std::vector<std::string> known = {"qwen3-8b", "org/Qwen3-14B", "whisper", "gpt-4o-mini"};
  EXPECT_EQ(near_matches("qwen3", known), (std::vector<std::string>{"qwen3-8b", "org/Qwen3-14B"}));
  EXPECT_EQ(near_matches("QWNE3-8B", known).at(0), "qwen3-8b");
  // Swapped neighbours are one slip, not two.
  EXPECT_EQ(near_matches("abcd", std::vector<std::string>{"axyd", "acbd"}).at(0), "acbd");
  EXPECT_EQ(near_matches("wisper", known), std::vector<std::string>{"whisper"});
  EXPECT_EQ(near_matches("14b", known), std::vector<std::string>{"org/Qwen3-14B"});
  EXPECT_TRUE(near_matches("llama", known).empty());
  EXPECT_TRUE(near_matches("", known).empty());
  EXPECT_TRUE(near_matches("x", {}).empty());
}

TEST(NearMatches, AreBoundedForAnyInput) {
  const std::vector<std::string> known(500, std::string(5000, 'a'));
  EXPECT_EQ(near_matches(std::string(1'000'000, 'a'), known).size(), 3u);
}

TEST(UnknownModel, NamesTheNearest) {
  const std::vector<std::string> known = {"whisper", "qwen"};
  const ApiError error = unknown_model("wisper", known);
  EXPECT_EQ(error.status, 404);
  EXPECT_EQ(error.message, "There is no model 'wisper'. Did you mean 'whisper'?");
  EXPECT_EQ(json::parse(error.tonnage_json)["near_matches"], json({"whisper"}));
  EXPECT_EQ(unknown_model("zzzzz", known).message,
            "There is no model 'zzzzz'. GET /v1/models lists what there is.");
  EXPECT_LT(unknown_model(std::string(100'000, 'z'), known).message.size(), 1000u);
}

Policy policy() {
  Policy made;
  made.pools.push_back({.name = "host"});
  made.models.push_back({.id = "big"});
  return made;
}

Decision never_fits() {
  Decision decision;
  decision.kind = DecisionKind::refuse;
  decision.reason = ReasonCode::never_fits;
  decision.model = ModelId{0};
  decision.need = 10_GiB;
  decision.usable = 8_GiB;
  decision.headroom = 6_GiB;
  decision.tried = {{{.context = 8192, .slots = 2}, 12_GiB},
                    {{.context = 4096, .slots = 2}, 10_GiB}};
  return decision;
}

TEST(Refusal, CarriesTheArithmetic) {
  const ApiError error = refusal(never_fits(), 400, policy());
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.code, "never_fits");
  EXPECT_EQ(error.retry_after_s, std::nullopt);
  EXPECT_NE(error.message.find("10.00 GiB"), std::string::npos) << error.message;
  const json more = json::parse(error.tonnage_json);
  EXPECT_EQ(more["needed_bytes"], (10_GiB).count);
  EXPECT_EQ(more["usable_bytes"], (8_GiB).count);
  EXPECT_EQ(more["headroom_bytes"], (6_GiB).count);
  EXPECT_EQ(more["model"], "big");
  EXPECT_EQ(more["tried"].size(), 2u);
  EXPECT_EQ(more["tried"][0]["fits"], false);
  EXPECT_TRUE(more["largest_fit"].is_null());
  EXPECT_NE(more["suggestions"][0].get<std::string>().find("2.00 GiB more"), std::string::npos)
      << more["suggestions"];
}

TEST(Refusal, NamesTheLargestPlacementThatFits) {
  Decision decision = never_fits();
  decision.reason = ReasonCode::context_too_small;
  decision.tried.push_back({{.context = 1024}, 7_GiB});
  decision.tried.push_back({{.context = 512}, 6_GiB});
  const json more = json::parse(refusal(decision, 400, policy()).tonnage_json);
  EXPECT_EQ(more["largest_fit"]["need_bytes"], (7_GiB).count);
  EXPECT_EQ(more["largest_fit"]["placement"]["context"], 1024);
}

TEST(Refusal, OfAContextThatIsTooSmallIsTheErrorThatAgentsKnow) {
  Decision decision = never_fits();
  decision.reason = ReasonCode::context_too_small;
  const json error =
      json::parse(error_body(refusal(decision, 400, policy(), {9000, 4096}), Dialect::openai));
  EXPECT_EQ(error["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(error["error"]["type"], "exceed_context_size_error");
  EXPECT_EQ(error["error"]["n_prompt_tokens"], 9000);
  EXPECT_EQ(error["error"]["n_ctx"], 4096);
  EXPECT_EQ(error["error"]["tonnage"]["reason"], "context_too_small");
}

TEST(Refusal, SaysWhenToAskAgain) {
  Decision decision = never_fits();
  decision.reason = ReasonCode::queue_full;
  EXPECT_EQ(refusal(decision, 503, policy()).retry_after_s, 1);
  decision.retry_after = 1200ms;
  EXPECT_EQ(refusal(decision, 503, policy()).retry_after_s, 2);
}

TEST(Refusal, HasSomethingToSayForEveryReason) {
  for (int reason = 0; reason < 64; ++reason) {
    Decision decision = never_fits();
    decision.reason = static_cast<ReasonCode>(reason);
    decision.model = reason % 2 == 0 ? std::nullopt : std::optional(ModelId{99});
    decision.pool = PoolId{7};
    EXPECT_FALSE(refusal(decision, 503, policy()).message.empty()) << reason;
  }
}

}  // namespace
}  // namespace tonnage::api
