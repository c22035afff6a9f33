#include "engine/llama_flags.h"

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

}  // namespace
}  // namespace tonnage
