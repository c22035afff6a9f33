#include "api/route.h"

#include <set>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace tonnage::api {
namespace {

// Models "a", "org/qwen:8b", "org/qwen:8b/x", "my model" and "odd/load" are configured.
bool is_known(std::string_view id) {
  static const std::set<std::string, std::less<>> known = {"a", "org/qwen:8b", "org/qwen:8b/x",
                                                           "my model", "odd/load"};
  return known.contains(id);
}

auto at(std::string_view method, std::string_view target) {
  return route(method, target, is_known);
}

// "endpoint model rest", or the status of the error.
std::string where(std::string_view method, std::string_view target) {
  const auto found = at(method, target);
  if (!found)
    return std::to_string(found.error().error.status);
  std::string text(to_text(found->endpoint));
  if (!found->model.empty())
    text += " " + found->model;
  if (!found->rest.empty())
    text += " " + found->rest;
  return text;
}

TEST(Route, FindsFixedPaths) {
  EXPECT_EQ(where("GET", "/v1/models"), "openai_models");
  EXPECT_EQ(where("GET", "/v1/models/"), "openai_models");
  EXPECT_EQ(where("HEAD", "/health"), "health");
  EXPECT_EQ(where("GET", "/metrics?x=1"), "metrics");
  EXPECT_EQ(where("POST", "/api/memory/flush"), "flush");
  EXPECT_EQ(where("GET", "/api/memory/evictions"), "memory_evictions");
  EXPECT_EQ(where("GET", "/api/memory/history?since=1h"), "memory_history");
  EXPECT_EQ(where("GET", "/api/memory/log"), "log");
  EXPECT_EQ(where("PUT", "/api/memory/log"), "set_log");
}

// A base URL that ends in a slash, and clients that add one, are common.
TEST(Route, ADoorIsFoundWithSlashesTooMany) {
  for (const char* path :
       {"//v1/chat/completions", "/v1//chat/completions/", "/v1/chat/completions/"}) {
    const auto found = at("POST", path);
    ASSERT_TRUE(found) << path;
    EXPECT_EQ(found->door, "/v1/chat/completions") << path;
  }
  EXPECT_EQ(where("GET", "//health"), "health");
  EXPECT_EQ(where("GET", "/upstream/a//x"), "upstream a //x");
  EXPECT_EQ(where("GET", "//upstream/a/x"), "404");
}

TEST(Route, APathThatIsNoneSaysWhichMayBeMeant) {
  const auto said = [](std::string_view method, std::string_view path) {
    const auto found = at(method, path);
    return found ? std::string("found") : found.error().error.message;
  };
  const auto hint = [&](std::string_view path) {
    const std::string text = said("POST", path);
    const std::size_t at = text.find("Did you mean ");
    return at == std::string::npos ? std::string() : text.substr(at + 13);
  };
  EXPECT_EQ(hint("/v1/v1/chat/completions"), "/v1/chat/completions?");
  EXPECT_EQ(hint("/chat/completions"), "/v1/chat/completions?");
  EXPECT_EQ(hint("/openai/v1/embeddings"), "/v1/embeddings?");
  EXPECT_EQ(hint("/api/v0/models"), "/v1/models?");
  EXPECT_EQ(hint("/models/"), "/v1/models?");
  EXPECT_EQ(hint("/infill"), "/upstream/MODEL/infill?");
  EXPECT_EQ(hint("/nope"), "");
  EXPECT_NE(said("GET", "/api/tags").find("Ollama's API"), std::string::npos);
  EXPECT_NE(said("GET", "/").find("GET /v1/models lists the models"), std::string::npos);
}

TEST(Route, DoorsAreInferenceInTheirDialect) {
  for (const char* path :
       {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/reranking",
        "/rerank", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens",
        "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech",
        "/v1/images/generations", "/v1/images/edits", "/v1/images/variations"}) {
    const auto found = at("POST", path);
    ASSERT_TRUE(found) << path;
    EXPECT_EQ(found->endpoint, Endpoint::inference) << path;
    EXPECT_EQ(found->scope, Scope::infer) << path;
    EXPECT_TRUE(found->replayable) << path;
    EXPECT_TRUE(found->changes_state) << path;
    EXPECT_EQ(found->dialect, std::string_view(path).starts_with("/v1/messages")
                                  ? Dialect::anthropic
                                  : Dialect::openai);
  }
}

TEST(Route, TellsAWrongMethodFromAWrongPath) {
  EXPECT_EQ(where("GET", "/v1/chat/completions"), "405");
  EXPECT_EQ(at("GET", "/v1/chat/completions").error().allow, "POST, OPTIONS");
  EXPECT_EQ(at("POST", "/health").error().allow, "GET, HEAD, OPTIONS");
  EXPECT_EQ(where("PATCH", "/api/memory/models/a"), "405");
  EXPECT_EQ(at("POST", "/api/memory/log").error().allow, "GET, HEAD, PUT, OPTIONS");
  EXPECT_EQ(where("GET", "/v1/chat"), "404");
  EXPECT_EQ(where("POST", "/tokenize"), "404");  // only below /upstream
  EXPECT_EQ(where("GET", "/v1/modelsx"), "404");
  EXPECT_EQ(where("GET", "/upstream/"), "404");
  EXPECT_EQ(where("GET", "/logs/"), "404");
  EXPECT_EQ(at("GET", "/v1/messages/x").error().dialect, Dialect::anthropic);
}

TEST(Route, IdsMayHoldSlashesColonsAndSpaces) {
  EXPECT_EQ(where("GET", "/v1/models/org/qwen:8b"), "openai_model org/qwen:8b");
  EXPECT_EQ(where("GET", "/v1/models/org%2Fqwen%3A8b"), "openai_model org/qwen:8b");
  EXPECT_EQ(where("GET", "/logs/my%20model"), "logs my model");
  EXPECT_EQ(where("POST", "/api/memory/models/org/qwen:8b/load"), "load org/qwen:8b");
  EXPECT_EQ(where("POST", "/api/memory/models/org%2fqwen:8b/pin"), "pin org/qwen:8b");
  EXPECT_EQ(where("POST", "/api/memory/models/my%20model/unpin"), "unpin my model");
  EXPECT_EQ(where("POST", "/api/memory/models/org/qwen:8b/clear"), "clear org/qwen:8b");
  EXPECT_EQ(where("DELETE", "/api/memory/models/org/qwen:8b"), "unload org/qwen:8b");
  EXPECT_EQ(where("POST", "/api/memory/models/a/unload"), "unload a");
  EXPECT_EQ(where("GET", "/api/memory/models/a"), "memory_model a");
  EXPECT_EQ(where("GET", "/v1/models/a+b"), "openai_model a+b");
}

TEST(Route, AnIdMayEndLikeACommand) {
  EXPECT_EQ(where("GET", "/api/memory/models/odd/load"), "memory_model odd/load");
  EXPECT_EQ(where("DELETE", "/api/memory/models/odd/load"), "unload odd/load");
  EXPECT_EQ(where("POST", "/api/memory/models/odd/load/load"), "load odd/load");
  EXPECT_EQ(where("GET", "/api/memory/models/a/load"), "405");
}

TEST(Route, UpstreamTakesTheLongestKnownId) {
  EXPECT_EQ(where("GET", "/upstream/a/props"), "upstream a /props");
  EXPECT_EQ(where("GET", "/upstream/a"), "upstream a /");
  EXPECT_EQ(where("GET", "/upstream/org/qwen:8b/slots?x=%20"), "upstream org/qwen:8b /slots?x=%20");
  EXPECT_EQ(where("GET", "/upstream/org/qwen:8b/x/slots"), "upstream org/qwen:8b/x /slots");
  EXPECT_EQ(where("GET", "/upstream/org%2Fqwen:8b/slots"), "upstream org/qwen:8b /slots");
  EXPECT_EQ(where("GET", "/upstream/nobody/x"), "upstream nobody /x");
}

TEST(Route, UpstreamScopesFollowWhatIsAsked) {
  const auto scope = [](std::string_view method, std::string_view target) {
    return std::string(to_text(at(method, target)->scope));
  };
  EXPECT_EQ(scope("GET", "/upstream/a/props"), "read");
  EXPECT_EQ(scope("POST", "/upstream/a/v1/chat/completions"), "infer");
  EXPECT_EQ(scope("POST", "/upstream/a/tokenize?x=1"), "infer");
  EXPECT_EQ(scope("POST", "/upstream/a/slots/0?action=erase"), "admin");
  EXPECT_EQ(scope("DELETE", "/upstream/a/v1/chat/completions"), "admin");
  EXPECT_EQ(scope("POST", "/upstream/a/v1/chat%2Fcompletions"), "admin");
  EXPECT_EQ(scope("POST", "/upstream/a/v1/completions/../../slots/0"), "admin");
  EXPECT_FALSE(at("POST", "/upstream/a/slots/0")->replayable);
  EXPECT_TRUE(at("POST", "/upstream/a/v1/completions")->replayable);
  EXPECT_FALSE(at("GET", "/upstream/a/slots")->changes_state);
  EXPECT_TRUE(at("POST", "/upstream/a/slots/0")->changes_state);
  for (const char* look : {"GET", "HEAD", "POST", "DELETE", "PATCH"})
    EXPECT_TRUE(at(look, "/upstream/a/slots/0")->look) << look;
  EXPECT_TRUE(at("GET", "/upstream/a/v1/chat/completions")->look);
  EXPECT_TRUE(at("DELETE", "/upstream/a/v1/chat/completions")->look);
  EXPECT_FALSE(at("POST", "/upstream/a/completion")->look);
  EXPECT_TRUE(at("POST", "/upstream/a/v1/completions")->counted);
  EXPECT_FALSE(at("POST", "/upstream/a/tokenize")->counted);
}

TEST(Route, ControlsNeedAdminAndViewsNeedRead) {
  for (const char* target : {"/api/memory/models/a/load", "/api/memory/flush"}) {
    EXPECT_EQ(at("POST", target)->scope, Scope::admin) << target;
    EXPECT_TRUE(at("POST", target)->changes_state) << target;
  }
  EXPECT_EQ(at("PUT", "/api/memory/log")->scope, Scope::admin);
  EXPECT_TRUE(at("PUT", "/api/memory/log")->changes_state);
  EXPECT_EQ(at("GET", "/api/memory/log")->scope, Scope::read);
  EXPECT_EQ(at("GET", "/logs/a")->scope, Scope::admin);
  EXPECT_FALSE(at("GET", "/logs/a")->changes_state);
  EXPECT_EQ(at("GET", "/api/memory/status")->scope, Scope::read);
  EXPECT_EQ(at("GET", "/health")->scope, Scope::open);
  EXPECT_EQ(at("GET", "/v1/models")->scope, Scope::infer);
}

TEST(Route, AnswersAPreflightWhereverThereIsSomething) {
  for (const char* target : {"/v1/chat/completions", "/v1/models/a", "/api/memory/models/a/load",
                             "/upstream/a/x", "/health"}) {
    const auto found = at("OPTIONS", target);
    ASSERT_TRUE(found) << target;
    EXPECT_EQ(found->endpoint, Endpoint::preflight) << target;
    EXPECT_EQ(found->scope, Scope::open) << target;
  }
  EXPECT_EQ(where("OPTIONS", "/nothing"), "404");
}

TEST(Route, ReadsTheQuery) {
  const auto found = at("GET", "/api/memory/events?model=org%2Fqwen:8b&kind=&a+b=c+d&bad=%zz&&x");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->query_value("model"), "org/qwen:8b");
  EXPECT_EQ(found->query_value("kind"), "");
  EXPECT_EQ(found->query_value("a b"), "c d");
  EXPECT_EQ(found->query_value("bad"), "%zz");
  EXPECT_EQ(found->query_value("missing"), "");
  EXPECT_EQ(found->query.size(), 5u);
}

TEST(Route, RefusesPathsThatCannotBe) {
  EXPECT_EQ(where("GET", ""), "400");
  EXPECT_EQ(where("GET", "*"), "400");
  EXPECT_EQ(where("GET", "http://x/health"), "400");
  EXPECT_EQ(where("GET", "/health\r\nX: y"), "400");
  EXPECT_EQ(where("GET", "/v1/models/%zz"), "400");
  EXPECT_EQ(where("GET", "/v1/models/%f"), "400");
  EXPECT_EQ(where("GET", "/v1/models/a%00b"), "400");
  EXPECT_EQ(where("GET", "/v1/models/%FF"), "400");
  EXPECT_EQ(where("GET", "/v1/models/" + std::string(513, 'a')), "400");
}

TEST(Route, EncodingComesBack) {
  EXPECT_EQ(encode_segment("org/q:8b x"), "org%2Fq%3A8b%20x");
  Prng random(4);
  for (int round = 0; round < 200; ++round) {
    std::string id;
    for (int i = 0; i < 12; ++i)
      id += static_cast<char>(1 + random.below(127));
    EXPECT_EQ(decode_path(encode_segment(id)), id);
  }
}

TEST(Route, SurvivesAnyBytes) {
  const std::vector<std::string> seeds = {"/upstream/org%2Fqwen:8b/v1/chat/completions?a=b&c=%20",
                                          "/api/memory/models/a%20b/load",
                                          "/v1/models/%F0%9F%98%80", std::string(4000, '/')};
  const std::vector<std::string> methods = {"GET", "POST", "DELETE", "OPTIONS", "", "\xFF"};
  Prng random(8);
  for (int round = 0; round < 20'000; ++round) {
    std::string target = seeds[random.below(seeds.size())];
    for (int edit = 0; edit < 4; ++edit) {
      target[random.below(target.size())] =
          random.chance(500) ? "/%?&=#.2F"[random.below(9)] : static_cast<char>(random.below(256));
    }
    target.resize(random.below(target.size() + 1));
    const auto found = at(methods[random.below(methods.size())], target);
    if (found && found->endpoint == Endpoint::upstream) {
      EXPECT_TRUE(found->rest.starts_with('/'));
    }
  }
}

}  // namespace
}  // namespace tonnage::api
