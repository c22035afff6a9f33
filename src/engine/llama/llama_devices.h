// list_llama_devices(): the GPUs that an engine build could use, as it lists them itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "process/runner.h"

namespace tonnage {

struct LlamaPrograms;

// A GPU as the engine lists it.
struct LlamaDevice {
  std::string name;         // "CUDA0": the back end, and the place in its own list
  std::string description;  // "NVIDIA GeForce RTX 4090"

  friend bool operator==(const LlamaDevice&, const LlamaDevice&) = default;
};

// What `llama-server --list-devices` prints: "  CUDA0: NVIDIA ... (24118 MiB, 23000 MiB free)" per
// device after "Available devices:", or "(none)". Accelerators of the CPU (BLAS) are no GPU. Fails
// when there is no such list.
// Format: https://github.com/ggml-org/llama.cpp, common/arg.cpp.
Result<std::vector<LlamaDevice>> parse_llama_devices(std::string_view text);

// Runs the program, which may open the GPUs for a moment. `done` is called exactly once.
void list_llama_devices(ProcessRunner& runner, const LlamaPrograms& programs,
                        const std::vector<std::string>& env,
                        std::function<void(Result<std::vector<LlamaDevice>>)> done);

}  // namespace tonnage
