// VulkanSource: GPUs as any vendor's Vulkan driver tells them, where nothing better does.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "probe/gpu/device_source.h"
#include "probe/gpu/nvidia_smi.h"

namespace tonnage {

// How tonnage starts itself to ask Vulkan: a driver that crashes or hangs takes only that process
// with it.
inline constexpr std::string_view kVulkanHelperFlag = "--list-vulkan-devices";

// What the helper prints: a line per device and one at the end. Loader and drivers print what they
// like in between, which is skipped. Fails where the end is missing, a line of ours is not of this
// form, or there are fewer than it says. Software devices are left out unless `software`.
//  - memory of a discrete device: its device-local heaps; free = budget - usage, where the driver
//    has VK_EXT_memory_budget; usage is only the helper's own
//    (https://docs.vulkan.org/refpages/latest/refpages/source/VK_EXT_memory_budget.html)
//  - an integrated device shares the host's memory: its heaps are a limit of the driver, so only
//    their total is told
Result<std::vector<DeviceReading>> parse_vulkan_devices(std::string_view text, bool software);

class VulkanSource final : public DeviceSource {
 public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    std::vector<std::string> helper;  // a command that does list_vulkan_devices()
    std::chrono::milliseconds timeout{10'000};
    bool software = false;  // llvmpipe and the like count as GPUs
    // Drivers take 50 ms to seconds to start, so an answer holds for a while, and one without a GPU
    // for longer.
    std::chrono::seconds every{10};
    std::chrono::seconds retry{300};
    std::function<Clock::time_point()> now = Clock::now;
  };
  explicit VulkanSource(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "vulkan"; }
  Result<std::vector<DeviceReading>> read() override;

 private:
  Options options_;
  QuickProgram program_;
  Clock::time_point next_{};
  Result<std::vector<DeviceReading>> last_ = std::vector<DeviceReading>{};
};

// The helper: opens libvulkan.so.1, prints its devices to standard output and ends the process; an
// exit status is returned only for a failure, whose reason is on standard error.
int list_vulkan_devices();

}  // namespace tonnage
