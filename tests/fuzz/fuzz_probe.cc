// Texts of the kernel and of drivers: any text gives numbers that can be, or an error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "probe/arc.h"
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
  if (const auto stall = tonnage::parse_psi(text)) {
    TONNAGE_CHECK(stall->some_permille >= 0 && stall->some_permille <= 1000,
                  "more than all the time");
    TONNAGE_CHECK(stall->full_permille >= 0 && stall->full_permille <= 1000,
                  "more than all the time");
  }
  if (const auto events = tonnage::parse_memory_events(text))
    TONNAGE_CHECK(events->oom_kills.value_or(0) >= 0, "less than nothing was counted");
  if (const auto arc = tonnage::parse_arcstats(text)) {
    TONNAGE_CHECK(arc->size >= tonnage::Bytes{} && arc->c_min >= tonnage::Bytes{},
                  "an ARC below zero");
    TONNAGE_CHECK(arc->reclaimable() >= tonnage::Bytes{} && arc->reclaimable() <= arc->size,
                  "more is given back than there is");
  }
  (void)tonnage::parse_oom_control(text);
  (void)tonnage::parse_proc_cgroup(text);
  (void)tonnage::parse_cgroup_mounts(text);
  (void)tonnage::parse_limit(text);
  if (const auto client = tonnage::parse_drm_fdinfo(text))
    TONNAGE_CHECK(client->device_bytes() >= tonnage::Bytes{}, "less than nothing is held");
  if (const auto place = tonnage::parse_kfd_place(text))
    TONNAGE_CHECK(place->size() >= 12 && place->size() <= 16, "not an address on the bus");
  if (const auto devices = tonnage::parse_vulkan_devices(text, true)) {
    for (const tonnage::DeviceReading& reading : *devices)
      TONNAGE_CHECK(tonnage::nonsense_in(reading.sample).empty(), "numbers that cannot be");
  }
  (void)tonnage::parse_smi_gpus(text);
  (void)tonnage::parse_smi_processes(text);
  return 0;
}
