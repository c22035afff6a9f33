// fit_descriptors: bounds of the front door that the limit of open files allows.
#pragma once

#include <cstddef>

#include "net/limits.h"

namespace tonnage {

// Raises the soft limit to what a full front door needs, or to the hard limit: then there are fewer
// connections, since each may need another one to its server. Some descriptors are held back for
// probes, starts and requests under way (DescriptorReserve).
void fit_descriptors(net::Limits& limits, std::size_t models);

}  // namespace tonnage
