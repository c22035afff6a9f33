// visible_devices(): which devices a CUDA program sees, and in which order.
#pragma once

#include <cstddef>
#include <vector>

#include "device_set.h"

namespace fake_gpu {

// Indices into the set. `order` is what CUDA_DEVICE_ORDER says ("PCI_BUS_ID", otherwise the larger
// card first, which stands for "fastest first"); `visible` is CUDA_VISIBLE_DEVICES, null where it
// is not set: numbers in that order or the beginnings of UUIDs, up to the first that names none.
std::vector<std::size_t> visible_devices(const DeviceSet& set, const char* order,
                                         const char* visible);

// By the environment of this process.
std::vector<std::size_t> visible_devices(const DeviceSet& set);

}  // namespace fake_gpu
