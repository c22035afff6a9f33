// Whose turn it is: loads and dry runs that count on the same free memory go one after the other.
#include <algorithm>

#include "core/governor_impl.h"

namespace tonnage {

// The devices that a load uses, or the host where it uses none. Host memory is charged before a
// start and free at an exit, so that a load on a device need not wait for another one's host bytes;
// what a device has free is only seen.
Governor::Impl::PoolSet Governor::Impl::turn_of_load(std::span<const PoolId> devices) {
  PoolSet pools;
  for (const PoolId device : devices)
    pools.set(device.value);
  if (devices.empty())
    pools.set(kHostPool.value);
  return pools;
}

// A dry run puts a driver's context on each device. Without one it takes nothing to speak of.
Governor::Impl::PoolSet Governor::Impl::turn_of_dry_run(ModelId model) const {
  PoolSet pools;
  if (policy_.models[model.value].host_only)
    return pools;
  for (std::size_t i = 1; i < ledger_.pool_count(); ++i)
    pools.set(i);
  if (ledger_.pool_count() == 1 && policy_.unified_devices > 0)
    pools.set(kHostPool.value);
  return pools;
}

// Pools where somebody, `beside` left out, loads or makes a dry run, or made one whose memory is
// not seen free yet.
Governor::Impl::PoolSet Governor::Impl::turns_taken(std::optional<ModelId> beside) const {
  PoolSet pools;
  for (const ModelRecord& model : models_) {
    if (model.id == beside)
      continue;
    if (model.state == ResidencyState::loading && !model.stalled)
      pools |= turn_of_load(model.devices);
    if (model.state == ResidencyState::profiling && !is_hung_dry_run(model))
      pools |= turn_of_dry_run(model.id);
  }
  for (const ReleaseWatch& watch : releases_) {
    for (std::uint32_t i = 1; is_dry_run(watch.generation) && i < ledger_.pool_count(); ++i) {
      if (ledger_.missing(watch.generation, PoolId(i)))
        pools.set(i);
    }
  }
  return pools;
}

bool Governor::Impl::is_hung_dry_run(const ModelRecord& model) const {
  return now_ - model.profiling_since >= policy_.load.profile_stall_after;
}

bool Governor::Impl::may_profile_more() const {
  return std::ranges::count(models_, ResidencyState::profiling, &ModelRecord::state) <
         policy_.load.profiles_max;
}

// What only takes what others spare is loaded in the order of the commands: one whose footprint is
// known first would otherwise take the room of the one before it.
bool Governor::Impl::stands_behind_profile(const ModelRecord& model) const {
  return std::ranges::any_of(models_, [&](const ModelRecord& m) {
    return m.state == ResidencyState::profiling && !is_hung_dry_run(m) && m.wanted_since &&
           model.wanted_since && *m.wanted_since <= *model.wanted_since;
  });
}

// What nobody waits for is not begun beside a load or a dry run, wherever that is.
bool Governor::Impl::load_in_progress() const {
  return std::ranges::any_of(models_,
                             [this](const ModelRecord& m) {
                               return (m.state == ResidencyState::loading && !m.stalled) ||
                                      (m.state == ResidencyState::profiling && !is_hung_dry_run(m));
                             }) ||
         std::ranges::any_of(releases_,
                             [](const ReleaseWatch& w) { return is_dry_run(w.generation); });
}

}  // namespace tonnage
