#include "config/other_names.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/key.h"
#include "config/load.h"

namespace tonnage {
namespace {

using testing::HasSubstr;

TEST(OtherNames, OneWordHoweverItIsWritten) {
  for (const char* key :
       {"n_gpu_layers", "n-gpu-layers", "--n-gpu-layers", "LLAMA_ARG_N_GPU_LAYERS"})
    EXPECT_EQ(model_key_named(key), "gpu_layers") << key;
  EXPECT_EQ(model_key_named("OLLAMA_KEEP_ALIVE"), "ttl");
  EXPECT_EQ(model_key_named("nothing-like-it"), "");
}

// Each hint names a key that there is.
TEST(OtherNames, TheyMeanKeysOfOurs) {
  for (const char* key :
       {"ctx", "keep_alive", "ngl", "np", "model", "ctk", "n_batch", "n_ubatch", "n_threads",
        "alias", "pooling_type", "keep_loaded", "cmd", "environment", "max_concurrency"}) {
    const std::string ours(model_key_named(key));
    EXPECT_TRUE(std::ranges::any_of(
        key_table(),
        [&](const KeySpec& spec) { return spec.scope == KeyScope::model && spec.path == ours; }))
        << key << " -> " << ours;
  }
  for (const char* key : {"port", "api_key", "log_level", "keep_alive", "max_loaded_models",
                          "max_vram", "gpu_memory_utilization", "load_timeout", "max_queue"}) {
    const std::string ours(global_key_named(key));
    EXPECT_TRUE(std::ranges::any_of(
        key_table(),
        [&](const KeySpec& spec) { return spec.scope == KeyScope::global && spec.path == ours; }))
        << key << " -> " << ours;
  }
}

std::string problems_of(const std::string& text) {
  ConfigInputs inputs;
  inputs.yaml = text;
  const auto config = parse_config(inputs);
  return config ? "" : config.error().text();
}

TEST(OtherNames, AreHintsForUnknownKeys) {
  const auto hint = [](const std::string& key) {
    return problems_of("models: { m: { gguf: /m.gguf, " + key + ": 1 } }\n");
  };
  EXPECT_THAT(hint("ctx"), HasSubstr("'ctx' in models.m; did you mean 'context'?"));
  EXPECT_THAT(hint("n_ctx"), HasSubstr("did you mean 'context'?"));
  EXPECT_THAT(hint("keep_alive"), HasSubstr("did you mean 'ttl'?"));
  EXPECT_THAT(hint("n-gpu-layers"), HasSubstr("did you mean 'gpu_layers'?"));
  EXPECT_THAT(hint("gpu-layers"), HasSubstr("did you mean 'gpu_layers'?"));
  EXPECT_THAT(hint("contxt"), HasSubstr("did you mean 'context'?"));
  EXPECT_THAT(problems_of("num_ctx: 8\nmodels: { m: { gguf: /m.gguf } }\n"),
              HasSubstr("did you mean 'models.ID.context'?"));
  EXPECT_THAT(problems_of("port: 8\nmodels: { m: { gguf: /m.gguf } }\n"),
              HasSubstr("did you mean 'listen'?"));
  EXPECT_THAT(problems_of("defaults: { n_ctx: 8 }\nmodels: { m: { gguf: /m.gguf } }\n"),
              HasSubstr("did you mean 'context'?"));
}

}  // namespace
}  // namespace tonnage
