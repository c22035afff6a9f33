#include "daemon/device_pools.h"

#include <algorithm>
#include <numeric>

namespace tonnage {
namespace {

std::string title_of(const DeviceSample& sample) {
  return sample.name.empty() ? sample.id : sample.name + " (" + sample.id + ")";
}

Bytes capacity_of(const DeviceSample& sample) {
  return *sample.total - sample.reserved.value_or(Bytes(0));
}

}  // namespace

DevicePools::DevicePools(const DeviceSurvey& survey, std::span<const LlamaDevice> engine_devices) {
  std::vector<const DeviceSample*> samples;
  std::vector<GpuName> names;
  for (const SurveyedDevice& device : survey.devices) {
    const DeviceSample& sample = device.sample;
    if (!sample.complete()) {
      left_out_.push_back(title_of(sample) + ": nothing tells its memory");
      continue;
    }
    samples.push_back(&sample);
    names.push_back({sample.id, sample.name});
  }
  const LlamaGpus matched = match_gpus(names, engine_devices);
  choice_ = matched.choice;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const DeviceSample& sample = *samples[i];
    if (!matched.selectors[i]) {
      left_out_.push_back(title_of(sample) + ": the engine cannot use it");
      continue;
    }
    (sample.unified ? unified_ : devices_)
        .push_back({sample.id, sample.name, *matched.selectors[i], capacity_of(sample)});
  }
  one_each_ = std::ranges::any_of(
      devices_, [](const GovernedDevice& device) { return device.id.starts_with("MIG-"); });
  if (devices_.empty())
    return;
  for (const GovernedDevice& device : unified_)
    left_out_.push_back(device.name + " (" + device.id + "): it shares the host's memory, and " +
                        "there are GPUs with memory of their own");
  unified_.clear();
}

std::vector<DevicePool> DevicePools::found() const {
  std::vector<DevicePool> found;
  for (const GovernedDevice& device : all()) {
    found.push_back({.name = "gpu" + std::to_string(found.size()),
                     .id = device.id,
                     .capacity = device.capacity,
                     .unified = devices_.empty(),
                     .context = space().context});
  }
  return found;
}

std::vector<std::size_t> DevicePools::largest() const {
  std::vector<std::size_t> order(all().size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [this](std::size_t a, std::size_t b) {
    return all()[a].capacity > all()[b].capacity;
  });
  return order;
}

VisibleGpus DevicePools::visible(std::span<const PoolId> pools) const {
  std::vector<std::string> selectors;
  std::size_t next_unified = 0;
  for (const PoolId pool : pools) {
    if (pool == kHostPool && next_unified < unified_.size()) {
      selectors.push_back(unified_[next_unified++].selector);
    } else if (pool != kHostPool && pool.value <= devices_.size()) {
      selectors.push_back(devices_[pool.value - 1].selector);
    }
  }
  const DeviceSpace sizes = space();
  return visible_gpus(choice_, selectors, std::span(sizes.capacities).first(selectors.size()));
}

VisibleGpus DevicePools::visible_for_dry_run(std::size_t count) const {
  std::vector<std::string> selectors;
  for (const std::size_t i : largest()) {
    if (selectors.size() < count)
      selectors.push_back(all()[i].selector);
  }
  const DeviceSpace sizes = space();
  return visible_gpus(choice_, selectors, std::span(sizes.capacities).first(selectors.size()));
}

DeviceSpace DevicePools::space() const {
  DeviceSpace space;
  for (const std::size_t i : largest())
    space.capacities.push_back(all()[i].capacity);
  if (one_each_)
    space.capacities.resize(std::min<std::size_t>(1, space.capacities.size()));
  space.context = choice_ == GpuChoice::by_uuid ? kCudaContext : kOtherContext;
  return space;
}

}  // namespace tonnage
