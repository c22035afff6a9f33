#include "config/device_pools.h"

#include <algorithm>
#include <string>
#include <utility>

#include "config/capacity_defaults.h"

namespace tonnage {
namespace {

constexpr std::size_t kDeviceNameBytesMax = 100;

void lay_over(PoolPolicy& policy, const DeviceBudget& budget) {
  policy.reserve = budget.reserve.value_or(policy.reserve);
  policy.max_permille = budget.max_permille.value_or(policy.max_permille);
  policy.limit = budget.limit ? budget.limit : policy.limit;
  policy.deficit_tolerance = budget.deficit_tolerance.value_or(policy.deficit_tolerance);
}

// No placement of the model has a layer on a GPU.
bool is_host_only(const ModelConfig& model) {
  const auto none = [](const std::optional<std::int32_t>& layers) { return layers == 0; };
  return none(model.gpu_layers) && std::ranges::all_of(model.ladder, [&](const LadderStep& step) {
           return !step.gpu_layers || none(step.gpu_layers);
         });
}

}  // namespace

void read_device_budgets(KeyReader& reader, const NestedNode& map, Config& config) {
  Problems& problems = reader.problems();
  const std::string path = "budgets.devices";
  if (map.node->kind != Node::Kind::map) {
    problems.add(map.origin, path + ": " + describe(*map.node) + " is given, but " +
                                 wanted(*map.spec) + " is wanted");
    return;
  }
  for (const NodeEntry& entry : map.node->entries) {
    const Origin where = reader.origin(entry.key, *map.node);
    const std::string& name = entry.key.text;
    if (entry.key.kind != Node::Kind::scalar || name.empty() || name.size() > kDeviceNameBytesMax) {
      problems.add(where,
                   path + ": " + describe(entry.key) +
                       " is not a device; name a pool such as gpu0, a UUID or a PCI address");
      continue;
    }
    if (std::ranges::find(config.device_budgets, name, &DeviceBudget::device) !=
        config.device_budgets.end()) {
      problems.add(where, path + ": " + in_quotes(name) + " is named twice");
      continue;
    }
    if (config.device_budgets.size() == kDeviceBudgetsMax) {
      problems.add(where, path + ": more than " + std::to_string(kDeviceBudgetsMax));
      return;
    }
    DeviceBudget budget{.device = name};
    KeyTarget target{.device = &budget};
    if (entry.value.kind == Node::Kind::map) {
      reader.read(entry.value, {KeyScope::device, "", std::string(path).append(".").append(name)},
                  target);
    } else {
      problems.add(where, path + "." + name + ": " + describe(entry.value) +
                              " is given, but a map such as {limit: 6GiB} is wanted");
    }
    config.device_budgets.push_back(std::move(budget));
  }
}

PoolPolicy device_policy(const Config& config, const DevicePool& device) {
  PoolPolicy policy = config.gpu;
  policy.name = device.name;
  for (const std::string& name : {device.name, device.id}) {
    const auto budget = std::ranges::find(config.device_budgets, name, &DeviceBudget::device);
    if (budget != config.device_budgets.end())
      lay_over(policy, *budget);
  }
  return policy;
}

void apply_devices(Config& config, std::vector<DevicePool> found) {
  if (config.cpu)
    found.clear();
  const bool own_memory = !std::ranges::all_of(found, &DevicePool::unified);
  if (own_memory)
    std::erase_if(found, [](const DevicePool& device) { return device.unified; });
  Capacities capacities;
  for (const DevicePool& device : found) {
    Bytes& largest = own_memory ? capacities.largest_device : capacities.unified;
    largest = std::max(largest, device.capacity);
  }
  apply_capacity_defaults(config, capacities);
  config.policy.unified_devices = own_memory ? 0 : static_cast<std::int32_t>(found.size());
  Bytes& context = config.policy.load.profile_device_reservation;
  context = Bytes{0};
  for (const DevicePool& device : found)
    context = std::max(context, device.context);
  for (std::size_t i = 0; i < config.models.size(); ++i)
    config.policy.models[i].host_only = is_host_only(config.models[i]);
  config.policy.pools.resize(1);
  for (const DevicePool& device : found) {
    if (own_memory)
      config.policy.pools.push_back(device_policy(config, device));
  }
  config.devices = std::move(found);
}

}  // namespace tonnage
