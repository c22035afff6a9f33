#include "engine/llama/llama_flags.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(GovernedFlag, RefusesWhatTonnageDecidesInEverySpelling) {
  for (const char* arg : {"--host",
                          "--port",
                          "--model",
                          "-m",
                          "--ctx-size",
                          "-c",
                          "--parallel",
                          "-np",
                          "--sleep-idle-seconds",
                          "--cache-ram",
                          "-cram",
                          "--fit",
                          "-fit",
                          "--alias",
                          "-a",
                          "-ngl",
                          "--gpu-layers",
                          "--n-gpu-layers",
                          "-ctk",
                          "--cache-type-v",
                          "--batch-size",
                          "-ub",
                          "--ctx-checkpoints",
                          "--swa-checkpoints",
                          "--load-mode",
                          "--no-mmap",
                          "--mlock",
                          "-hf",
                          "--embeddings",
                          "--reranking",
                          "--slot-save-path",
                          "--version",
                          "--models-dir",
                          "--log-disable",
                          "--no-slots",
                          "--ctx_size",
                          "--spec-draft-ngl",
                          "--ctx-size=9"}) {
    EXPECT_TRUE(governed_flag(arg)) << arg;
  }
}

TEST(GovernedFlag, SaysWhatToUseInstead) {
  EXPECT_NE(governed_flag("-c")->find("`context`"), std::string::npos);
  EXPECT_NE(governed_flag("--parallel")->find("`slots`"), std::string::npos);
}

TEST(GovernedFlag, LeavesTheRestToTheUser) {
  for (const char* arg :
       {"--flash-attn", "on", "--threads", "8", "--temp", "--jinja", "--pooling", "--mmproj",
        "--chat-template", "--no-repack", "-1", "", "-", "--", "c", "model", "--context-shift"}) {
    EXPECT_FALSE(governed_flag(arg)) << arg;
  }
}

std::vector<std::string> files_of(const std::vector<std::string>& args) {
  std::vector<std::string> out;
  for (const NamedFile& file : read_llama_args(args).files)
    out.push_back(std::string(to_text(file.role)) + " " + file.path);
  return out;
}

std::string problem_of(const std::vector<std::string>& args) {
  const auto problems = read_llama_args(args).problems;
  return problems.empty() ? "" : problems.front();
}

using Words = std::vector<std::string>;

TEST(LlamaArgs, FindsTheFilesInEverySpellingOfTheEngine) {
  EXPECT_EQ(files_of({"--mmproj", "p", "-md", "d"}), (Words{"projector p", "draft d"}));
  EXPECT_EQ(files_of({"-mm", "p"}), Words{"projector p"});
  EXPECT_EQ(files_of({"--model_draft", "d"}), Words{"draft d"});
  EXPECT_EQ(files_of({"--spec-draft-model", "d"}), Words{"draft d"});
  EXPECT_EQ(files_of({"--lora", "a,\"b,c\"", "--lora", "d"}),
            (Words{"adapter a", "adapter b,c", "adapter d"}));
  EXPECT_EQ(files_of({"--lora-scaled", "a:0.5,b:2"}), (Words{"adapter a", "adapter b"}));
  EXPECT_EQ(files_of({"--control-vector", "v"}), Words{"control vector v"});
  EXPECT_EQ(files_of({"--control-vector-scaled", "v:0.1"}), Words{"control vector v"});
  EXPECT_EQ(files_of({"--chat-template-file", "t"}), Words{"file t"});
  EXPECT_EQ(files_of({"--temp", "0", "--jinja"}), Words{});
}

TEST(LlamaArgs, SaysWhatCannotBePassedAndWhy) {
  EXPECT_EQ(
      problem_of({"--mmproj=p"}),
      "'--mmproj=p' cannot be passed: llama-server takes the value as an argument of its own; "
      "write '--mmproj', 'p'");
  EXPECT_EQ(problem_of({"--lora"}), "'--lora' has no value");
  EXPECT_EQ(problem_of({"--lora-scaled", "a"}), "'--lora-scaled' takes FILE:SCALE, not 'a'");
  EXPECT_EQ(problem_of({"--lora", "a,,b"}), "'--lora' names no file");
  EXPECT_NE(problem_of({"--host", "x"}).find("'--host' cannot be passed"), std::string::npos);
  EXPECT_EQ(problem_of({"--lora", "--host"}), "") << "a value is no flag";
}

TEST(LlamaArgs, KnowsWhatADraftProposes) {
  EXPECT_EQ(read_llama_args(Words{}).tokens_proposed, 0);
  EXPECT_EQ(read_llama_args(Words{"-md", "d"}).tokens_proposed, 3);
  EXPECT_EQ(read_llama_args(Words{"-md", "d", "--spec-draft-n-max", "12"}).tokens_proposed, 12);
  EXPECT_EQ(read_llama_args(Words{"--spec-type", "ngram-mod"}).tokens_proposed, 64);
}

TEST(LlamaArgs, ReadsWhatAnOverrideSaysOfTheHeader) {
  const auto args = read_llama_args(
      Words{"--override-kv", "llama.context_length=int:8192,x=bool:true", "--rope-scale", "4"});
  EXPECT_EQ(args.overrides.at("llama.context_length"), 8192);
  EXPECT_TRUE(args.scaled_positions);
  EXPECT_EQ(args.shared, (Words{"--override-kv", "llama.context_length=int:8192,x=bool:true",
                                "--rope-scale", "4"}));
}

TEST(GovernedVariable, FlagsAreNotSetPastTheArgs) {
  EXPECT_TRUE(governed_variable("LLAMA_ARG_CTX_SIZE"));
  EXPECT_FALSE(governed_variable("HSA_OVERRIDE_GFX_VERSION"));
}

}  // namespace
}  // namespace tonnage
