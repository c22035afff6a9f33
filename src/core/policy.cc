#include "core/policy.h"

#include <algorithm>

namespace tonnage {

std::string_view to_text(EvictionKind kind) {
  return kind == EvictionKind::lru ? "lru" : "value";
}

Bytes usable_of(const PoolPolicy& pool, Bytes capacity) {
  Bytes reserve{0};
  if (pool.reserve.permille)
    reserve = permille_of(capacity, *pool.reserve.permille);
  if (pool.reserve.size) {
    reserve = pool.reserve.permille ? std::min(reserve, *pool.reserve.size) : *pool.reserve.size;
  }
  const Bytes most = permille_of(capacity, pool.max_permille);
  return std::max(Bytes{0}, std::min(most, capacity - reserve));
}

Bytes budget_of(const PoolPolicy& pool, Bytes capacity) {
  const Bytes usable = usable_of(pool, capacity);
  return pool.limit ? std::min(*pool.limit, usable) : usable;
}

}  // namespace tonnage
