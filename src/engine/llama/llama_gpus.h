// LlamaGpus: which of the engine's devices each GPU of this machine is, and how a program of the
// engine is shown only the ones that it may use.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "engine/llama/llama_devices.h"

namespace tonnage {

// A GPU as a probe names it.
struct GpuName {
  std::string id;    // "GPU-..." or "MIG-..." (UUID), or a PCI address
  std::string name;  // "NVIDIA GeForce RTX 4090"; may be empty
};

// CUDA devices are chosen by UUID in CUDA_VISIBLE_DEVICES: nothing is opened on the others. Those
// of other back ends are chosen by the engine's own name in `--device`; the variables that number
// them (GGML_VK_VISIBLE_DEVICES) count devices that the engine's list leaves out.
enum class GpuChoice : std::uint8_t { by_uuid, by_name };

struct LlamaGpus {
  GpuChoice choice = GpuChoice::by_uuid;
  // Of each GPU: its UUID, or the engine's name of it. Empty where the engine cannot use it.
  std::vector<std::optional<std::string>> selectors;

  friend bool operator==(const LlamaGpus&, const LlamaGpus&) = default;
};

// `gpus` in the order of their PCI addresses. With CUDA devices in the list, only GPUs with a UUID
// are used. Else the first back end in the list counts: its devices are found by their
// description, and those that are left in the order in which they are listed.
LlamaGpus match_gpus(std::span<const GpuName> gpus, std::span<const LlamaDevice> devices);

// What a program of the engine is given, so that it uses these devices in this order and no other.
struct VisibleGpus {
  std::vector<std::string> env;    // "NAME=value"
  std::vector<std::string> names;  // for `--device`; empty: all that it sees
  std::vector<Bytes> shares;       // how layers are split, by device; for two and more

  friend bool operator==(const VisibleGpus&, const VisibleGpus&) = default;
};

// Without selectors: no GPU at all.
VisibleGpus visible_gpus(GpuChoice choice, std::span<const std::string> selectors,
                         std::span<const Bytes> shares);

// Arguments that a server and its dry run share. `gpu_layers` zero, or no devices: `--device none`,
// because a program that puts nothing on a GPU would still open a context of 300-500 MiB there.
std::vector<std::string> gpu_arguments(std::int32_t gpu_layers, const VisibleGpus& gpus);

}  // namespace tonnage
