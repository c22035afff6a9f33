// ServerSettings: the knobs of a `llama-server` that decide how much memory it takes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "core/types.h"

namespace tonnage {

// The engine counts tokens in 32 bits.
inline constexpr std::int64_t kTotalContextMax = (std::int64_t{1} << 31) - 1;

// The dry run, the prediction and the server itself must be given the same ones.
struct ServerSettings {
  Placement placement;
  std::int32_t batch = 512;        // tokens in one decode, over all slots
  std::int32_t micro_batch = 512;  // tokens in one pass; the compute buffer grows with it
  Bytes cache_ram;                 // limit of the server's own prompt cache; whole MiB, 0 is off
  Bytes checkpoints;               // copies of states that the server may keep, of all slots
  // Rows of the output that one step computes for a slot: one, and one for each proposed token.
  std::int32_t outputs_per_slot = 1;
  bool flash_attention = true;  // without it each head has a matrix of scores

  // Tokens of all slots together: what the server's --ctx-size means.
  std::int64_t total_context() const {
    return std::min(std::int64_t{placement.context} * placement.slots, kTotalContextMax);
  }

  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

}  // namespace tonnage
