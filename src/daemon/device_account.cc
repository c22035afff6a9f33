#include "daemon/device_account.h"

#include <algorithm>

namespace tonnage {
namespace {

const SurveyedDevice* find_device(const DeviceSurvey& survey, const std::string& id) {
  for (const SurveyedDevice& device : survey.devices) {
    if (device.sample.id == id)
      return &device;
  }
  return nullptr;
}

const DeviceSample* find_sample(const DeviceSurvey& survey, const std::string& id) {
  const SurveyedDevice* device = find_device(survey, id);
  return device == nullptr ? nullptr : &device->sample;
}

std::string why_silent(const SurveyedDevice& device, const DeviceSurvey& survey) {
  std::string why;
  for (const auto* problems : {&device.failed, &survey.failed}) {
    for (const SourceProblem& problem : *problems)
      why += (why.empty() ? "" : "; ") + problem.source + ": " + problem.why;
  }
  return why;
}

// Empty where none of them is listed.
std::optional<Bytes> bytes_of(const DeviceSample& sample, const OwnTree& tree) {
  std::optional<Bytes> sum;
  for (const DeviceProcess& process : sample.processes) {
    if (process.bytes && std::ranges::find(tree.pids, process.pid) != tree.pids.end())
      sum = sum.value_or(Bytes(0)) + *process.bytes;
  }
  return sum;
}

Bytes host_bytes_of(const DeviceSample& sample, const OwnTree& tree) {
  Bytes sum;
  for (const DeviceProcess& process : sample.processes) {
    if (std::ranges::find(tree.pids, process.pid) != tree.pids.end())
      sum += process.host_bytes;
  }
  return sum;
}

// Every process with its bytes.
bool tells_all(const DeviceSample& sample) {
  return sample.processes_known && std::ranges::all_of(sample.processes, [](const auto& process) {
           return process.bytes.has_value();
         });
}

Bytes charged(const DeviceCharge& charge, std::size_t index) {
  return index < charge.devices.size() ? charge.devices[index] : Bytes(0);
}

std::optional<Bytes> orphaned_of(const DeviceSample& sample) {
  // Where what the driver holds is not split out, it would look like memory that nobody holds.
  if (!tells_all(sample) || !sample.reserved)
    return std::nullopt;
  Bytes listed;
  for (const DeviceProcess& process : sample.processes)
    listed += *process.bytes;
  return std::max(Bytes(0), *sample.used - listed);
}

std::vector<DeviceProcess> foreign_of(const DeviceSample& sample, std::span<const OwnTree> own) {
  std::vector<DeviceProcess> foreign;
  for (const DeviceProcess& process : sample.processes) {
    const bool ours = std::ranges::any_of(own, [&](const OwnTree& tree) {
      return std::ranges::find(tree.pids, process.pid) != tree.pids.end();
    });
    if (!ours)
      foreign.push_back(process);
  }
  return foreign;
}

}  // namespace

DeviceAccount::DeviceAccount(const DevicePools& pools, ForeignMemory::Lives lives) : pools_(pools) {
  for (std::size_t i = 0; i < pools.devices().size(); ++i)
    states_.push_back({false, Bytes(0), ForeignMemory(lives)});
}

std::vector<DeviceCharge> charges_of(const Snapshot& snapshot) {
  std::vector<DeviceCharge> charges;
  for (const ModelSnapshot& model : snapshot.models) {
    if (!model.generation && model.state != ResidencyState::profiling)
      continue;
    const bool ready =
        model.state == ResidencyState::ready || model.state == ResidencyState::draining;
    charges.push_back({model.generation.value_or(dry_run_of(model.model)), model.device_reserved,
                       model.reserved, ready});
  }
  return charges;
}

bool DeviceAccount::tells_of_us(const DeviceSample& sample, std::size_t index,
                                std::span<const OwnTree> own,
                                std::span<const DeviceCharge> charges) {
  if (!tells_all(sample))
    return false;
  for (const OwnTree& tree : own)
    seen_ours_ = seen_ours_ || bytes_of(sample, tree).has_value();
  if (seen_ours_)
    return true;
  // A ready server on this device that nobody lists: the numbers are of another namespace.
  return std::ranges::none_of(charges, [index](const DeviceCharge& charge) {
    return charge.ready && charged(charge, index) > Bytes(0);
  });
}

PoolSampled DeviceAccount::judge_pool(std::size_t index, const DeviceSample& sample,
                                      std::span<const OwnTree> own,
                                      std::span<const DeviceCharge> charges, Tick now,
                                      DeviceTruth& truth, bool& processes_told) {
  PoolSampled event;
  event.pool = PoolId(static_cast<std::uint32_t>(index + 1));
  event.capacity = *sample.total - sample.reserved.value_or(Bytes(0));
  event.used = std::clamp(*sample.used, Bytes(0), event.capacity);
  event.orphaned = orphaned_of(sample);
  if (tells_of_us(sample, index, own, charges)) {
    Bytes ours;
    for (const OwnTree& tree : own) {
      const Bytes bytes = bytes_of(sample, tree).value_or(Bytes(0));
      ours += bytes;
      if (tree.generation)
        truth.servers[*tree.generation][index] = bytes;
    }
    event.foreign = std::max(Bytes(0), event.used - ours);
    event.expected = states_[index].others.expected(now, foreign_of(sample, own));
  } else {
    processes_told = false;
    Bytes certain;
    Bytes uncertain;
    for (const DeviceCharge& charge : charges)
      (charge.ready ? certain : uncertain) += charged(charge, index);
    const Bytes most = std::max(Bytes(0), event.used - certain);
    const Bytes least = std::max(Bytes(0), most - uncertain);
    event.foreign = std::clamp(states_[index].foreign, least, most);
  }
  states_[index].foreign = event.foreign;
  return event;
}

DeviceTruth DeviceAccount::judge(const DeviceSurvey& survey, std::span<const OwnTree> own,
                                 std::span<const DeviceCharge> charges, Tick now) {
  DeviceTruth truth;
  for (const OwnTree& tree : own) {
    if (tree.generation)
      truth.servers[*tree.generation].resize(states_.size());
  }
  bool processes_told = true;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const GovernedDevice& device = pools_.devices()[i];
    const DeviceSample* sample = find_sample(survey, device.id);
    if (sample == nullptr) {
      if (!states_[i].lost)
        truth.lost.push_back(
            {PoolId(static_cast<std::uint32_t>(i + 1)),
             (device.name.empty() ? device.id : device.name) + " is no longer visible"});
      states_[i].lost = true;
    }
    // Without its numbers a pool keeps its last sample, whose age is shown, and what servers hold
    // there is not known: certainly not nothing.
    if (sample == nullptr || !sample->complete()) {
      if (sample != nullptr) {
        truth.silent.push_back({PoolId(static_cast<std::uint32_t>(i + 1)),
                                why_silent(*find_device(survey, device.id), survey)});
      }
      processes_told = false;
      continue;
    }
    states_[i].lost = false;
    truth.pools.push_back(judge_pool(i, *sample, own, charges, now, truth, processes_told));
  }
  if (!processes_told || !seen_ours_) {
    for (auto& [generation, bytes] : truth.servers)
      bytes.clear();
  }
  add_in_host(survey, own, truth);
  return truth;
}

void DeviceAccount::add_in_host(const DeviceSurvey& survey, std::span<const OwnTree> own,
                                DeviceTruth& truth) const {
  const auto add = [&](const GovernedDevice& device, bool unified) {
    const DeviceSample* sample = find_sample(survey, device.id);
    if (sample == nullptr)
      return;
    for (const OwnTree& tree : own) {
      auto bytes = host_bytes_of(*sample, tree);
      if (const auto all = bytes_of(*sample, tree); unified && all)
        bytes = *all;
      if (bytes > Bytes(0) && tree.generation)
        truth.in_host[*tree.generation] += bytes;
    }
  };
  for (const GovernedDevice& device : pools_.devices())
    add(device, false);
  for (const GovernedDevice& device : pools_.unified())
    add(device, true);
}

}  // namespace tonnage
