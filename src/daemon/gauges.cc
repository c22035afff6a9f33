#include "daemon/gauges.h"

#include <algorithm>

namespace tonnage {

PoolGauges gauges_of(const PoolSnapshot& pool, const PressurePolicy& policy) {
  const auto level = std::ranges::find(policy.levels, pool.level, &PressureLevel::name);
  PoolGauges g;
  g.pool = pool.pool.value;
  g.capacity = pool.capacity;
  g.budget = pool.budget;
  g.reserved = pool.reserved;
  g.measured = pool.measured;
  g.foreign = pool.foreign;
  g.headroom = pool.headroom;
  g.used = pool.used;
  g.orphaned = pool.orphaned;
  g.releasing = pool.releasing;
  g.level = level == policy.levels.end()
                ? 0
                : static_cast<std::uint32_t>(level - policy.levels.begin()) + 1;
  g.lost = pool.lost;
  g.sample_age = pool.sample_age;
  return g;
}

ModelGauges gauges_of(const ModelSnapshot& model) {
  ModelGauges g;
  g.model = model.model.value;
  g.state = static_cast<std::uint32_t>(model.state);
  g.leases = model.leases;
  g.waiting = model.waiting;
  g.weights = model.weights;
  g.pools.push_back({model.predicted, model.reserved, model.measured});
  for (std::size_t i = 0; i < model.device_reserved.size(); ++i) {
    ModelPoolGauges in;
    in.reserved = model.device_reserved[i];
    if (i < model.device_predicted.size())
      in.predicted = model.device_predicted[i];
    if (i < model.device_measured.size())
      in.measured = model.device_measured[i];
    g.pools.push_back(in);
  }
  g.pinned = model.pinned;
  g.degraded = model.degraded;
  g.device_failures = model.device_failures;
  g.cpu_only = model.cpu_only;
  return g;
}

}  // namespace tonnage
