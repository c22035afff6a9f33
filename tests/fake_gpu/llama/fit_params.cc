// A llama-fit-params over the shared device set: the arithmetic of the server beside it, or wrong.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "llama/arguments.h"
#include "llama/behaviour.h"
#include "llama/device_memory.h"
#include "llama/engine.h"
#include "llama/engine_log.h"

namespace {

using namespace fake_gpu;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

void print_row(const std::string& name, std::uint64_t model, std::uint64_t context,
               std::uint64_t compute) {
  std::printf("%s %llu %llu %llu \n", name.c_str(), static_cast<unsigned long long>(model / kMiB),
              static_cast<unsigned long long>(context / kMiB),
              static_cast<unsigned long long>(compute / kMiB));
}

void print_plan(MemoryPlan plan, std::int64_t permille) {
  const auto wrong = [&](std::uint64_t bytes) {
    return bytes * static_cast<std::uint64_t>(permille) / 1000;
  };
  for (DevicePlan& device : plan.devices) {
    const std::uint64_t told = wrong(device.weights);
    print_row(device.device.name, told, wrong(device.context), wrong(device.compute));
    // No tensor is lost: what a wrong row does not have is in the host's.
    const std::uint64_t all = plan.host_weights + device.weights;
    plan.host_weights = all - std::min(all, told);
  }
  print_row("Host", plan.host_weights, plan.host_context, plan.host_compute);
}

// Any failure ends it as an exception that nobody catches.
[[noreturn]] void end_with(const std::string& why) {
  if (!why.empty())
    say('E', why);
  say('E', "llama_model_load_from_file_impl: failed to load model");
  say_plain("terminate called after throwing an instance of 'std::runtime_error'");
  say_plain("  what():  failed to load model");
  std::abort();
}

int run(const Arguments& arguments) {
  const Behaviour behaviour = read_behaviour(arguments.model);
  const auto set = open_set();
  const auto devices = chosen_devices(arguments, offered_devices(set.get(), behaviour));
  if (!devices) {
    say_plain(devices.error());
    return 1;
  }
  const auto model = read_model(arguments.model);
  if (!model)
    end_with(model.error());
  static const DeviceSet none{};
  const MemoryPlan plan =
      plan_memory(*model, arguments, *devices, set == nullptr ? none : set->set());
  if (set == nullptr) {
    print_plan(plan, behaviour.estimate_permille);
    return 0;
  }
  DeviceMemory memory(*set);
  for (const EngineDevice& device : *devices)
    memory.open_context(device, static_cast<std::uint64_t>(behaviour.context_mib) * kMiB);
  pause_ms(behaviour.dry_run_ms);
  say('I',
      "llama_fit_params: printing estimated memory in MiB to stdout (device, model, context, "
      "compute) ...");
  print_plan(plan, behaviour.estimate_permille);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  no_core_files();
  const auto arguments = parse_arguments({words + 1, words + count});
  if (!arguments) {
    say_plain(arguments.error());
    return 1;
  }
  if (arguments->version) {
    print_version();
    return 0;
  }
  return run(*arguments);
}
