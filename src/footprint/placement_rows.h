// PlacementRows: a model's ladder on this machine, which of its placements are dry-run, and the
// footprint of each.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "core/types.h"
#include "footprint/dry_run.h"
#include "footprint/gguf.h"
#include "footprint/server_settings.h"

namespace tonnage {

// What a model may be placed on beside the host.
struct DeviceSpace {
  std::vector<Bytes> capacities;  // of each device, largest first; empty: a machine without any
  // Taken on each device that a program uses, beside the engine's own buffers: the driver's
  // context, and what its libraries keep.
  Bytes context;

  friend bool operator==(const DeviceSpace&, const DeviceSpace&) = default;
};

// A CUDA context takes 300-450 MiB, more with more kernels
// (https://github.com/ggml-org/llama.cpp/issues/16616 and what servers were seen to hold beyond
// their buffers); other back ends take less.
inline constexpr Bytes kCudaContext = 450_MiB;
inline constexpr Bytes kOtherContext = 100_MiB;

// Files beside the model that take memory.
struct Companions {
  std::optional<GgufInfo> draft;
  Bytes projectors;  // with their buffers
  Bytes adapters;    // and control vectors, copied into memory

  bool none() const { return !draft && projectors == Bytes(0) && adapters == Bytes(0); }
};

struct ProfiledPlacement {
  ServerSettings settings;
  std::size_t devices = 0;  // how many its layers are split over
  bool derived = false;     // worked out from its neighbours' dry runs instead of by its own
  std::optional<DryRun> dry_run;
  std::optional<DryRun> draft_dry_run;
};

// The ladder of one configured placement, best first. With devices: all layers on one of them, then
// split over two and more, then fewer on one (32, 20, 12, 4, as far as the model has more), then
// none. `gpu_layers`: so many and no other number; zero is the processor alone.
std::vector<ProfiledPlacement> placements_of(const GgufInfo& model, const ServerSettings& settings,
                                             const DeviceSpace& space,
                                             std::optional<std::int32_t> gpu_layers);

// Fills in the dry runs of the derived ones. A dry run opens a context on its device, so of a
// model's partial placements only the largest and the smallest get one. Between them weights follow
// the file's layers, and caches and buffers are interpolated by layers, rounded up.
void derive_dry_runs(const GgufInfo& model, std::span<ProfiledPlacement> placements);

// One row per placement, in the given order. How a server's memory in the host is charged:
//  - without devices, weights are mapped and charged as a file, at full size, once for all servers;
//    A draft's file is a second one;
//  - with devices, what is not on them is charged to the server as its own: the part of the
//    weights that the processor computes with, nothing of the file beside it. The file was read
//    through the page cache, which the kernel takes back when it has to.
// A draft is where its model is, with all its layers. Projectors go to the first device, adapters
// to all, as the layers that they change do.
std::vector<PlacementRow> profile_rows(const GgufInfo& model,
                                       std::span<const ProfiledPlacement> placements,
                                       const DeviceSpace& space, const Companions& companions = {});

}  // namespace tonnage
