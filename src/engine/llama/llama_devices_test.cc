#include "engine/llama/llama_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(LlamaDevices, AreReadFromAmongLogLines) {
  const auto devices = parse_llama_devices(
      "ggml_cuda_init: found 2 CUDA devices:\n"
      "Available devices:\n"
      "  CUDA0: NVIDIA GeForce RTX 4090 (24080 MiB, 23000 MiB free)\n"
      "  Vulkan0: llvmpipe: (LLVM 15) (2048 MiB, 2048 MiB free)\n"
      "  BLAS: OpenBLAS (0 MiB, 0 MiB free)\n"
      "srv  stop: done\n");
  ASSERT_TRUE(devices);
  EXPECT_THAT(*devices, ElementsAre(LlamaDevice{"CUDA0", "NVIDIA GeForce RTX 4090"},
                                    LlamaDevice{"Vulkan0", "llvmpipe: (LLVM 15)"}));
}

TEST(LlamaDevices, ABuildWithoutGpusSaysNone) {
  EXPECT_THAT(*parse_llama_devices("Available devices:\n  (none)\n"), IsEmpty());
  EXPECT_THAT(*parse_llama_devices("Available devices:\n"), IsEmpty());
}

TEST(LlamaDevices, ABuildThatDoesNotKnowTheFlagIsNoBuildWithoutGpus) {
  EXPECT_FALSE(parse_llama_devices("error: invalid argument: --list-devices\n"));
  EXPECT_FALSE(parse_llama_devices(""));
}

}  // namespace
}  // namespace tonnage
