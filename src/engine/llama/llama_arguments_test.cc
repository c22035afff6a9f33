#include "engine/llama/llama_arguments.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::Not;

std::string value_of(const std::vector<std::string>& argv, const std::string& flag) {
  const auto found = std::ranges::find(argv, flag);
  return found == argv.end() || found + 1 == argv.end() ? "(missing)" : *(found + 1);
}

LlamaModel chat_model() {
  return {.id = ModelId{2}, .name = "chat", .gguf = "/m/a.gguf"};
}

TEST(LlamaArguments, TheContextOfASlotIsWholeStepsWithinTheTrainedOne) {
  EXPECT_EQ(enforced_context(3000, {}), 3072);
  EXPECT_EQ(enforced_context(3072, 8192), 3072);
  EXPECT_EQ(enforced_context(1, {}), 256);
  EXPECT_EQ(enforced_context(8192, 1024), 1024);
  EXPECT_EQ(enforced_context(8192, 1000), 1000) << "the engine cuts at what was trained";
  EXPECT_EQ(enforced_context(990, 1000), 1000);
  EXPECT_EQ(enforced_context(4096, 0), 4096);
  EXPECT_EQ(context_of_all_slots({.context = 1000, .slots = 3}), 3072);
}

TEST(LlamaArguments, ADryRunAsksForTheWholeContextOfAllSlots) {
  EXPECT_THAT(llama_dry_run_arguments(chat_model(), {.context = 2048, .slots = 4}, {}),
              ElementsAre("--model", "/m/a.gguf", "--ctx-size", "8192", "--parallel", "4",
                          "--batch-size", "512", "--ubatch-size", "512", "--cache-type-k", "f16",
                          "--cache-type-v", "f16", "--device", "none", "--gpu-layers", "0", "--fit",
                          "off", "--fit-print", "on", "--offline"));
}

// What one of them is told of memory, the other is.
TEST(LlamaArguments, ServerAndDryRunAgree) {
  LlamaModel model = chat_model();
  model.args = {
      "--temp", "0",   "--swa-full", "-ot",         "exps=CPU",    "-nkvo", "--rope_scaling",
      "yarn",   "-md", "/m/d.gguf",  "--no-repack", "--n-cpu-moe", "7",     "-ctkd",
      "q8_0"};
  const Placement placement{.gpu_layers = 20, .context = 3000, .slots = 2, .kv = KvType::q8_0};
  const std::vector<std::string> ids = {"GPU-a"};
  const std::vector<Bytes> shares = {24_GiB};
  const VisibleGpus gpus = visible_gpus(GpuChoice::by_uuid, ids, shares);
  const auto server = llama_server_arguments(model, placement, gpus, "/run/s.sock");
  const auto dry_run = llama_dry_run_arguments(model, placement, gpus);
  for (const char* flag : {"--ctx-size", "--parallel", "--batch-size", "--ubatch-size",
                           "--cache-type-k", "--cache-type-v", "--flash-attn", "--gpu-layers"})
    EXPECT_EQ(value_of(server, flag), value_of(dry_run, flag)) << flag;
  EXPECT_EQ(value_of(server, "--gpu-layers"), "20");
  EXPECT_THAT(dry_run, IsSupersetOf({"--swa-full", "-ot", "exps=CPU", "-nkvo", "--rope-scaling",
                                     "yarn", "--no-repack", "--n-cpu-moe", "7"}));
  EXPECT_THAT(dry_run, Not(Contains("--temp")));
  EXPECT_THAT(dry_run, Not(Contains("-md")));
  EXPECT_EQ(value_of(server, "--spec-draft-ngl"), "999") << "the draft goes where its model is";
  const auto draft = llama_draft_dry_run_arguments(model, placement, gpus);
  EXPECT_EQ(value_of(draft, "--model"), "/m/d.gguf");
  EXPECT_EQ(value_of(draft, "--ctx-size"), "6144");
  EXPECT_EQ(value_of(draft, "--cache-type-k"), "q8_0");
  EXPECT_EQ(value_of(draft, "--gpu-layers"), "999");
  EXPECT_THAT(draft, Contains("--swa-full"));
  EXPECT_THAT(draft, Not(Contains("--n-cpu-moe")));
}

TEST(LlamaArguments, FilesOfKeysReachTheServer) {
  LlamaModel model = chat_model();
  model.draft = "/m/d.gguf";
  model.projector = "/m/p.gguf";
  model.adapters = {"/m/l,1.gguf", "/m/l2.gguf"};
  model.control_vectors = {"/m/v.gguf"};
  const auto argv = llama_server_arguments(model, {.context = 512}, {}, "/run/s.sock");
  EXPECT_EQ(value_of(argv, "--model-draft"), "/m/d.gguf");
  EXPECT_EQ(value_of(argv, "--spec-type"), "draft-simple");
  EXPECT_EQ(value_of(argv, "--mmproj"), "/m/p.gguf");
  EXPECT_EQ(value_of(argv, "--lora"), "\"/m/l,1.gguf\",/m/l2.gguf");
  EXPECT_EQ(value_of(argv, "--control-vector"), "/m/v.gguf");
  const auto files = llama_files(model);
  ASSERT_EQ(files.size(), 6U);
  EXPECT_EQ(files[3], (NamedFile{FileRole::adapter, "/m/l,1.gguf", "lora"}));
}

TEST(LlamaArguments, AnEncodersBatchIsItsContext) {
  LlamaModel model = chat_model();
  model.type = ModelType::embedding;
  const auto argv = llama_dry_run_arguments(model, {.context = 512, .slots = 2}, {});
  EXPECT_EQ(value_of(argv, "--ubatch-size"), "512");
  EXPECT_EQ(value_of(argv, "--batch-size"), "512");
}

}  // namespace
}  // namespace tonnage
