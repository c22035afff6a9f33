// What tonnage may use of a pool, worked out again without the core's code, for checkers and
// worlds.
#pragma once

#include <algorithm>

#include "core/policy.h"

namespace tonnage::sim {

// The bytes that servers and foreign programs together may hold.
inline Bytes room_of(const PoolPolicy& pool, Bytes capacity) {
  // Rounded up where the core rounds up: what stays free is never less than was promised.
  auto share = [&](std::int64_t permille) {
    const std::int64_t whole = capacity.count / 1000 * permille;
    const std::int64_t rest = capacity.count % 1000 * permille;
    return Bytes(whole + (rest + 999) / 1000);
  };
  Bytes kept;
  if (pool.reserve.permille && pool.reserve.size) {
    kept = std::min(share(*pool.reserve.permille), *pool.reserve.size);
  } else if (pool.reserve.permille) {
    kept = share(*pool.reserve.permille);
  } else if (pool.reserve.size) {
    kept = *pool.reserve.size;
  }
  const Bytes room = std::min(share(pool.max_permille), capacity - kept);
  return std::max(room, Bytes(0));
}

// The bytes that servers may hold when nothing else runs.
inline Bytes budget_for(const PoolPolicy& pool, Bytes capacity) {
  const Bytes room = room_of(pool, capacity);
  return pool.limit ? std::min(room, *pool.limit) : room;
}

// Bytes that are no weights, with the margin that their source is given.
inline Bytes with_margin(Bytes bytes, FootprintSource source, const MarginPolicy& margin) {
  std::int64_t permille = 0;
  if (source == FootprintSource::analytic)
    permille = margin.analytic_permille;
  if (source == FootprintSource::dry_run)
    permille = margin.dry_run_permille;
  if (source == FootprintSource::learned)
    permille = margin.learned_permille;
  return bytes + Bytes(bytes.count / 1000 * permille) +
         Bytes((bytes.count % 1000 * permille + 999) / 1000);
}

// What a row asks for in the host beside its weights.
inline Bytes with_margin(const PlacementRow& row, const MarginPolicy& margin) {
  return with_margin(row.host_anon, row.source, margin);
}

}  // namespace tonnage::sim
