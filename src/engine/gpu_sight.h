// GpuSight: what engines are told of the GPUs that tonnage governs.
#pragma once

#include <cstddef>
#include <span>

#include "core/types.h"
#include "engine/llama/llama_gpus.h"
#include "footprint/placement_rows.h"

namespace tonnage {

class GpuSight {
 public:
  virtual ~GpuSight() = default;

  // What a server with these pools, by logical device, is shown; kHostPool means a GPU that shares
  // the host's memory. How layers are split depends on the number of devices only, because the
  // footprint was worked out with it: by the capacities of the largest ones, in falling order.
  virtual VisibleGpus visible(std::span<const PoolId> pools) const = 0;
  // The same for a dry run, which takes the `count` largest.
  virtual VisibleGpus visible_for_dry_run(std::size_t count) const = 0;
  virtual DeviceSpace space() const = 0;
};

}  // namespace tonnage
