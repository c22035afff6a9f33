#include "engine/failure_catalogue.h"

#include <array>

namespace tonnage {
namespace {

using enum FailureMeaning;

// What more than one row advises.
constexpr std::string_view kUpdateDriver =
    "install a newer GPU driver, or an engine built for an older CUDA";
constexpr std::string_view kOtherBuild =
    "the engine was not built for this GPU; install a build for it";
constexpr std::string_view kNewerEngine = "the engine may be too old for this model";
constexpr std::string_view kBrokenFile = "fetch the file again";
constexpr std::string_view kLookAtGpu = "the kernel's log (dmesg) says more about the GPU";
constexpr std::string_view kThreadLimit =
    "a limit on threads, processes or address space of this user or service was met";
constexpr std::string_view kNoBackend = "libggml-cpu is missing beside the engine; install it anew";
constexpr std::string_view kCauseAbove = "the cause is further up in the server's log";

constexpr auto kRows = std::to_array<FailureRow>({
    // --- Lines that say "failed" and are followed by another attempt -----------------------------
    {overcome, "retrying without pipeline parallelism", "llama.cpp", "llama-context.cpp", ""},
    {overcome, "evicting all other models and retrying", "Ollama", "server/sched.go", ""},
    {overcome, ": model loaded", "llama-server", "server.cpp", ""},
    {harmless, "failed to fit params to free device memory", "llama.cpp", "common/fit.cpp", ""},
    {harmless, "failed to mlock", "llama.cpp, whisper.cpp", "llama-mmap.cpp", ""},
    {harmless, "pinned memory", "ggml CUDA, HIP, Vulkan, SYCL, CANN", "ggml-cuda.cu", ""},
    {harmless, "failed to allocate memory for prompt cache state", "llama-server",
     "server-task.cpp", ""},
    {harmless, "skipping reorder", "ggml SYCL", "ggml-sycl.cpp", ""},
    {harmless, "failed to allocate graph, reserving", "ggml", "ggml-backend.cpp", ""},

    // --- Words of memory that more memory would not help -----------------------------------------
    {bad_setup, "requested buffer size exceeds device buffer size limit", "ggml Vulkan",
     "ggml-vulkan-buffers.cpp",
     "the driver gives no single buffer of this size: less context, a smaller micro-batch or fewer "
     "layers on the GPU"},
    {exited, "checkpoint..out of memory", "CUDA checkpoint", "cuda-checkpoint",
     "a checkpoint of a process on a MIG device says this; no memory is short"},
    {exited, "error in memory profiling", "vLLM", "gpu_worker.py",
     "another program gave GPU memory back or took some while this one measured; one start at a "
     "time"},

    // --- Memory of a device ----------------------------------------------------------------------
    {device_memory, "cudamalloc failed", "ggml CUDA, HIP, MUSA; Ollama", "ggml-cuda.cu", ""},
    {device_memory, "hipmalloc failed", "Ollama", "llm/status.go", ""},
    {device_memory, "cuda error: out of memory", "ggml CUDA, PyTorch", "ggml-cuda.cu", ""},
    {device_memory, "rocm error: out of memory", "ggml HIP", "ggml-cuda.cu", ""},
    {device_memory, "musa error: out of memory", "ggml MUSA", "ggml-cuda.cu", ""},
    {device_memory, "hip error: out of memory", "PyTorch", "HIPException.h", ""},
    {device_memory, "cuda failure 2: out of memory", "onnxruntime", "cuda_call.cc", ""},
    {device_memory, "cuda_error_out_of_memory", "CUDA driver", "cuda.h", ""},
    {device_memory, "cudaerrormemoryallocation", "CUDA runtime", "driver_types.h", ""},
    {device_memory, "hiperroroutofmemory", "HIP runtime", "hip_runtime_api.h", ""},
    {device_memory, "cublas_status_alloc_failed", "PyTorch, ggml CUDA", "cublas_api.h", ""},
    {device_memory, "cuda out of memory", "PyTorch", "CUDACachingAllocator.cpp", ""},
    {device_memory, "hip out of memory", "PyTorch", "CUDACachingAllocator.cpp", ""},
    {device_memory, "xpu out of memory", "PyTorch", "XPUCachingAllocator.cpp", ""},
    {device_memory, "mps backend out of memory", "PyTorch", "MPSAllocator.mm", ""},
    {device_memory, "torch.outofmemoryerror", "PyTorch", "torch/__init__.py", ""},
    {device_memory, "torch.cuda.outofmemoryerror", "PyTorch before 2.5", "torch/cuda", ""},
    {device_memory, "allocation on device", "PyTorch, ComfyUI", "model_management.py", ""},
    {device_memory, "got an oom, unloading all loaded models", "ComfyUI", "execution.py", ""},
    {device_memory, "is less than desired gpu memory utilization", "vLLM", "gpu_worker.py",
     "lower --gpu-memory-utilization"},
    {device_memory, "kv cache is needed, which is larger than", "vLLM", "kv_cache_utils.py",
     "lower --max-model-len"},
    {device_memory, "no available memory for the cache blocks", "vLLM", "kv_cache_utils.py",
     "raise --gpu-memory-utilization, or give the model more memory"},
    {device_memory, "failed to allocate memory for requested buffer of size", "onnxruntime",
     "bfc_arena.cc", ""},
    {device_memory, "device memory allocation of size", "ggml Vulkan", "ggml-vulkan-buffers.cpp",
     ""},
    {device_memory, "erroroutofdevicememory", "ggml Vulkan", "vulkan.hpp", ""},
    {device_memory, "vk_error_out_of_device_memory", "Vulkan programs", "vulkan_core.h", ""},
    {device_memory, "no suitable memory type found", "ggml Vulkan", "ggml-vulkan-buffers.cpp", ""},
    {device_memory, "out of device memory", "Ollama", "llm/status.go", ""},
    {device_memory, "bytes of memory on device", "ggml SYCL", "ggml-sycl.cpp", ""},
    {device_memory, "opencl_buffer_type_alloc_buffer: failed to allocate", "ggml OpenCL",
     "ggml-opencl.cpp", ""},
    {device_memory, "failed to allocate buffer, size =", "ggml Metal", "ggml-metal-device.m", ""},
    {device_memory, "failed to allocate metal buffer", "ggml Metal", "ggml-metal.cpp", ""},
    {device_memory, "kiogpucommandbuffercallbackerroroutofmemory", "Metal", "IOGPU", ""},

    // --- Memory of the pool that a buffer's name tells -------------------------------------------
    {buffer, "failed to allocate * buffer of size", "ggml", "ggml-alloc.c", ""},
    {buffer, "unable to allocate * buffer", "llama.cpp", "llama-model.cpp", ""},

    // --- Memory of the host, or of nobody knows which --------------------------------------------
    {host_memory, "std::bad_alloc", "C++ programs", "libstdc++", ""},
    {host_memory, "cannot allocate memory", "any", "ENOMEM", ""},
    {host_memory, "can't allocate memory", "PyTorch on a CPU", "alloc_cpu.cpp", ""},
    {host_memory, "failed to map segment from shared object", "the loader", "glibc dl-load.c", ""},
    {host_memory, "erroroutofhostmemory", "ggml Vulkan", "vulkan.hpp", ""},
    {host_memory, "vk_error_out_of_host_memory", "Vulkan programs", "vulkan_core.h", ""},
    {host_memory, "arraymemoryerror", "NumPy", "numpy/_core/_exceptions.py", ""},
    {host_memory, "bytes of memory on host", "ggml SYCL", "ggml-sycl.cpp", ""},
    {host_memory, "model requires more system memory", "Ollama", "server/sched.go", ""},
    {host_memory, "killed due to memory pressure", "systemd-oomd", "oomd-util.c", ""},
    {host_memory, "compute status: -2", "llama.cpp", "llama-context.cpp", ""},
    {host_memory, "failed to reserve initial output buffer", "llama.cpp", "llama-context.cpp", ""},
    {host_memory, "failed to reserve graph buffers", "ggml", "ggml-backend.cpp", ""},
    {host_memory, "failed to reserve memory", "ggml", "ggml-alloc.c", ""},
    {host_memory, "whisper_kv_cache_init() failed", "whisper.cpp", "whisper.cpp", ""},
    {host_memory, "failed to init * allocator", "whisper.cpp", "whisper.cpp", ""},
    {host_memory, "failed to allocate", "ggml, llama.cpp, whisper.cpp, Ollama", "llama-context.cpp",
     ""},
    {host_memory, "allocation failed", "Ollama", "llm/status.go", ""},
    {host_memory, "not enough memory", "Ollama", "llm/status.go", ""},
    {host_memory, "insufficient memory", "ggml, Ollama", "ggml.c", ""},
    {host_memory, "out-of-memory", "Ollama", "llm/server.go", ""},
    {host_memory, "out of memory", "any", "kernel oom_kill.c", ""},

    // --- Set-up that ends a program before it looks at a model -----------------------------------
    {bad_setup, "error while loading shared libraries", "the loader", "glibc dl-load.c",
     "install the library that is named, or an engine that does not need it"},
    {bad_setup, "symbol lookup error", "the loader", "glibc dl-lookup.c",
     "the engine's libraries are of different versions; install it anew"},
    {bad_setup, "not found (required by", "the loader", "glibc dl-version.c",
     "the engine was built for a newer system"},
    {bad_setup, "error while handling argument", "llama.cpp", "common/arg.cpp",
     "mend the model's args"},
    {bad_setup, "error while handling environment variable", "llama.cpp", "common/arg.cpp",
     "mend the model's env"},
    {bad_setup, "error: invalid argument", "llama.cpp", "common/arg.cpp", "mend the model's args"},
    {bad_setup, "error: unknown argument", "whisper.cpp, older llama.cpp", "whisper server.cpp",
     "mend the model's args"},
    {bad_setup, "error: unrecognized arguments", "Python programs", "argparse.py",
     "mend the model's args"},
    {bad_setup, "couldn't bind http server socket", "llama-server", "server-http.cpp", ""},
    {bad_setup, "couldn't start http listener", "llama-server", "server-http.cpp", ""},
    {bad_setup, "address already in use", "any", "EADDRINUSE",
     "another program listens there; let tonnage choose the port with ${PORT}"},
    {bad_setup, "thread creation failed", "OpenMP programs", "libgomp team.c", kThreadLimit},
    {bad_setup, "what():  resource temporarily unavailable", "C++ programs", "libstdc++",
     kThreadLimit},
    {bad_setup, "no cpu backend found", "llama.cpp", "llama-model.cpp", kNoBackend},
    {bad_setup, "no backends are loaded", "llama.cpp", "llama.cpp", kNoBackend},
    {bad_setup, "modulenotfounderror", "Python programs", "CPython",
     "install the module that is named"},

    // --- The model's file ------------------------------------------------------------------------
    {bad_model, "unknown model architecture", "llama.cpp", "llama-model.cpp", kNewerEngine},
    {bad_model, "unsupported model architecture", "llama.cpp", "llama-model.cpp", kNewerEngine},
    {bad_model, "are not supported for now", "vLLM", "registry.py", kNewerEngine},
    {bad_model, "does not recognize this architecture", "Transformers", "configuration_auto.py",
     kNewerEngine},
    {bad_model, "unknown pre-tokenizer type", "llama.cpp", "llama-vocab.cpp", kNewerEngine},
    {bad_model, "has invalid ggml type", "llama.cpp", "gguf.cpp", kNewerEngine},
    {bad_model, "software only supports up to version", "llama.cpp", "gguf.cpp", kNewerEngine},
    {bad_model, "failed to open gguf file", "llama.cpp", "gguf.cpp", "look for the file"},
    {bad_model, "invalid magic characters", "llama.cpp", "gguf.cpp", "this is no GGUF file"},
    {bad_model, "bad magic", "whisper.cpp", "whisper.cpp", "this is no model of whisper.cpp"},
    {bad_model, "is not within the file bounds", "llama.cpp", "llama-model-loader.h", kBrokenFile},
    {bad_model, "has invalid data", "llama.cpp", "llama-model-loader.cpp", kBrokenFile},
    {bad_model, "safetensorerror", "safetensors", "safetensors_rust", kBrokenFile},
    {bad_model, "clip cannot be used as main model", "llama.cpp", "llama.cpp",
     "this is a projector; name the language model and give this one with --mmproj"},
    {bad_model, "gguf_init_from_", "llama.cpp", "gguf.cpp", kBrokenFile},
    {bad_model, "error loading model", "llama.cpp", "llama.cpp", ""},

    // --- The GPU and its driver ------------------------------------------------------------------
    {bad_setup, "no kernel image is available", "CUDA programs", "driver_types.h", kOtherBuild},
    {bad_setup, "hiperrornobinaryforgpu", "HIP programs", "hip_runtime_api.h", kOtherBuild},
    {bad_setup, "unsupported toolchain", "CUDA programs", "driver_types.h", kUpdateDriver},
    {bad_setup, "cuda driver version is insufficient", "CUDA programs", "driver_types.h",
     kUpdateDriver},
    {bad_setup, "driver/library version mismatch", "NVML", "nvml.h",
     "the driver was updated under the running kernel: restart the machine"},
    {bad_setup, "no cuda-capable device is detected", "CUDA programs", "driver_types.h",
     "no GPU can be seen; tonnage doctor says why"},
    {gpu_fault, "errordevicelost", "ggml Vulkan", "vulkan.hpp", kLookAtGpu},
    {gpu_fault, "vk_error_device_lost", "Vulkan programs", "vulkan_core.h", kLookAtGpu},
    {gpu_fault, "fallen off the bus", "NVIDIA driver", "nvlog", kLookAtGpu},
    {gpu_fault, "nvrm: xid", "NVIDIA driver", "Xid messages", kLookAtGpu},
    {gpu_fault, "uncorrectable ecc error", "CUDA programs", "driver_types.h", kLookAtGpu},
    {gpu_fault, "cuda error", "ggml CUDA, PyTorch", "ggml-cuda.cu", kLookAtGpu},
    {gpu_fault, "rocm error", "ggml HIP", "ggml-cuda.cu", kLookAtGpu},
    {gpu_fault, "musa error", "ggml MUSA", "ggml-cuda.cu", kLookAtGpu},
    {gpu_fault, "hip error", "PyTorch", "HIPException.h", kLookAtGpu},

    // --- What follows from something else --------------------------------------------------------
    {bad_model, "failed to load model", "llama.cpp", "server-context.cpp", ""},
    {bad_model, "exiting due to model loading error", "llama-server", "server.cpp", ""},
    {bad_model, "failed to initialize whisper context", "whisper.cpp", "whisper server.cpp", ""},
    {exited, "engine core initialization failed", "vLLM", "core_client.py", kCauseAbove},

    // --- Answers ---------------------------------------------------------------------------------
    {compute_error, "compute error.", "llama-server", "server-context.cpp", ""},
    {client_error, "context size has been exceeded", "llama-server", "server-context.cpp", ""},
    {loading, "\"loading model\"", "llama-server", "server-http.cpp", ""},
    {busy, "maximum pending requests exceeded", "Ollama", "server/sched.go", ""},
    {server_gone, "failed to read connection", "llama-server as a router", "server-models.cpp", ""},
    {server_gone, "process has terminated", "Ollama", "llm/server.go", ""},
    {server_gone, "process no longer running", "Ollama", "llm/server.go", ""},
    {server_gone, "enginecore encountered an issue", "vLLM", "v1/engine/exceptions.py", ""},
});

}  // namespace

std::span<const FailureRow> failure_catalogue() {
  return kRows;
}

}  // namespace tonnage
