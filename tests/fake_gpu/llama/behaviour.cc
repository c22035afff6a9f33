#include "llama/behaviour.h"

#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>

namespace fake_gpu {
namespace {

using nlohmann::json;

json read_file() {
  const char* named = std::getenv("FAKE_LLAMA_BEHAVIOUR");
  std::ifstream file(named != nullptr ? std::filesystem::path(named)
                                      : program_folder() / "behaviour.json");
  json parsed = json::parse(file, nullptr, false);
  return parsed.is_object() ? parsed : json::object();
}

void take_entry(const json& entry, Behaviour& behaviour) {
  const auto take = [&](const char* name, auto& value) {
    if (entry.contains(name))
      entry[name].get_to(value);
  };
  take("load_ms", behaviour.load_ms);
  take("token_ms", behaviour.token_ms);
  take("dry_run_ms", behaviour.dry_run_ms);
  take("context_mib", behaviour.context_mib);
  take("estimate_permille", behaviour.estimate_permille);
  take("leak_mib", behaviour.leak_mib);
  take("grow_at", behaviour.grow_at);
  take("grow_mib", behaviour.grow_mib);
  take("oom_at", behaviour.oom_at);
  take("oom_times", behaviour.oom_times);
  take("hang_at", behaviour.hang_at);
  take("hang_times", behaviour.hang_times);
  take("short_at", behaviour.short_at);
  take("short_times", behaviour.short_times);
  take("error_body", behaviour.error_body);
  take("hang_at_load", behaviour.hang_at_load);
  take("no_devices", behaviour.no_devices);
  take("vulkan", behaviour.vulkan);
  take("last_words", behaviour.last_words);
  take("exit_status", behaviour.exit_status);
}

}  // namespace

std::filesystem::path program_folder() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
}

Behaviour read_behaviour(const std::string& model_path) {
  const std::string name = std::filesystem::path(model_path).stem().string();
  const json file = read_file();
  Behaviour behaviour;
  take_entry(file.value("default", json::object()), behaviour);
  const json models = file.value("models", json::object());
  if (models.contains(name))
    take_entry(models[name], behaviour);
  return behaviour;
}

std::string state_path() {
  if (const char* named = std::getenv("FAKE_GPU_STATE"))
    return named;
  return read_file().value("state", "");
}

}  // namespace fake_gpu
