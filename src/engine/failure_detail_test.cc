#include "engine/failure_detail.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

Bytes gib(double amount) {
  return Bytes(static_cast<std::int64_t>(amount * static_cast<double>(kGiB) + 0.5));
}

TEST(FailureDetail, OfWhatGgmlSays) {
  EXPECT_EQ(
      read_failure_detail("ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.50 MiB "
                          "on device 1: cudaMalloc failed: out of memory"),
      (FailureDetail{.needed = 4_GiB + 512_KiB, .device = 1}));
  EXPECT_EQ(read_failure_detail(
                "ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 4294967296"),
            (FailureDetail{.needed = 4_GiB, .device = 0}));
  EXPECT_EQ(
      read_failure_detail("alloc_tensor_range: failed to allocate CPU buffer of size 1048576"),
      (FailureDetail{.needed = 1_MiB}));
  EXPECT_EQ(read_failure_detail("ggml_vulkan: Device memory allocation of size 1073741824 failed."),
            (FailureDetail{.needed = 1_GiB}));
  EXPECT_EQ(
      read_failure_detail("output_reserve: failed to allocate output buffer of size 0.50 MiB"),
      (FailureDetail{.needed = 512_KiB}));
  EXPECT_EQ(read_failure_detail("error: failed to allocate buffer, size =  1024.00 MiB"),
            (FailureDetail{.needed = 1_GiB}));
  EXPECT_EQ(read_failure_detail(
                "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 77"),
            (FailureDetail{.needed = 77_B}));
  EXPECT_EQ(read_failure_detail("insufficient memory (attempted to allocate 512.00 MB)").needed,
            Bytes(512'000'000));
  EXPECT_EQ(read_failure_detail("  current device: 2, in function alloc at ggml-cuda.cu:99"),
            (FailureDetail{.device = 2}));
}

TEST(FailureDetail, OfWhatPythonProgramsSay) {
  EXPECT_EQ(
      read_failure_detail(
          "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 1 has "
          "a total capacity of 23.55 GiB of which 1.50 GiB is free. Process 4711 has 9.54 MiB "
          "memory in use."),
      (FailureDetail{.needed = 2_GiB, .available = gib(1.5), .device = 1}));
  EXPECT_EQ(
      read_failure_detail("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total "
                          "capacty of 7.79 GiB of which 8.00 MiB is free.")
          .available,
      8_MiB);
  EXPECT_EQ(read_failure_detail(
                "ValueError: Free memory on device cuda:0 (3.25/23.43 GiB) on startup is less than "
                "desired GPU memory utilization (0.96, 22.50 GiB)."),
            (FailureDetail{.needed = gib(22.5), .available = gib(3.25), .device = 0}));
  EXPECT_EQ(read_failure_detail("Free memory on device (3.25/23.43 GiB) on startup is less than "
                                "desired GPU memory utilization (0.9, 21.00 GiB).")
                .device,
            std::nullopt);
  EXPECT_EQ(read_failure_detail(
                "To serve at least one request with the model's max seq len (700160), (6.50 GiB KV "
                "cache is needed, which is larger than the available KV cache memory (5.25 GiB). "
                "Based on the available memory, the estimated maximum model length is 566784."),
            (FailureDetail{.needed = gib(6.5), .available = gib(5.25), .context = 566784}));
  EXPECT_EQ(
      read_failure_detail("Failed to allocate memory for requested buffer of size 2081488896"),
      (FailureDetail{.needed = Bytes(2081488896)}));
  EXPECT_EQ(read_failure_detail("Unable to allocate 1.50 GiB for an array with shape (9,)").needed,
            gib(1.5));
}

TEST(FailureDetail, OfAnswers) {
  EXPECT_EQ(read_failure_detail(
                R"({"error":{"code":400,"message":"request (15004 tokens) exceeds","type":)"
                R"("exceed_context_size_error","n_prompt_tokens":15004,"n_ctx":512}})"),
            (FailureDetail{.context = 512, .prompt_tokens = 15004}));
  EXPECT_EQ(read_failure_detail("{\"error\":\"model requires more system memory (5.5 GiB) than is "
                                "available (4.25 GiB)\"}"),
            (FailureDetail{.needed = gib(5.5), .available = gib(4.25)}));
}

TEST(FailureDetail, OfSeveralLinesTheLastAmountCounts) {
  const std::vector<std::string_view> lines{
      "allocating 1024.00 MiB on device 1: cudaMalloc failed: out of memory",
      "failed to allocate CUDA1 buffer of size 2147483648", "I bye"};
  EXPECT_EQ(read_failure_detail(lines), (FailureDetail{.needed = 2_GiB, .device = 1}));
  const std::vector<std::string_view> apart{"Device memory allocation of size 1024 failed.",
                                            "  current device: 3, in function alloc"};
  EXPECT_EQ(read_failure_detail(apart), (FailureDetail{.needed = 1_KiB, .device = 3}));
}

TEST(FailureDetail, InWords) {
  EXPECT_EQ(to_text(FailureDetail{}), "");
  EXPECT_EQ(to_text(FailureDetail{.needed = 4_GiB, .available = 1_GiB, .device = 0}),
            "4.00 GiB on device 0, 1.00 GiB free");
  EXPECT_EQ(to_text(FailureDetail{.context = 512, .prompt_tokens = 15004}),
            "15004 tokens in the prompt, context of 512 tokens");
}

TEST(FailureDetail, NumbersThatMakeNoSenseAreLeftOut) {
  for (const std::string_view line :
       {"Tried to allocate GiB", "Tried to allocate 99999999999999999999 GiB",
        "failed to allocate CUDA0 buffer of size -5", "allocating nan MiB on device 0",
        "allocating 1.00 MiB on device 99999999999", "Tried to allocate "}) {
    EXPECT_EQ(read_failure_detail(line).needed.value_or(Bytes{}).count >> 50, 0) << line;
    EXPECT_FALSE(read_failure_detail(line).device.value_or(0) > 1024) << line;
  }
}

RC_GTEST_PROP(FailureDetail, AnyTextIsRead, (const std::string& text)) {
  for (const std::string_view words :
       {"Tried to allocate ", "allocating ", "failed to allocate ", "Free memory on device ("}) {
    const FailureDetail detail = read_failure_detail(std::string(words) + text);
    RC_ASSERT(detail.needed.value_or(Bytes{}) >= Bytes{});
  }
}

}  // namespace
}  // namespace tonnage
