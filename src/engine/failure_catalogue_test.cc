// size: one real text per row of the catalogue
#include "engine/failure_catalogue.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/failure_class.h"

namespace tonnage {
namespace {

using enum FailureKind;
using Lines = std::vector<std::string_view>;

// What the row makes of these lines after exit status 1.
struct Sample {
  std::string_view pattern;
  FailureKind kind;
  Lines lines;
};

const std::vector<Sample> kSamples{
    // Overcome and harmless.
    {"retrying without pipeline parallelism",
     exited,
     {"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc "
      "failed: out of memory",
      "sched_reserve: compute buffer allocation failed, retrying without pipeline parallelism"}},
    {"evicting all other models and retrying",
     exited,
     {"level=WARN source=sched.go msg=\"llama-server load failed; evicting all other models and "
      "retrying once\" error=\"llama-server reported out-of-memory during startup\""}},
    {": model loaded",
     exited,
     {"ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
      "I srv  llama_server: model loaded"}},
    {"failed to fit params to free device memory",
     exited,
     {"W common_fit_params: failed to fit params to free device memory: failed to load model"}},
    {"failed to mlock",
     exited,
     {"W warning: failed to mlock 48050176-byte buffer (after previously locking 0 bytes): Cannot "
      "allocate memory"}},
    {"pinned memory",
     exited,
     {"D ggml_cuda_host_malloc: failed to allocate 512.00 MiB of pinned memory: out of memory"}},
    {"failed to allocate memory for prompt cache state",
     exited,
     {"E srv         alloc: failed to allocate memory for prompt cache state: std::bad_alloc"}},
    {"skipping reorder",
     exited,
     {"W reorder_qw: failed to allocate 1048576 bytes for reorder temp buffer, skipping reorder"}},
    {"failed to allocate graph, reserving",
     exited,
     {"D ggml_backend_sched_alloc_splits: failed to allocate graph, reserving "
      "(backend_ids_changed = 1)"}},
    // More memory would not help.
    {"requested buffer size exceeds device buffer size limit",
     bad_setup,
     {"ggml_vulkan: Device memory allocation of size 6442450944 failed.",
      "ggml_vulkan: Requested buffer size exceeds device buffer size limit: "
      "ErrorOutOfDeviceMemory"}},
    {"checkpoint..out of memory",
     exited,
     {"cuda-checkpoint: Could not checkpoint process ID 4711: \"out of memory\""}},
    {"error in memory profiling",
     exited,
     {"AssertionError: Error in memory profiling. Initial free memory 20.1 GiB, current free "
      "memory 22.3 GiB."}},
    // Memory of a device.
    {"cudamalloc failed",
     out_of_device_memory,
     {"ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4096.00 MiB on device 0: cudaMalloc "
      "failed: out of memory"}},
    {"hipmalloc failed", out_of_device_memory, {"hipMalloc failed: out of memory"}},
    {"cuda error: out of memory", out_of_device_memory, {"CUDA error: out of memory"}},
    {"rocm error: out of memory", out_of_device_memory, {"ROCm error: out of memory"}},
    {"musa error: out of memory", out_of_device_memory, {"MUSA error: out of memory"}},
    {"hip error: out of memory", out_of_device_memory, {"RuntimeError: HIP error: out of memory"}},
    {"cuda failure 2: out of memory",
     out_of_device_memory,
     {"CUDA failure 2: out of memory ; GPU=0 ; hostname=box ; expr=cudaMalloc((void**)&p, size);"}},
    {"cuda_error_out_of_memory",
     out_of_device_memory,
     {"cuMemCreate returned CUDA_ERROR_OUT_OF_MEMORY"}},
    {"cudaerrormemoryallocation",
     out_of_device_memory,
     {"numba.cuda.cudadrv.driver.CudaAPIError: [2] cudaErrorMemoryAllocation"}},
    {"hiperroroutofmemory", out_of_device_memory, {"hipMallocAsync: hipErrorOutOfMemory"}},
    {"cublas_status_alloc_failed",
     out_of_device_memory,
     {"RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"}},
    {"cuda out of memory",
     out_of_device_memory,
     {"RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."}},
    {"hip out of memory",
     out_of_device_memory,
     {"RuntimeError: HIP out of memory. Tried to allocate 2.00 GiB."}},
    {"xpu out of memory",
     out_of_device_memory,
     {"RuntimeError: XPU out of memory. Tried to allocate 2.00 GiB."}},
    {"mps backend out of memory",
     out_of_device_memory,
     {"RuntimeError: MPS backend out of memory (MPS allocated: 17.9 GB, max allowed: 18.1 GB)"}},
    {"torch.outofmemoryerror", out_of_device_memory, {"torch.OutOfMemoryError"}},
    {"torch.cuda.outofmemoryerror", out_of_device_memory, {"torch.cuda.OutOfMemoryError"}},
    {"allocation on device",
     out_of_device_memory,
     {"Allocation on device 0 would exceed allowed memory."}},
    {"got an oom, unloading all loaded models",
     out_of_device_memory,
     {"Got an OOM, unloading all loaded models."}},
    {"is less than desired gpu memory utilization",
     out_of_device_memory,
     {"ValueError: Free memory on device cuda:0 (3.25/23.43 GiB) on startup is less than desired "
      "GPU memory utilization (0.96, 22.49 GiB). Decrease GPU memory utilization or reduce GPU "
      "memory used by other processes."}},
    {"kv cache is needed, which is larger than",
     out_of_device_memory,
     {"ValueError: To serve at least one request with the model's max seq len (700160), (6.11 GiB "
      "KV cache is needed, which is larger than the available KV cache memory (5.17 GiB)."}},
    {"no available memory for the cache blocks",
     out_of_device_memory,
     {"ValueError: No available memory for the cache blocks."}},
    {"failed to allocate memory for requested buffer of size",
     out_of_device_memory,
     {"bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size "
      "2081488896"}},
    {"device memory allocation of size",
     out_of_device_memory,
     {"ggml_vulkan: Device memory allocation of size 1073741824 failed."}},
    {"erroroutofdevicememory",
     out_of_device_memory,
     {"ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory"}},
    {"vk_error_out_of_device_memory",
     out_of_device_memory,
     {"vkAllocateMemory: VK_ERROR_OUT_OF_DEVICE_MEMORY"}},
    {"no suitable memory type found",
     out_of_device_memory,
     {"terminate: No suitable memory type found"}},
    {"out of device memory",
     out_of_device_memory,
     {"clEnqueueNDRangeKernel: out of device memory"}},
    {"bytes of memory on device",
     out_of_device_memory,
     {"alloc_buffer: can't allocate 1073741824 Bytes of memory on device"}},
    {"opencl_buffer_type_alloc_buffer: failed to allocate",
     out_of_device_memory,
     {"ggml_backend_opencl_buffer_type_alloc_buffer: failed to allocate 512.00 MiB (err=-61)."}},
    {"failed to allocate buffer, size =",
     out_of_device_memory,
     {"ggml_metal_buffer_init: error: failed to allocate buffer, size =  1024.00 MiB"}},
    {"failed to allocate metal buffer",
     out_of_device_memory,
     {"alloc_buffer: failed to allocate Metal buffer of 1073741824 bytes (out of memory)"}},
    {"kiogpucommandbuffercallbackerroroutofmemory",
     out_of_device_memory,
     {"error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"}},
    {"failed to allocate * buffer of size",
     out_of_device_memory,
     {"ggml_gallocr_reserve_n_impl: failed to allocate CUDA0 buffer of size 4294967296"}},
    {"unable to allocate * buffer",
     out_of_device_memory,
     {"llama_model_load: error loading model: unable to allocate ROCm0 buffer"}},
    // Memory of the host.
    {"std::bad_alloc",
     out_of_memory,
     {"terminate called after throwing an instance of 'std::bad_alloc'"}},
    {"cannot allocate memory",
     out_of_memory,
     {"E llama_model_load: error loading model: mmap failed: Cannot allocate memory"}},
    {"can't allocate memory",
     out_of_memory,
     {"RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."}},
    {"failed to map segment from shared object",
     out_of_memory,
     {"llama-server: error while loading shared libraries: libggml-base.so.0: failed to map "
      "segment "
      "from shared object"}},
    {"erroroutofhostmemory",
     out_of_memory,
     {"ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfHostMemory"}},
    {"vk_error_out_of_host_memory", out_of_memory, {"vkCreateBuffer: VK_ERROR_OUT_OF_HOST_MEMORY"}},
    {"arraymemoryerror", out_of_memory, {"numpy._core._exceptions._ArrayMemoryError"}},
    {"bytes of memory on host",
     out_of_memory,
     {"operator(): can't allocate 1073741824 Bytes of memory on host"}},
    {"model requires more system memory",
     out_of_memory,
     {"model requires more system memory (5.6 GiB) than is available (4.1 GiB)"}},
    {"killed due to memory pressure",
     out_of_memory,
     {"systemd-oomd: user.slice was Killed due to memory pressure"}},
    {"compute status: -2",
     out_of_memory,
     {"E process_ubatch: failed to compute graph, compute status: -2"}},
    {"failed to reserve initial output buffer",
     out_of_memory,
     {"E llama_init_from_model: failed to initialize the context: failed to reserve initial output "
      "buffer"}},
    {"failed to reserve graph buffers",
     out_of_memory,
     {"E ggml_backend_sched_alloc_splits: failed to reserve graph buffers"}},
    {"failed to reserve memory",
     out_of_memory,
     {"ggml-alloc.c:258: graph allocation: failed to reserve memory"}},
    {"whisper_kv_cache_init() failed",
     out_of_memory,
     {"whisper_init_state: whisper_kv_cache_init() failed for self-attention cache"}},
    {"failed to init * allocator",
     out_of_memory,
     {"whisper_init_state: failed to init encoder allocator"}},
    {"failed to allocate",
     out_of_memory,
     {"E llama_init_from_model: failed to initialize the context: failed to allocate compute pp "
      "buffers"}},
    {"allocation failed", out_of_memory, {"mudnn: Allocation failed"}},
    {"not enough memory", out_of_memory, {"not enough memory: you tried to load 9 GB"}},
    {"insufficient memory",
     out_of_memory,
     {"E ggml_aligned_malloc: insufficient memory (attempted to allocate 512.00 MB)"}},
    {"out-of-memory", out_of_memory, {"llama-server reported out-of-memory during startup"}},
    {"out of memory",
     out_of_memory,
     {"Memory cgroup out of memory: Killed process 4711 (python3) total-vm:9999999kB"}},
    // Set-up.
    {"error while loading shared libraries",
     bad_setup,
     {"llama-server: error while loading shared libraries: libcudart.so.13: cannot open shared "
      "object file: No such file or directory"}},
    {"symbol lookup error",
     bad_setup,
     {"llama-server: symbol lookup error: libllama.so.0: undefined symbol: ggml_set_rows"}},
    {"not found (required by",
     bad_setup,
     {"llama-server: libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by "
      "llama-server)"}},
    {"error while handling argument",
     bad_setup,
     {"error while handling argument \"--ctx-size\": stoi"}},
    {"error while handling environment variable",
     bad_setup,
     {"error while handling environment variable \"LLAMA_ARG_CTX_SIZE\": stoi"}},
    {"error: invalid argument", bad_setup, {"error: invalid argument: --frob"}},
    {"error: unknown argument", bad_setup, {"error: unknown argument: --frob"}},
    {"error: unrecognized arguments",
     bad_setup,
     {"api_server.py: error: unrecognized arguments: --frob"}},
    {"couldn't bind http server socket",
     bad_setup,
     {"E srv         start: couldn't bind HTTP server socket, hostname: x.sock, port: 8080"}},
    {"couldn't start http listener",
     bad_setup,
     {"E srv         start: couldn't start HTTP listener on unix://x.sock"}},
    {"address already in use",
     bad_setup,
     {"[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already "
      "in use"}},
    {"thread creation failed",
     bad_setup,
     {"libgomp: Thread creation failed: Resource temporarily unavailable"}},
    {"what():  resource temporarily unavailable",
     bad_setup,
     {"terminate called after throwing an instance of 'std::system_error'",
      "  what():  Resource temporarily unavailable"}},
    {"no cpu backend found",
     bad_setup,
     {"E llama_model_load: error loading model: no CPU backend found"}},
    {"no backends are loaded",
     bad_setup,
     {"E llama_model_load_from_file_impl: no backends are loaded. hint: use ggml_backend_load() or "
      "ggml_backend_load_all() to load a backend before calling this function",
      "E srv    load_model: failed to load model, 'model.gguf'"}},
    {"modulenotfounderror", bad_setup, {"ModuleNotFoundError: No module named 'vllm'"}},
    // The file.
    {"unknown model architecture",
     bad_model,
     {"E llama_model_load: error loading model: unknown model architecture: 'frob'"}},
    {"unsupported model architecture",
     bad_model,
     {"E llama_model_load: error loading model: unsupported model architecture: 'frob'"}},
    {"are not supported for now",
     bad_model,
     {"ValueError: Model architectures ['FrobForCausalLM'] are not supported for now."}},
    {"does not recognize this architecture",
     bad_model,
     {"ValueError: The checkpoint you are trying to load has model type `frob` but Transformers "
      "does not recognize this architecture."}},
    {"unknown pre-tokenizer type",
     bad_model,
     {"E llama_model_load: error loading model: error loading model vocabulary: unknown "
      "pre-tokenizer type: 'frob'"}},
    {"has invalid ggml type",
     bad_model,
     {"E gguf_init_from_reader: tensor 'a' has invalid ggml type 99. should be in [0, 41)"}},
    {"software only supports up to version",
     bad_model,
     {"E gguf_init_from_reader: this GGUF file is version 9 but this software only supports up to "
      "version 3"}},
    {"failed to open gguf file",
     bad_model,
     {"E gguf_init_from_file: failed to open GGUF file 'x.gguf' (No such file or directory)"}},
    {"invalid magic characters",
     bad_model,
     {"E gguf_init_from_reader: invalid magic characters: 'this', expected 'GGUF'"}},
    {"bad magic", bad_model, {"whisper_model_load: invalid model data (bad magic)"}},
    {"is not within the file bounds",
     bad_model,
     {"E llama_model_load: error loading model: tensor 'blk.1.ffn_up.weight' data is not within "
      "the "
      "file bounds, model is corrupted or incomplete"}},
    {"has invalid data",
     bad_model,
     {"E llama_model_load: error loading model: tensor 'blk.1.ffn_up.weight' has invalid data"}},
    {"safetensorerror",
     bad_model,
     {"safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"}},
    {"clip cannot be used as main model",
     bad_model,
     {"E llama_model_load: error loading model: CLIP cannot be used as main model, use it with "
      "--mmproj instead"}},
    {"gguf_init_from_", bad_model, {"E gguf_init_from_reader: failed to read key-value pairs"}},
    {"error loading model",
     bad_model,
     {"ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
      "E llama_model_load: error loading model: missing tensor 'output.weight'"}},
    // The GPU and its driver.
    {"no kernel image is available",
     bad_setup,
     {"CUDA error: no kernel image is available for execution on the device"}},
    {"hiperrornobinaryforgpu",
     bad_setup,
     {"\"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!\""}},
    {"unsupported toolchain",
     bad_setup,
     {"CUDA error: the provided PTX was compiled with an unsupported toolchain."}},
    {"cuda driver version is insufficient",
     bad_setup,
     {"ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA "
      "runtime version"}},
    {"driver/library version mismatch",
     bad_setup,
     {"Failed to initialize NVML: Driver/library version mismatch"}},
    {"no cuda-capable device is detected",
     bad_setup,
     {"RuntimeError: CUDA error: no CUDA-capable device is detected"}},
    {"errordevicelost",
     crashed,
     {"terminate called after throwing an instance of 'vk::DeviceLostError'",
      "  what():  vk::Queue::submit: ErrorDeviceLost"}},
    {"vk_error_device_lost", crashed, {"vkQueueSubmit: VK_ERROR_DEVICE_LOST"}},
    {"fallen off the bus",
     crashed,
     {"NVRM: GPU at PCI:0000:01:00: GPU-0: GPU has fallen off the bus."}},
    {"nvrm: xid", crashed, {"NVRM: Xid (PCI:0000:01:00): 31, pid=4711, name=llama-server"}},
    {"uncorrectable ecc error", crashed, {"uncorrectable ECC error encountered"}},
    {"cuda error", crashed, {"CUDA error: an illegal memory access was encountered"}},
    {"rocm error", crashed, {"ROCm error: unspecified launch failure"}},
    {"musa error", crashed, {"MUSA error: unspecified launch failure"}},
    {"hip error", crashed, {"RuntimeError: HIP error: the operation cannot be performed"}},
    // What follows from something else.
    {"failed to load model", bad_model, {"E srv    load_model: failed to load model, 'x.gguf'"}},
    {"exiting due to model loading error",
     bad_model,
     {"E srv  llama_server: exiting due to model loading error"}},
    {"failed to initialize whisper context",
     bad_model,
     {"error: failed to initialize whisper context"}},
    {"engine core initialization failed",
     exited,
     {"RuntimeError: Engine core initialization failed. See root cause above."}},
};

// The rows that mean something in an answer only: the body of a 500 or 503.
struct AnswerSample {
  std::string_view pattern;
  int status;
  AnswerVerdict verdict;
  std::string_view body;
};
const std::vector<AnswerSample> kAnswers{
    {"compute error.", 500, AnswerVerdict::memory,
     R"({"error":{"code":500,"message":"Compute error.","type":"server_error"}})"},
    {"context size has been exceeded", 500, AnswerVerdict::client_error,
     R"({"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}})"},
    {"\"loading model\"", 503, AnswerVerdict::loading,
     R"({"error":{"message":"Loading model","type":"unavailable_error","code":503}})"},
    {"maximum pending requests exceeded", 500, AnswerVerdict::busy,
     R"({"error":"server busy, please try again.  maximum pending requests exceeded"})"},
    {"failed to read connection", 500, AnswerVerdict::server_gone,
     R"({"error":{"code":500,"message":"http client error: Failed to read connection"}})"},
    {"process has terminated", 500, AnswerVerdict::server_gone,
     R"({"error":"llama runner process has terminated: exit status 2"})"},
    {"process no longer running", 500, AnswerVerdict::server_gone,
     R"({"error":"llama-server process no longer running"})"},
    {"enginecore encountered an issue", 500, AnswerVerdict::server_gone,
     R"({"error":{"message":"EngineCore encountered an issue. See stack trace (above)."}})"},
};

std::vector<FailureRow> all_rows() {
  return {failure_catalogue().begin(), failure_catalogue().end()};
}

std::vector<FailureRow> rows_without(std::string_view pattern) {
  auto rows = all_rows();
  std::erase_if(rows, [&](const FailureRow& row) { return row.pattern == pattern; });
  return rows;
}

TEST(FailureCatalogue, EachRowIsShownByOneSample) {
  std::vector<std::string_view> rows, shown;
  for (const FailureRow& row : failure_catalogue())
    rows.push_back(row.pattern);
  for (const Sample& sample : kSamples)
    shown.push_back(sample.pattern);
  for (const AnswerSample& sample : kAnswers)
    shown.push_back(sample.pattern);
  EXPECT_EQ(rows, shown);
}

TEST(FailureCatalogue, EachRowOfOutputDecidesByItself) {
  for (const Sample& sample : kSamples) {
    const Failure with = classify_exit({.code = 1}, false, sample.lines);
    EXPECT_EQ(with.kind, sample.kind) << sample.pattern << ": " << with.text;
    // Without its row the same words mean something else, or say less.
    const Failure without =
        classify_exit({.code = 1}, false, sample.lines, rows_without(sample.pattern));
    EXPECT_NE(with, without) << sample.pattern;
  }
}

TEST(FailureCatalogue, EachRowOfAnswersDecidesByItself) {
  for (const AnswerSample& sample : kAnswers) {
    EXPECT_EQ(classify_answer(sample.status, sample.body).verdict, sample.verdict) << sample.body;
    EXPECT_NE(classify_answer(sample.status, sample.body, {}, rows_without(sample.pattern)).verdict,
              sample.verdict)
        << sample.pattern;
  }
}

TEST(FailureCatalogue, RowsOfAnswersMeanNothingInOutput) {
  for (const AnswerSample& sample : kAnswers) {
    const Lines lines{sample.body};
    EXPECT_EQ(classify_exit({.code = 1}, false, lines).kind, exited) << sample.body;
  }
}

TEST(FailureCatalogue, RowsAreWellFormed) {
  for (const FailureRow& row : failure_catalogue()) {
    EXPECT_TRUE(std::ranges::none_of(row.pattern, [](char c) { return c >= 'A' && c <= 'Z'; }))
        << row.pattern << ": lines are lowered before they are compared";
    EXPECT_FALSE(row.programs.empty()) << row.pattern;
    EXPECT_FALSE(row.source.empty()) << row.pattern;
    EXPECT_LE(std::ranges::count(row.pattern, '*'), 1) << row.pattern;
    EXPECT_FALSE(row.remedy.ends_with('.')) << row.pattern << ": it is shown in brackets";
  }
}

TEST(FailureCatalogue, BuffersAreOfTheHostByTheirName) {
  for (const std::string_view name :
       {"CPU", "CPU_REPACK", "CPU_Mapped", "CUDA_Host", "Vulkan_Host", "BLAS", "AMX"}) {
    const std::string line =
        "alloc_tensor_range: failed to allocate " + std::string(name) + " buffer of size 4096";
    const Lines lines{line};
    EXPECT_EQ(classify_exit({.code = 1}, false, lines).kind, out_of_memory) << name;
  }
  for (const std::string_view name : {"CUDA1", "CUDA0_Split", "ROCm0", "Vulkan0", "SYCL0", "Metal",
                                      "RPC0[10.0.0.2:50052]", "CANN0", "OpenCL"}) {
    const std::string line = "unable to allocate " + std::string(name) + " buffer";
    const Lines lines{line};
    EXPECT_EQ(classify_exit({.code = 1}, false, lines).kind, out_of_device_memory) << name;
  }
}

}  // namespace
}  // namespace tonnage
