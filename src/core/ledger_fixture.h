// Short forms of what tests tell a ledger.
#pragma once

#include "core/ledger.h"

namespace tonnage {

inline PoolSample seen(Bytes capacity, Bytes foreign, Tick at) {
  PoolSample sample;
  sample.capacity = capacity;
  sample.foreign = foreign;
  sample.used = foreign;
  sample.sampled_at = at;
  return sample;
}

inline PoolAmounts on_host(Bytes bytes) {
  PoolAmounts amounts{};
  amounts[kHostPool.value] = bytes;
  return amounts;
}

}  // namespace tonnage
