// list_llama_devices(): the GPUs that an engine build could use, as it lists them itself.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/llama.h"
#include "engine/process_runner.h"

namespace vramd {

// What `llama-server --list-devices` prints: "  CUDA0: NVIDIA ... (24118 MiB, 23000 MiB free)" per
// device after "Available devices:", or "(none)". Names only ("CUDA0"); accelerators of the CPU
// (BLAS) are no GPU. Fails when there is no such list.
// Format: https://github.com/ggml-org/llama.cpp, common/arg.cpp.
Result<std::vector<std::string>> parse_llama_devices(std::string_view text);

// Runs the program, which may open the GPUs for a moment. `done` is called exactly once.
void list_llama_devices(ProcessRunner& runner, const LlamaPrograms& programs,
                        const std::vector<std::string>& env,
                        std::function<void(Result<std::vector<std::string>>)> done);

}  // namespace vramd
