#include "daemon/gpu_start.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "engine/environment.h"
#include "engine/llama/llama_devices.h"
#include "engine/llama/spin_time.h"
#include "probe/gpu/vulkan.h"
#include "process/runner.h"

namespace tonnage {
namespace {

constexpr const char* kRemedy =
    "put a GPU plug-in of the engine's version (libggml-cuda.so or libggml-vulkan.so) beside "
    "llama-server, set engine.llama_server to a build with one, or serve with --cpu";

bool has_uuid(const DeviceSample& sample) {
  return sample.id.starts_with("GPU-") || sample.id.starts_with("MIG-");
}

std::optional<std::size_t> find_visible(const DeviceSurvey& survey, std::string_view word) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  const bool is_number = error == std::errc() && end == word.data() + word.size();
  std::size_t cuda_number = 0;
  for (std::size_t i = 0; i < survey.devices.size(); ++i) {
    const DeviceSample& sample = survey.devices[i].sample;
    if (!has_uuid(sample))
      continue;
    if (is_number ? cuda_number == number : sample.id.starts_with(word))
      return i;
    ++cuda_number;
  }
  return std::nullopt;
}

Result<std::vector<LlamaDevice>> ask_engine(const LlamaPrograms& programs,
                                            const std::vector<std::string>& env) {
  boost::asio::io_context loop;
  ProcessRunner runner(loop);
  Result<std::vector<LlamaDevice>> devices = fail("no answer from", programs.server.string());
  list_llama_devices(runner, programs, env,
                     [&](Result<std::vector<LlamaDevice>> listed) { devices = std::move(listed); });
  loop.run();
  return devices;
}

}  // namespace

std::vector<std::string> engine_environment(const Config& config, const Environment& environment) {
  LlamaEnvironment engine;
  engine.gomp_spincount = config.spin_count.value_or(kSpinCountUnmeasured);
  engine.home = home_of_user();
  for (const auto& [name, value] : environment) {
    const bool empty_path = value.empty() && (name == "PATH" || name == "HOME");
    // How long threads spin is decided for all servers together.
    if (is_passed_on(name) && !empty_path && name != "GOMP_SPINCOUNT")
      engine.more.push_back(name + "=" + value);
  }
  return llama_environment(engine);
}

DeviceSurvey seen_devices(DeviceSurvey survey, const std::string& visible) {
  std::vector<bool> seen(survey.devices.size(), false);
  std::string_view left = visible;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(','), left.size());
    const auto found = find_visible(survey, left.substr(0, end));
    if (!found || end == 0)
      break;
    seen[*found] = true;
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  std::vector<SurveyedDevice> kept;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] || !has_uuid(survey.devices[i].sample))
      kept.push_back(std::move(survey.devices[i]));
  }
  survey.devices = std::move(kept);
  return survey;
}

std::string unusable_gpus(const DeviceSurvey& survey,
                          const Result<std::vector<LlamaDevice>>& engine_devices) {
  std::string names;
  for (const SurveyedDevice& device : survey.devices) {
    const DeviceSample& sample = device.sample;
    const bool part_of_processor = (sample.unified || sample.integrated) && !has_uuid(sample);
    if (!sample.complete() || part_of_processor)
      continue;
    names += (names.empty() ? "" : ", ") + (sample.name.empty() ? sample.id : sample.name);
  }
  if (names.empty() || (engine_devices && !engine_devices->empty()))
    return {};
  return "there is a GPU (" + names + "), but the engine " +
         (engine_devices ? "offers no GPU device"
                         : "did not list its GPU devices: " + engine_devices.error().text());
}

namespace {

LlamaSearch llama_search(const Config& config, const Environment& environment) {
  LlamaSearch search;
  search.configured = config.llama_server;
  if (const auto path = environment.find("PATH"); path != environment.end())
    search.path_variable = path->second;
  if (const auto cache = default_cache_dir(environment); !cache.empty())
    search.cached = cache / "engine" / TONNAGE_ENGINE_KEY;
  return search;
}

}  // namespace

Result<LlamaChoice> choose_engine(const Config& config, const Environment& environment,
                                  const std::vector<std::string>& engine_env) {
  auto engine = choose_llama(llama_search(config, environment), ask_help(engine_env));
  const bool needed = std::ranges::any_of(
      config.models, [](const ModelConfig& model) { return model.command.empty(); });
  if (engine || needed)
    return engine;
  LlamaChoice none;
  none.notes.push_back(engine.error().text() + "; GPUs are left alone without it");
  return none;
}

Result<GpuStart> start_gpus(const Config& config, const LlamaPrograms& programs,
                            const std::vector<std::string>& env, const Environment& environment) {
  GpuStart start;
  if (config.cpu || programs.server.empty())
    return start;
  start.probe = std::make_shared<DeviceProbe>(
      make_device_probe({.injected = config.probe.devices_file.string(),
                         .vulkan_helper = {"/proc/self/exe", std::string(kVulkanHelperFlag)}}));
  start.survey = start.probe->survey();
  if (const auto visible = environment.find("CUDA_VISIBLE_DEVICES"); visible != environment.end())
    start.survey = seen_devices(std::move(start.survey), visible->second);
  if (start.survey.devices.empty())
    return start;
  const auto engine_devices = ask_engine(programs, env);
  if (const std::string why = unusable_gpus(start.survey, engine_devices); !why.empty())
    return fail("cannot use the GPU", programs.server.string(), why, kRemedy);
  if (engine_devices)
    start.pools = DevicePools(start.survey, *engine_devices);
  return start;
}

}  // namespace tonnage
