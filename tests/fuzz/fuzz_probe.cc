// Texts of the kernel and of drivers: any text gives numbers that can be, or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "probe/cgroup.h"
#include "probe/cgroup_events.h"
#include "probe/gpu/device_probe.h"
#include "probe/gpu/drm_fdinfo.h"
#include "probe/gpu/kfd.h"
#include "probe/gpu/nvidia_smi.h"
#include "probe/gpu/vulkan.h"
#include "probe/psi.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto stall = vramd::parse_psi(text)) {
    VRAMD_CHECK(stall->some_permille >= 0 && stall->some_permille <= 1000,
                "more than all the time");
    VRAMD_CHECK(stall->full_permille >= 0 && stall->full_permille <= 1000,
                "more than all the time");
  }
  if (const auto events = vramd::parse_memory_events(text))
    VRAMD_CHECK(events->oom_kills.value_or(0) >= 0, "less than nothing was counted");
  (void)vramd::parse_oom_control(text);
  (void)vramd::parse_proc_cgroup(text);
  (void)vramd::parse_cgroup_mounts(text);
  (void)vramd::parse_limit(text);
  if (const auto client = vramd::parse_drm_fdinfo(text))
    VRAMD_CHECK(client->device_bytes() >= vramd::Bytes{}, "less than nothing is held");
  if (const auto place = vramd::parse_kfd_place(text))
    VRAMD_CHECK(place->size() >= 12 && place->size() <= 16, "not an address on the bus");
  if (const auto devices = vramd::parse_vulkan_devices(text, true)) {
    for (const vramd::DeviceReading& reading : *devices)
      VRAMD_CHECK(vramd::nonsense_in(reading.sample).empty(), "numbers that cannot be");
  }
  (void)vramd::parse_smi_gpus(text);
  (void)vramd::parse_smi_processes(text);
  return 0;
}
