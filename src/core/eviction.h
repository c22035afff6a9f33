// EvictionPolicy: which idle models give way when bytes are needed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/policy.h"
#include "core/types.h"

namespace tonnage {

// A model that may go. `value` is expected use x time to bring it back: what stopping it costs.
struct Candidate {
  ModelId model;
  Bytes frees;  // positive
  Tick last_used;
  std::uint64_t value = 0;
};

class EvictionPolicy {
 public:
  virtual ~EvictionPolicy() = default;

  // Chooses models whose `frees` sum to at least `need`, in the order in which they should be
  // stopped, and spares every one that turns out not to be needed. Empty when all together are not
  // enough. Reorders `candidates`. Deterministic: ties end in the id.
  virtual std::vector<ModelId> choose(std::vector<Candidate>& candidates, Bytes need) const = 0;
};

std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionKind kind);

// The value of keeping a model: rate (uses per second x 2^32) x time to bring it back. Saturates.
std::uint64_t keep_value(std::uint64_t rate, Duration cost);

}  // namespace tonnage
