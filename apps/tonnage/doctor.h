// The doctor's examination: one line per part of the machine that tonnage needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "engine/llama/llama.h"
#include "engine/llama/llama_devices.h"
#include "probe/gpu/device_probe.h"
#include "tonnage/client.h"
#include "tonnage/configuration.h"
#include "tonnage/terminal.h"

namespace tonnage {

enum class Health : std::uint8_t { ok, warn, fail };

struct Diagnosis {
  std::string part;  // "engine"
  Health health = Health::ok;
  std::string finding;
  std::string remedy;  // empty where there is nothing to do
};

// Each looks at one part; none of them changes anything.
std::vector<Diagnosis> diagnose_engine(const Config& config, const Environment& environment);
Result<LlamaPrograms> find_engine(const Config& config, const Environment& environment);
// The GPUs and, where there are any, whether the engine can use one. `engine_devices` as
// list_llama_devices() says; empty when there is no engine to ask.
std::vector<Diagnosis> diagnose_gpus(
    const DeviceSurvey& survey,
    const std::optional<Result<std::vector<LlamaDevice>>>& engine_devices);
// Looks at the GPUs, or at what the configured file says of them.
DeviceSurvey survey_gpus(const Config& config);
// Empty when there is no engine to ask.
std::optional<Result<std::vector<LlamaDevice>>> ask_engine_devices(const Config& config,
                                                                   const Environment& environment);
Json gpus_json(const DeviceSurvey& survey);
std::vector<Diagnosis> diagnose_memory(const Config& config);
Diagnosis diagnose_runtime_dir(const std::filesystem::path& folder);
Diagnosis diagnose_state_dir(const std::filesystem::path& folder);
// `running` is whether a daemon answers: then its own port is in use and all is well.
Diagnosis diagnose_port(const Listen& listen, bool running);
// How long threads of model servers spin: as configured, or as measured by a daemon before.
Diagnosis diagnose_spin(const Config& config);
Diagnosis diagnose_file_limit(std::int32_t connections_max);
// From GET /api/memory/status.
std::vector<Diagnosis> diagnose_daemon(const CommandResult<Answer>& status);

std::string doctor_view(const std::vector<Diagnosis>& parts, const Terminal& terminal);
Json doctor_json(const std::vector<Diagnosis>& parts);
bool any_failed(const std::vector<Diagnosis>& parts);

}  // namespace tonnage
