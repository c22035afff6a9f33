// Usage: how often a model is used, remembered with three different memories.
#pragma once

#include <array>
#include <cstdint>

#include "core/types.h"

namespace tonnage {

// Three exponentially decayed counts of uses (time constants 300 s, 1 h, 12 h); their sum of
// n_k / tau_k is the expected rate of use. Integers throughout: equal on every machine.
class Usage {
 public:
  struct Memory {
    std::uint64_t count = 0;  // times 2^32, as of `at`
    Tick at;                  // moves in whole steps of the decay table, so that none is lost

    friend bool operator==(const Memory&, const Memory&) = default;
  };
  using Memories = std::array<Memory, 3>;

  Usage() = default;
  explicit Usage(const Memories& memories) : memories_(memories) {}

  void use(Tick now);

  // Expected uses per second, times 2^32.
  std::uint64_t rate(Tick now) const;

  const Memories& memories() const { return memories_; }

  friend bool operator==(const Usage&, const Usage&) = default;

 private:
  Memories memories_{};
};

// n x e^(-age / tau), in integers: a table of powers of two over age / tau.
std::uint64_t decayed(std::uint64_t n, Duration age, Duration tau);

}  // namespace tonnage
