// report(): a device set as JSON, for scripts that drive one.
#pragma once

#include <string>

#include "device_set.h"

namespace fake_gpu {

// {"time_ms", "devices": [{"uuid", "used", "owners": {"server": {"held", "refused", ...}, ...},
// "processes": {pid: bytes}, "leaked"}], "refusals": [the latest, oldest first], "counters"}.
std::string report(const DeviceSet& set);

}  // namespace fake_gpu
