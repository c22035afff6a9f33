// gauges_of: what Prometheus is shown of a snapshot.
#pragma once

#include "core/policy.h"
#include "core/snapshot.h"
#include "metrics/metrics.h"

namespace tonnage {

PoolGauges gauges_of(const PoolSnapshot& pool, const PressurePolicy& policy);
ModelGauges gauges_of(const ModelSnapshot& model);

}  // namespace tonnage
