// Checkpoints: copies of what a model cannot go back to by itself, which its server keeps so that a
// conversation is not read again from its beginning.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "core/types.h"
#include "footprint/gguf.h"

namespace tonnage {

// What a server holds of a prompt.
enum class PromptMemory : std::uint8_t {
  whole,      // a key and value for each token: any beginning of it can be kept
  window,     // some layers forget what left a sliding window
  recurrent,  // a state of some layers, valid at one position only; alone or beside attention
};
PromptMemory prompt_memory(const GgufInfo& model);

// One checkpoint of one slot, in host memory; an upper bound. Zero where there are none.
Bytes checkpoint_bytes(const GgufInfo& model, const Placement& placement);

// How many the server keeps per slot unless the user says otherwise: none where nothing is
// forgotten; for a window two, which bring back what was said before a long answer was dropped or
// an early message edited; for a state four, because most templates change the last answer and so
// go back at each turn. Fewer where they would cost more than a twentieth of the weights, but never
// fewer than two for a state: without one each turn is read from its beginning.
std::int32_t default_checkpoints(const GgufInfo& model, const Placement& placement);

}  // namespace tonnage
