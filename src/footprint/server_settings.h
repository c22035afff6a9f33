// ServerSettings: the knobs of a `llama-server` that decide how much memory it takes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "core/types.h"
#include "footprint/gguf.h"

namespace tonnage {

// The engine counts tokens in 32 bits.
inline constexpr std::int64_t kTotalContextMax = (std::int64_t{1} << 31) - 1;

// The dry run, the prediction and the server itself must be given the same ones.
struct ServerSettings {
  Placement placement;
  std::int32_t batch = 512;        // tokens in one decode, over all slots
  std::int32_t micro_batch = 512;  // tokens in one pass; the compute buffer grows with it
  Bytes cache_ram;                 // limit of the server's own prompt cache; whole MiB, 0 is off
  // Which GPUs, how many layers there, and how they are split, as the engine's adapter says it.
  std::vector<std::string> gpu_arguments;

  // Tokens of all slots together: what the server's --ctx-size means.
  std::int64_t total_context() const {
    return std::min(std::int64_t{placement.context} * placement.slots, kTotalContextMax);
  }

  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

// An encoder must take a whole text in one pass, so its micro-batch is its context.
ServerSettings server_settings(const GgufInfo& model, const Placement& placement, Bytes cache_ram);

}  // namespace tonnage
