// Rows and the pools that they can be put on.
#include <algorithm>

#include "core/planner.h"

namespace tonnage {
namespace {

// Beyond so many logical devices only one mapping is tried: the roomiest pools, in order of room.
constexpr std::size_t kMappedFreelyMax = 2;

std::int64_t margin_permille(const MarginPolicy& margin, FootprintSource source) {
  switch (source) {
    case FootprintSource::analytic:
      return margin.analytic_permille;
    case FootprintSource::dry_run:
      return margin.dry_run_permille;
    case FootprintSource::learned:
      return margin.learned_permille;
    case FootprintSource::declared:
      return 0;
  }
  return margin.analytic_permille;
}

}  // namespace

std::vector<std::vector<PoolId>> Planner::mappings(std::size_t devices) const {
  if (devices == 0)
    return {{}};
  if (pools() == 1) {
    // Integrated devices: their memory is the host's.
    if (devices > static_cast<std::size_t>(std::max(0, policy_.unified_devices)))
      return {};
    return {std::vector<PoolId>(devices, kHostPool)};
  }
  if (devices > pools() - 1)
    return {};
  std::vector<PoolId> by_room;
  for (std::uint32_t i = 1; i < pools(); ++i)
    by_room.emplace_back(i);
  std::vector<std::vector<PoolId>> all;
  if (devices > kMappedFreelyMax) {
    std::ranges::stable_sort(
        by_room, [&](PoolId a, PoolId b) { return ledger_.empty(a) > ledger_.empty(b); });
    by_room.resize(devices);
    return {by_room};
  }
  for (const PoolId first : by_room) {
    if (devices == 1) {
      all.push_back({first});
      continue;
    }
    for (const PoolId second : by_room) {
      if (second != first)
        all.push_back({first, second});
    }
  }
  return all;
}

Charge Planner::bare_charge(const PlacementRow& row, std::span<const PoolId> devices) const {
  Charge charge;
  charge.weights = row.weights;
  charge.own[kHostPool.value] = row.host_anon;
  for (std::size_t i = 0; i < devices.size() && i < row.device_bytes.size(); ++i)
    charge.own[devices[i].value] += row.device_bytes[i];
  return charge;
}

Charge Planner::charge_of(const ModelRecord& m, const PlacementRow& row,
                          std::span<const PoolId> devices) const {
  Charge charge = bare_charge(row, devices);
  const std::int64_t permille = 1000 + margin_permille(policy_.margin, row.source);
  const bool on_devices = !devices.empty();
  for (std::uint32_t i = 0; i < pools(); ++i) {
    const PoolId pool(i);
    const Bytes bare = charge.own[i];
    if (bare == Bytes{0})
      continue;
    const Bytes mapped = pool == kHostPool ? size_of(row.weights) : Bytes{0};
    const Bytes most = std::max(bare, ledger_.empty_now(pool) - mapped);
    Bytes own = permille_of(bare, permille);
    // Where the prediction was too low, more is asked for in the pool that ran out.
    if (asks_extra_ && m.retry_extra_permille > 0 &&
        (on_devices ? pool != kHostPool || pools() == 1 : true))
      own += permille_of(bare, m.retry_extra_permille);
    for (const LearnedCharge& learned : m.learned) {
      if (learned.placement == row.placement && std::ranges::equal(learned.devices, devices))
        own = std::max(own, learned.own[i]);
    }
    charge.own[i] = std::min(own, most);
  }
  return charge;
}

bool Planner::row_fits(const ModelRecord& m, const PlacementRow& row, const PoolAmounts& room,
                       bool with_margin) const {
  if (row.device_bytes.empty()) {
    return fits_within(with_margin ? charge_of(m, row, {}) : bare_charge(row, {}), room);
  }
  return std::ranges::any_of(
      mappings(row.device_bytes.size()), [&](const std::vector<PoolId>& devices) {
        return fits_within(with_margin ? charge_of(m, row, devices) : bare_charge(row, devices),
                           room);
      });
}

std::vector<Way> Planner::ways(const ModelRecord& m, std::size_t row) const {
  std::vector<Way> all;
  for (std::vector<PoolId>& devices : mappings(m.rows[row].device_bytes.size())) {
    Charge charge = charge_of(m, m.rows[row], devices);
    all.push_back({std::move(devices), charge});
  }
  return all;
}

bool Planner::is_allowed(const ModelRecord& m, std::size_t row) const {
  if (m.cpu_since) {
    const bool has_cpu_row =
        std::ranges::any_of(m.rows, [](const PlacementRow& r) { return r.device_bytes.empty(); });
    if (has_cpu_row)
      return m.rows[row].device_bytes.empty();
  }
  return row >= m.least_row || m.least_row >= m.rows.size();
}

namespace {

// The better verdict is the lesser number.
int rank_of(LoadVerdict verdict) {
  switch (verdict) {
    case LoadVerdict::fits:
      return 0;
    case LoadVerdict::pending:
      return 1;
    case LoadVerdict::evicts:
      return 2;
    case LoadVerdict::waits:
      return 3;
    case LoadVerdict::refused:
      return 4;
  }
  return 4;
}

}  // namespace

// Of several ways that fit the one that leaves the least room unused, so that large models find
// large gaps; of several that evict the one with the fewest victims.
LoadPlan Planner::best_way(const LoadQuery& query, std::size_t row, const PoolAmounts& reach,
                           std::span<const ModelId> leaving) const {
  std::optional<LoadPlan> best;
  Bytes best_left;
  for (const Way& way : ways(model(query.model), row)) {
    LoadPlan plan;
    plan.row = row;
    Room room;
    bool reachable = true;
    Bytes left{0};
    for (std::uint32_t p = 0; p < pools(); ++p) {
      const Bytes added = ledger_.added(way.charge, PoolId(p));
      if (!touches(way.charge, p))
        continue;
      reachable = reachable && added <= reach[p];
      if (p > 0)
        left += ledger_.headroom(PoolId(p)) - added;
    }
    if (reachable)
      room = room_for(query, way.charge, false, leaving);
    plan = finish(std::move(plan), query, way, room);
    const auto better = [&](const LoadPlan& old) {
      const int a = rank_of(plan.verdict);
      const int b = rank_of(old.verdict);
      if (a != b)
        return a < b;
      if (plan.victims.size() != old.victims.size())
        return plan.victims.size() < old.victims.size();
      return plan.verdict == LoadVerdict::fits ? left < best_left : left > best_left;
    };
    if (!best || better(*best)) {
      best = std::move(plan);
      best_left = left;
    }
  }
  return best.value_or(LoadPlan{.row = row});
}

}  // namespace tonnage
