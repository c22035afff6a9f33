#include "llama/engine.h"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <string_view>

#include "llama/engine_log.h"

namespace fake_gpu {
namespace {

constexpr auto kArchitectures = std::to_array<std::string_view>(
    {"llama", "qwen2", "qwen3", "gemma3", "mistral3", "phi3", "bert", "nomic-bert"});

}  // namespace

std::unique_ptr<SharedSet> open_set() {
  const std::string path = state_path();
  if (path.empty())
    return nullptr;
  try {
    return std::make_unique<SharedSet>(path);
  } catch (const std::exception& error) {
    say('E', std::string("ggml_cuda_init: failed to initialize CUDA: ") + error.what());
    return nullptr;
  }
}

std::vector<EngineDevice> offered_devices(SharedSet* set, const Behaviour& behaviour) {
  if (set == nullptr || behaviour.no_devices)
    return {};
  std::vector<EngineDevice> devices = engine_devices(set->set());
  for (EngineDevice& device : devices) {
    if (behaviour.vulkan)
      device.name.replace(0, std::string_view("CUDA").size(), "Vulkan");
  }
  return devices;
}

std::expected<std::vector<EngineDevice>, std::string> chosen_devices(
    const Arguments& arguments, const std::vector<EngineDevice>& offered) {
  std::vector<EngineDevice> chosen = offered;
  if (arguments.devices) {
    chosen.clear();
    for (const std::string& name : *arguments.devices) {
      const auto found = std::ranges::find(offered, name, &EngineDevice::name);
      if (found == offered.end()) {
        return std::unexpected("error while handling argument \"--device\": invalid device: " +
                               name);
      }
      chosen.push_back(*found);
    }
  }
  if (arguments.gpu_layers == 0)
    return std::vector<EngineDevice>{};
  if (arguments.split_mode == "none" && !chosen.empty()) {
    if (arguments.main_gpu >= chosen.size())
      return std::unexpected("invalid value for main_gpu: " + std::to_string(arguments.main_gpu));
    return std::vector{chosen[arguments.main_gpu]};
  }
  return chosen;
}

std::expected<tonnage::GgufInfo, std::string> read_model(const std::string& path) {
  auto model = tonnage::read_gguf_model(path);
  if (!model)
    return std::unexpected("gguf_init_from_file: " + model.error().text());
  const std::string name = model->architecture();
  if (std::ranges::find(kArchitectures, name) == kArchitectures.end()) {
    return std::unexpected("llama_model_load: error loading model: unknown model architecture: '" +
                           name + "'");
  }
  return *std::move(model);
}

void print_version() {
  std::fputs("version: 0.5.0-dev (build 1, commit fa4e000)\nbuilt with GNU for Linux x86_64\n",
             stderr);
}

void print_devices(SharedSet* set, const std::vector<EngineDevice>& offered) {
  std::puts("Available devices:");
  if (offered.empty())
    std::puts("  (none)");
  for (const EngineDevice& device : offered) {
    const DeviceSet& all = set->set();
    const Device& one = all.devices[device.index];
    const std::uint64_t free = one.total - one.reserved - used_bytes(all, device.index);
    std::printf("  %s: %s (%llu MiB, %llu MiB free)\n", device.name.c_str(), one.name,
                static_cast<unsigned long long>(one.total >> 20),
                static_cast<unsigned long long>(free >> 20));
  }
}

void no_core_files() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

void pause_ms(std::int64_t ms) {
  if (ms > 0)
    ::poll(nullptr, 0, static_cast<int>(ms));
}

}  // namespace fake_gpu
