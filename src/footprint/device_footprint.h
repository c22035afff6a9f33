// Predicts what a `llama-server` takes on GPUs where no dry run tells: from the file's header.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "core/types.h"
#include "footprint/gguf.h"
#include "footprint/server_settings.h"

namespace tonnage {

// Blocks of the model, and one more for what follows the last: what `--gpu-layers` counts.
std::int32_t offload_layers(const GgufInfo& model);

// Weights on devices with `gpu_layers`. The engine takes the last layers first. Its versions differ
// in whether a partial placement begins with the output or with the last block, so both are in it:
// an upper bound that is at most the output too large. Where the file does not tell its layers, all
// are of one size.
Bytes device_weights(const GgufInfo& model, std::int32_t gpu_layers);

// Weights, cache and compute buffers per device, without what the driver takes. `shares` say how
// layers are split. Weights and cache follow the layers; for the compute buffer the rule is, with
// B tokens of a micro-batch: all outputs (B x vocabulary x 4) where the output layer is there, the
// largest graph (B x (5 x width + 3 x hidden) x 4), and a half-precision mask (B x context x 2).
// There is no closed form for it; the margin of `analytic` footprints is for this.
std::vector<Bytes> device_bytes_analytic(const GgufInfo& model, const ServerSettings& settings,
                                         std::span<const Bytes> shares);

// What stays in the host then, mapped weights included: they are not charged as a file.
Bytes host_bytes_analytic(const GgufInfo& model, const ServerSettings& settings);

// Of the speed with all layers on one device. A layer on the processor is taken to be 8 times as
// slow as one on a device; a split costs a tenth for the way between devices. An estimate that
// orders placements, and no promise.
std::int32_t speed_permille(const GgufInfo& model, std::int32_t gpu_layers, std::size_t devices);

}  // namespace tonnage
