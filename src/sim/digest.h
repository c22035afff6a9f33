// Digest: one number for a run's events and actions, the same for every compiler and machine.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/actions.h"
#include "core/events.h"

namespace tonnage::sim {

// Order matters; every field that a journal would hold goes in. Two runs with equal digests took
// the same events and did the same.
class Digest {
 public:
  void add(Tick now, const Event& event);
  void add(const Action& action);
  std::uint64_t value() const { return state_; }

 private:
  friend struct DigestFields;

  void mix(std::uint64_t word) {
    state_ ^= word;
    state_ *= 0x9fb21c651e98df25ULL;
    state_ ^= state_ >> 32;
  }

  std::uint64_t state_ = 0x6a09e667f3bcc908ULL;
};

}  // namespace tonnage::sim
