// DeviceMemory: what this process holds in the device set, and how it ends when that is refused.
#pragma once

#include <cstdint>
#include <string>

#include "device_set.h"
#include "llama/memory_plan.h"

namespace fake_gpu {

// As CUDA, which aborts where ggml does not ask whether an allocation worked.
class DeviceMemory {
 public:
  explicit DeviceMemory(SharedSet& set) : set_(set) {}
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { release(); }

  // Opens the context that every later use of the device needs. Aborts where there is no room.
  void open_context(const EngineDevice& device, std::uint64_t bytes);
  // False where it was refused, with ggml's words about it. Aborts on a device that is lost.
  bool allocate_buffer(const EngineDevice& device, std::uint64_t bytes, bool leaks = false);
  // In the middle of a computation: aborts where it is refused.
  void allocate_in_use(const EngineDevice& device, std::uint64_t bytes);
  // What the device has left, and a little more.
  std::uint64_t too_much(const EngineDevice& device) const;
  // Aborts when the device is lost.
  void touch(const EngineDevice& device);
  // The end of the process is near: the driver takes its time from now on.
  void release();

 private:
  Outcome allocate(const EngineDevice& device, std::uint64_t bytes, bool leaks);
  [[noreturn]] void abort_with(const std::string& error, const EngineDevice& device,
                               const std::string& function, const std::string& call);

  SharedSet& set_;
};

}  // namespace fake_gpu
