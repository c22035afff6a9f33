#include "llama/device_memory.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "llama/engine_log.h"

namespace fake_gpu {
namespace {

constexpr const char* kOutOfMemory = "out of memory";
constexpr const char* kLost = "unspecified launch failure";
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

std::string number_of(const EngineDevice& device) {
  return device.name.substr(std::string("CUDA").size());
}

}  // namespace

Outcome DeviceMemory::allocate(const EngineDevice& device, std::uint64_t bytes, bool leaks) {
  if (bytes == 0)
    return Outcome::granted;
  return set_.allocate(
      device.index,
      {.pid = ::getpid(), .bytes = bytes, .owner = Owner::server, .leaks = leaks, .watched = true});
}

void DeviceMemory::open_context(const EngineDevice& device, std::uint64_t bytes) {
  const Outcome outcome = allocate(device, bytes, false);
  if (outcome != Outcome::granted) {
    abort_with(outcome == Outcome::lost ? kLost : kOutOfMemory, device,
               "ggml_backend_cuda_device_get_memory", "cudaMemGetInfo(free, total)");
  }
}

bool DeviceMemory::allocate_buffer(const EngineDevice& device, std::uint64_t bytes, bool leaks) {
  const Outcome outcome = allocate(device, bytes, leaks);
  if (outcome == Outcome::lost)
    abort_with(kLost, device, "ggml_cuda_device_malloc", "cudaMalloc((void**)ptr, size)");
  if (outcome == Outcome::granted)
    return true;
  say('E', "ggml_backend_cuda_buffer_type_alloc_buffer: allocating " + mib_text(bytes) +
               " on device " + number_of(device) + ": cudaMalloc failed: out of memory");
  return false;
}

void DeviceMemory::allocate_in_use(const EngineDevice& device, std::uint64_t bytes) {
  const Outcome outcome = allocate(device, bytes, false);
  if (outcome != Outcome::granted) {
    abort_with(outcome == Outcome::lost ? kLost : kOutOfMemory, device, "alloc",
               "cuMemCreate(&handle, reserve_size, &prop, 0)");
  }
}

std::uint64_t DeviceMemory::too_much(const EngineDevice& device) const {
  const Device& on = set_.set().devices[device.index];
  return on.total - on.reserved - used_bytes(set_.set(), device.index) + kMiB;
}

void DeviceMemory::touch(const EngineDevice& device) {
  if (set_.set().devices[device.index].lost != 0) {
    abort_with(kLost, device, "ggml_backend_cuda_synchronize",
               "cudaStreamSynchronize(cuda_ctx->stream())");
  }
}

void DeviceMemory::release() {
  for (std::size_t device = 0; device < set_.set().device_count; ++device)
    set_.release(device, ::getpid());
}

void DeviceMemory::abort_with(const std::string& error, const EngineDevice& device,
                              const std::string& function, const std::string& call) {
  // What ggml_cuda_error() and ggml_abort() print.
  say_plain("CUDA error: " + error);
  say_plain("  current device: " + number_of(device) + ", in function " + function +
            " at ggml-cuda.cu:98");
  say_plain("  " + call);
  say_plain("ggml-cuda.cu:98: CUDA error");
  ::signal(SIGABRT, SIG_DFL);
  std::abort();
}

}  // namespace fake_gpu
