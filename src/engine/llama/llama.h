// The `llama` adapter: finds upstream llama-server and says how to start it for a placement.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/types.h"
#include "engine/llama/llama_arguments.h"
#include "engine/llama/llama_gpus.h"
#include "engine/llama/spin_time.h"
#include "engine/server_spec.h"
#include "process/runner.h"

namespace tonnage {

// Where to look, in this order.
struct LlamaSearch {
  std::optional<std::filesystem::path> configured;  // a llama-server, or the folder of one
  std::string path_variable;                        // $PATH of the daemon
  std::optional<std::filesystem::path> cached;      // folder of the built-in build
};

struct LlamaPrograms {
  std::filesystem::path server;
  std::optional<std::filesystem::path> fit_params;  // beside the server; without it no dry runs
  bool notices_leaving = false;                     // see ServerSpec; tools/engine built it
};

// Only looks for files that may be executed. A configured one that is not there is an error, never
// a reason to take another.
Result<LlamaPrograms> find_llama(const LlamaSearch& search);

// The build as it names itself; learned memory belongs to one build.
struct LlamaBuild {
  std::string version;  // "0.5.0-dev (build 1, commit de3ff81)"
};

// Runs `--version` of both programs, off the hot path. An error says which of them does not run
// and what it said (a missing library, the wrong processor).
void check_llama(ProcessRunner& runner, const LlamaPrograms& programs,
                 const std::vector<std::string>& env, std::function<void(Result<LlamaBuild>)> done);

struct LlamaEnvironment {
  std::string path = "/usr/local/bin:/usr/bin:/bin";
  std::string home = "/";
  std::string lang = "C.UTF-8";
  std::string ld_library_path;                         // empty: not set
  std::int32_t gomp_spincount = kSpinCountUnmeasured;  // see spin_time.h
  std::vector<std::string> more;                       // "NAME=value"; wins over the others
};

std::vector<std::string> llama_environment(const LlamaEnvironment& environment);

// `env` is what the server is given; the variables of `gpus` win over it.
ServerSpec llama_server_spec(const LlamaPrograms& programs, const LlamaModel& model,
                             const Placement& placement, const VisibleGpus& gpus,
                             Generation generation, const std::filesystem::path& socket,
                             std::vector<std::string> env);

}  // namespace tonnage
