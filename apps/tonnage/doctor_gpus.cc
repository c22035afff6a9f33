// The doctor's look at GPUs: what each holds, who says so, and whether the engine can use one.
#include <algorithm>

#include <boost/asio/io_context.hpp>

#include "engine/llama/llama_devices.h"
#include "probe/gpu/vulkan.h"
#include "tonnage/doctor.h"
#include "tonnage/fields.h"

namespace tonnage {
namespace {

std::string joined(const std::vector<SourceProblem>& problems) {
  std::string text;
  for (const SourceProblem& problem : problems)
    text += (text.empty() ? "" : "; ") + problem.source + ": " + problem.why;
  return text;
}

std::string title_of(const DeviceSample& sample) {
  return sample.name.empty() ? sample.id : sample.name + " (" + sample.id + ")";
}

std::string numbers_of(const DeviceSample& sample) {
  if (!sample.total)
    return "nothing tells its memory";
  std::string text = size_text(*sample.total) + " in all";
  if (sample.used)
    text = size_text(*sample.used) + " of " + size_text(*sample.total) + " used";
  else
    text += ", nothing tells its use";
  if (sample.reserved)
    text += ", " + size_text(*sample.reserved) + " reserved by the driver";
  if (sample.free)
    text += ", " + size_text(*sample.free) + " free";
  if (sample.unified)
    text += ", shared with the host: one pool";
  return text + ", from " + sample.source;
}

Diagnosis diagnose_gpu(const SurveyedDevice& device) {
  Diagnosis part{"gpu", Health::ok, title_of(device.sample) + ": " + numbers_of(device.sample), {}};
  if (!device.failed.empty())
    part.finding += "; " + joined(device.failed);
  for (const std::string& note : device.sample.notes)
    part.finding += "; " + note;
  if (!device.sample.complete()) {
    part.health = Health::warn;
    part.remedy = "tonnage cannot govern this GPU's memory; see docs/howto/gpu-memory.md";
  }
  return part;
}

Json optional_bytes(const std::optional<Bytes>& bytes) {
  return bytes ? Json(bytes->count) : Json(nullptr);
}

Json problems_json(const std::vector<SourceProblem>& problems) {
  Json rows = Json::array();
  for (const SourceProblem& problem : problems)
    rows.push_back({{"source", problem.source}, {"why", problem.why}});
  return rows;
}

Json device_json(const SurveyedDevice& device) {
  const DeviceSample& sample = device.sample;
  Json processes = Json::array();
  for (const DeviceProcess& process : sample.processes)
    processes.push_back({{"pid", process.pid}, {"bytes", optional_bytes(process.bytes)}});
  return {{"id", sample.id},
          {"pci", sample.pci},
          {"name", sample.name},
          {"total_bytes", optional_bytes(sample.total)},
          {"reserved_bytes", optional_bytes(sample.reserved)},
          {"used_bytes", optional_bytes(sample.used)},
          {"free_bytes", optional_bytes(sample.free)},
          {"processes", sample.processes_known ? std::move(processes) : Json(nullptr)},
          {"unified", sample.unified},
          {"source", sample.source},
          {"failed", problems_json(device.failed)},
          {"notes", sample.notes}};
}

}  // namespace

DeviceSurvey survey_gpus(const Config& config) {
  return make_device_probe({.injected = config.probe.devices_file.string(),
                            .vulkan_helper = {"/proc/self/exe", std::string(kVulkanHelperFlag)}})
      .survey();
}

std::optional<Result<std::vector<LlamaDevice>>> ask_engine_devices(const Config& config,
                                                                   const Environment& environment) {
  const auto programs = find_engine(config, environment);
  if (!programs)
    return std::nullopt;
  boost::asio::io_context loop;
  ProcessRunner runner(loop);
  Result<std::vector<LlamaDevice>> devices = fail("no answer from", programs->server.string());
  const auto env = llama_environment({.ld_library_path = variable(environment, "LD_LIBRARY_PATH")});
  list_llama_devices(runner, *programs, env,
                     [&](Result<std::vector<LlamaDevice>> listed) { devices = std::move(listed); });
  loop.run();
  return devices;
}

std::vector<Diagnosis> diagnose_gpus(
    const DeviceSurvey& survey,
    const std::optional<Result<std::vector<LlamaDevice>>>& engine_devices) {
  if (survey.devices.empty()) {
    const std::string asked = joined(survey.failed);
    return {{"gpu",
             Health::ok,
             "none found, models run in host memory" + (asked.empty() ? "" : "; " + asked),
             {}}};
  }
  std::vector<Diagnosis> parts;
  for (const SurveyedDevice& device : survey.devices)
    parts.push_back(diagnose_gpu(device));
  // A display chip that nobody measures is no reason to want another engine.
  const bool usable = std::ranges::any_of(
      survey.devices, [](const SurveyedDevice& device) { return device.sample.total.has_value(); });
  if (!engine_devices || !usable)
    return parts;
  if (!*engine_devices) {
    parts.push_back({"gpu", Health::warn, engine_devices->error().text(),
                     "without it, nobody knows whether the engine can use a GPU"});
  } else if ((*engine_devices)->empty()) {
    parts.push_back({"gpu", Health::fail,
                     "there is a GPU, but the engine offers no GPU device: models would run on "
                     "the processor",
                     "put a GPU plug-in of the same version (libggml-cuda.so or "
                     "libggml-vulkan.so) beside llama-server, or set engine.llama_server to a "
                     "build with one"});
  } else {
    std::string names;
    for (const LlamaDevice& device : **engine_devices)
      names += (names.empty() ? "" : ", ") + device.name;
    parts.push_back({"gpu", Health::ok, "the engine can use " + names, {}});
  }
  return parts;
}

Json gpus_json(const DeviceSurvey& survey) {
  Json devices = Json::array();
  for (const SurveyedDevice& device : survey.devices)
    devices.push_back(device_json(device));
  return {{"devices", std::move(devices)}, {"failed", problems_json(survey.failed)}};
}

}  // namespace tonnage
