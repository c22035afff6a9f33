#include "engine/failure_class.h"

#include <signal.h>

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace vramd {
namespace {

using enum FailureKind;

// One real line per row of the table, in its order.
struct Sample {
  std::string_view pattern;
  std::string_view line;
};
const std::vector<Sample> kSamples{
    {"error while loading shared libraries",
     "llama-server: error while loading shared libraries: libcudart.so.13: cannot open shared "
     "object file: No such file or directory"},
    {"error while handling argument",
     "error while handling argument \"--ctx-size\": stoi: invalid value"},
    {"error: invalid argument", "error: invalid argument: --frob"},
    {"error: unknown argument", "error: unknown argument: --frob"},
    {"couldn't bind http server socket",
     "0.00.005.546 E srv         start: couldn't bind HTTP server socket, hostname: /run/x.sock, "
     "port: 8080"},
    {"couldn't start http listener", "E srv start: couldn't start HTTP listener on unix:///x.sock"},
    {"no kernel image is available",
     "CUDA error: no kernel image is available for execution on the device"},
    {"cuda driver version is insufficient",
     "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA "
     "runtime version"},
    {"driver/library version mismatch", "NVML: Driver/library version mismatch"},
    {"cudamalloc failed: out of memory",
     "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc "
     "failed: out of memory"},
    {"cuda error: out of memory", "CUDA error: out of memory"},
    {"rocm error: out of memory", "ROCm error: out of memory"},
    {"musa error: out of memory", "MUSA error: out of memory"},
    {"failed to allocate buffer", "llama_kv_cache: failed to allocate buffer for kv cache"},
    {"failed to allocate compute", "graph_reserve: failed to allocate compute pp buffers"},
    {"failed to allocate output buffer",
     "output_reserve: failed to allocate output buffer of size 0.58 MiB"},
    {"failed to allocate memory", "GGML status: error (failed to allocate memory)"},
    {"failed to reserve initial output buffer", "failed to reserve initial output buffer"},
    {"unable to allocate",
     "E llama_model_load: error loading model: unable to allocate CPU buffer"},
    {"erroroutofdevicememory", "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory"},
    {"erroroutofhostmemory", "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfHostMemory"},
    {"device memory allocation of size",
     "ggml_vulkan: Device memory allocation of size 1073741824 failed."},
    {"compute status: -2", "E process_ubatch: failed to compute graph, compute status: -2"},
    {"std::bad_alloc", "terminate called after throwing an instance of 'std::bad_alloc'"},
    {"cannot allocate memory", "mmap failed: Cannot allocate memory"},
    {"out of memory", "torch.OutOfMemoryError: HIP out of memory."},
    {"unknown model architecture",
     "E llama_model_load: error loading model: unknown model architecture: 'frob'"},
    {"failed to open gguf file",
     "E gguf_init_from_file: failed to open GGUF file '/x.gguf' (No such file or directory)"},
    {"gguf_init_from_file", "E gguf_init_from_file: failed to read magic"},
    {"gguf_init_from_reader", "E gguf_init_from_reader: failed to read key-value pairs"},
    {"invalid magic", "E gguf: invalid magic characters: 'garb', expected 'GGUF'"},
    {"is not within the file bounds",
     "E llama_model_load: error loading model: tensor 'blk.1.ffn_up.weight' data is not within the "
     "file bounds, model is corrupted or incomplete"},
    {"error loading model",
     "E llama_model_load: error loading model: missing tensor 'output.weight'"},
    {"failed to load model", "E srv    load_model: failed to load model, '/x.gguf'"},
    {"exiting due to model loading error",
     "E srv  llama_server: exiting due to model loading error"},
};

Failure classify(ExitStatus status, const std::vector<std::string_view>& lines,
                 bool killed_by_kernel = false) {
  return classify_exit(status, killed_by_kernel, lines);
}

TEST(FailureClass, EachRowHasASampleThatItRecognises) {
  const auto rows = failure_patterns();
  ASSERT_EQ(rows.size(), kSamples.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].text, kSamples[i].pattern);
    const auto failure = classify({.code = 1}, {"I all is well", kSamples[i].line, "I bye"});
    EXPECT_EQ(failure.kind, rows[i].kind) << kSamples[i].line;
    EXPECT_EQ(failure.text, "exit status 1: " + std::string(kSamples[i].line));
  }
}

TEST(FailureClass, RowsAreLowerCaseBecauseLinesAreLowered) {
  for (const auto& row : failure_patterns()) {
    EXPECT_TRUE(std::ranges::none_of(row.text, [](char c) { return c >= 'A' && c <= 'Z'; }))
        << row.text;
  }
}

TEST(FailureClass, MemoryOutweighsTheLoadFailureThatItCauses) {
  const auto failure = classify(
      {.code = 1}, {"E ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 99: "
                    "cudaMalloc failed: out of memory",
                    "E llama_model_load: error loading model: x",
                    "E srv  llama_server: exiting due to model loading error"});
  EXPECT_EQ(failure.kind, out_of_memory);
}

TEST(FailureClass, OfALoadFailureTheMostTellingLineIsShown) {
  const auto failure = classify(
      {.code = 1}, {"E llama_model_load: error loading model: unknown model architecture: 'x'",
                    "E srv    load_model: failed to load model, '/x.gguf'",
                    "E srv  llama_server: exiting due to model loading error"});
  EXPECT_NE(failure.text.find("unknown model architecture: 'x'"), std::string::npos);
}

TEST(FailureClass, AKillIsMemoryOnlyWithTheKernelsEvidence) {
  EXPECT_EQ(classify({.signal = SIGKILL}, {}, true).kind, out_of_memory);
  const auto killed = classify({.signal = SIGKILL}, {"E failed to load model"}, false);
  EXPECT_EQ(killed.kind, crashed);
  EXPECT_EQ(killed.text, "killed by signal 9 (SIGKILL)");
}

TEST(FailureClass, ASignalNamesItself) {
  const auto failure = classify({.signal = SIGSEGV}, {"I slot launch", "", "  "});
  EXPECT_EQ(failure.kind, crashed);
  EXPECT_EQ(failure.text, "killed by signal 11 (SIGSEGV): I slot launch");
}

TEST(FailureClass, AnAbortWithDeviceMemoryWordsIsMemory) {
  const auto failure = classify(
      {.signal = SIGABRT}, {"CUDA error: out of memory", "  current device: 0, in function alloc"});
  EXPECT_EQ(failure.kind, out_of_memory);
  EXPECT_EQ(failure.text, "killed by signal 6 (SIGABRT): CUDA error: out of memory");
}

TEST(FailureClass, WordsThatOnlySoundLikeAFailureAreIgnored) {
  for (const std::string_view line :
       {"W graph_reserve: compute buffer allocation failed, retrying without pipeline parallelism",
        "W llama_params_fit: failed to fit params to free device memory: n_gpu_layers already set",
        "warning: failed to mlock 4096-byte buffer (after previously locking 0 bytes): Cannot "
        "allocate memory",
        "D ggml_cuda_host_malloc: failed to allocate 512.00 MiB of pinned memory: out of memory"}) {
    EXPECT_EQ(classify({.code = 1}, {line}).kind, exited) << line;
  }
}

TEST(FailureClass, WithoutWordsTheStatusIsAllThereIs) {
  EXPECT_EQ(classify({.code = 2}, {}).text, "exit status 2");
  EXPECT_EQ(classify({.code = 0}, {}).kind, exited);
}

}  // namespace
}  // namespace vramd
