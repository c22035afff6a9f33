// The pools of the GPUs that a machine has: their budgets, and what a configuration says of them.
#pragma once

#include <vector>

#include "config/config.h"
#include "config/reader.h"

namespace tonnage {

inline constexpr std::size_t kDeviceBudgetsMax = 64;

// `budgets.devices` of a file.
void read_device_budgets(KeyReader& reader, const NestedNode& map, Config& config);

// The policy of a device's pool: `budgets.gpu`, and over it what `budgets.devices` says of the
// device's pool, then of its id.
PoolPolicy device_policy(const Config& config, const DevicePool& device);

// Gives `config` the pools of `found` after that of the host, in their order, and the defaults that
// go with their size (config/capacity_defaults.h). To be called once with what the survey at the
// start found; a reload keeps it (merge_reload). Where a device has memory of its own, those that
// share the host's are left alone; where none has, there is no pool but the host's. With `cpu`
// there are no devices.
void apply_devices(Config& config, std::vector<DevicePool> found);

}  // namespace tonnage
