#include "api/model_fit.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

// "ok", or why.
std::string fit(ModelType type, std::string_view path) {
  const auto found = route("POST", path, [](std::string_view id) { return id == "m"; });
  const auto error = unfit_model("m", type, found->work, path);
  return error ? error->message : "ok";
}

TEST(ModelFit, KnowsWhichModelsADoorIsFor) {
  for (const char* chat : {"/v1/chat/completions", "/v1/completions", "/v1/messages",
                           "/v1/responses", "/upstream/m/completion", "/upstream/m/infill"}) {
    EXPECT_EQ(fit(ModelType::llm, chat), "ok") << chat;
    EXPECT_NE(fit(ModelType::embedding, chat), "ok") << chat;
    EXPECT_NE(fit(ModelType::reranker, chat), "ok") << chat;
    EXPECT_EQ(fit(ModelType::other, chat), "ok") << chat;
  }
  EXPECT_EQ(fit(ModelType::embedding, "/v1/embeddings"), "ok");
  EXPECT_EQ(fit(ModelType::reranker, "/v1/rerank"), "ok");
  EXPECT_EQ(fit(ModelType::llm, "/v1/embeddings"),
            "'m' is a language model, so it cannot serve /v1/embeddings. Ask a model of type "
            "embedding; `type: embedding` makes one of it.");
  EXPECT_NE(fit(ModelType::llm, "/upstream/m/embedding"), "ok");
  EXPECT_NE(fit(ModelType::llm, "/rerank"), "ok");
  EXPECT_NE(fit(ModelType::embedding, "/v1/rerank"), "ok");
  EXPECT_EQ(fit(ModelType::embedding, "/upstream/m/tokenize"), "ok");
  EXPECT_EQ(fit(ModelType::llm, "/v1/audio/transcriptions"), "ok") << "only its server knows";
  EXPECT_NE(fit(ModelType::embedding, "/v1/audio/transcriptions"), "ok");
  EXPECT_NE(fit(ModelType::reranker, "/v1/images/generations"), "ok");
}

}  // namespace
}  // namespace tonnage::api
