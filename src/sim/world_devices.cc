// The part of the world that is about devices: what they really hold, and what probes say of them.
#include <algorithm>
#include <utility>

#include "sim/world.h"

namespace tonnage::sim {
namespace {

PoolId pool_of(std::size_t device) {
  return PoolId(static_cast<std::uint32_t>(device + 1));
}

}  // namespace

void World::place(Process& process, const StartServer& action, const PlacementRow& row) {
  const ModelTruth& truth = knobs_.models[action.model.value];
  process.device_bytes.assign(devices_.size(), Bytes(0));
  for (std::size_t i = 0; i < action.devices.size() && i < row.device_bytes.size(); ++i) {
    process.device_bytes[action.devices[i].value - 1] +=
        permille_of(row.device_bytes[i], truth.anon_permille);
  }
}

Bytes World::device_held(const Process& process, std::size_t device) const {
  if (process.device_bytes.empty())
    return Bytes(0);
  const Bytes whole = process.device_bytes[device];
  if (process.state != ProcessState::starting)
    return whole;
  const std::int64_t load = std::max<std::int64_t>(1, process.load.count());
  return permille_of(whole, std::min(load, (now_ - process.started).count()) * 1000 / load);
}

Bytes World::dry_run_held(std::size_t device) const {
  Bytes sum;
  for (const auto& [model, held] : dry_run_holds_)
    sum += held.empty() ? Bytes(0) : held[device];
  return sum;
}

Bytes World::device_held_at_most(PoolId pool) const {
  Bytes sum;
  for (const auto& [generation, process] : processes_) {
    if (!process.device_bytes.empty())
      sum += process.device_bytes[pool.value - 1];
  }
  return sum;
}

// Bytes of ended servers that a driver has not given back.
Bytes World::orphaned(std::size_t device) const {
  Bytes sum;
  for (const Returning& r : device_returning_) {
    if (r.device == device && r.until > now_)
      sum += r.bytes;
  }
  return sum;
}

// Where devices run full at all, whoever asks for more than there is fails.
bool World::device_is_full(const Process& process, Fault fault) {
  if (calm() || knobs_.rate(fault) == 0)
    return false;
  for (std::size_t i = 0; i < devices_.size() && !process.device_bytes.empty(); ++i) {
    if (process.device_bytes[i] == Bytes(0))
      continue;
    Bytes sum = devices_[i].foreign + orphaned(i) + dry_run_held(i);
    for (const auto& [generation, other] : processes_)
      sum += device_held(other, i);
    if (sum <= devices_[i].capacity)
      continue;
    ++fault_hits_[static_cast<std::size_t>(fault)];
    return true;
  }
  return false;
}

// A server that ended: its device memory comes back at once, late, or not for a long time.
void World::return_devices(Generation generation, const Process& process) {
  bool held = false;
  for (std::size_t i = 0; i < process.device_bytes.size(); ++i) {
    const Bytes bytes = device_held(process, i);
    if (bytes == Bytes(0))
      continue;
    held = true;
    if (!faulty(Fault::release_lag))
      continue;
    const bool leaks = faults_.chance(450);
    device_returning_.push_back({now_ + Duration(leaks ? faults_.between(8'000'000, 40'000'000)
                                                       : faults_.between(1'000, 3'000'000)),
                                 i, generation, bytes});
  }
  if (!held)
    return;
  // Probes look more often until the memory is back.
  for (const Duration after : {Duration(10ms), Duration(50ms), Duration(250ms), Duration(1500ms)}) {
    for (std::size_t i = 0; i < devices_.size(); ++i)
      agenda_.add(now_ + after, {Kind::sample_device, i});
  }
}

void World::kill_remains(const KillRemains& action) {
  if (faults_.chance(500))
    return;
  std::erase_if(device_returning_,
                [&](const Returning& r) { return r.generation == action.generation; });
}

std::optional<Event> World::sample_device(std::size_t device, bool again) {
  if (again) {
    agenda_.add(now_ + (calm() ? 10 : 1) * knobs_.sample_every, {Kind::sample_device, device, 1});
  }
  Device& truth = devices_[device];
  if (truth.lost_until > now_)
    return std::nullopt;
  if (truth.last && faulty(Fault::missing_sample))
    return std::nullopt;
  if (truth.last && faulty(Fault::stale_sample))
    return *truth.last;
  PoolSampled sample;
  sample.pool = pool_of(device);
  sample.capacity = truth.capacity;
  const Bytes orphans = orphaned(device);
  sample.foreign = truth.foreign + orphans;
  sample.used = sample.foreign + dry_run_held(device);
  for (const auto& [generation, process] : processes_)
    sample.used += device_held(process, device);
  if (knobs_.seed % 3 != 0)
    sample.orphaned = orphans;  // elsewhere nobody can tell
  sample.expected = truth.expected;
  if (truth.last && faulty(Fault::wrong_sample)) {
    if (faults_.chance(500))
      sample.foreign = permille_of(sample.capacity, faults_.between(0, 1000));
    else
      sample.capacity = permille_of(sample.capacity, faults_.between(0, 2000));
    return sample;
  }
  truth.last = sample;
  return sample;
}

std::optional<Event> World::lose_device() {
  if (calm())
    return std::nullopt;
  agenda_.add(now_ + Duration(faults_.between(100'000, 20'000'000)), {Kind::lose_device});
  if (!faulty(Fault::lost_device))
    return std::nullopt;
  const std::size_t device = faults_.below(devices_.size());
  devices_[device].lost_until = now_ + Duration(faults_.between(100'000, 20'000'000));
  for (auto& [generation, process] : processes_) {
    const bool there = !process.device_bytes.empty() && process.device_bytes[device] > Bytes(0);
    if (there && process.state == ProcessState::ready && faults_.chance(800))
      crash(generation, {FailureKind::crashed, "the device fell off the bus"});
  }
  return PoolLost{pool_of(device), "it fell off the bus"};
}

std::optional<Event> World::tell_stalls() {
  if (calm())
    return std::nullopt;
  agenda_.add(now_ + Duration(faults_.between(500'000, 12'000'000)), {Kind::tell_stalls});
  if (!faulty(Fault::stalls))
    return StallSampled{};
  return StallSampled{faults_.between(0, 800), faults_.between(0, 200)};
}

void World::move_device_foreign() {
  for (Device& device : devices_) {
    if (faults_.chance(500))
      continue;
    const Bytes before = device.foreign;
    device.foreign = permille_of(device.capacity, faults_.between(0, 800));
    // Some of what a program gave back it will ask for again.
    device.expected =
        faults_.chance(300) && before > device.foreign ? before - device.foreign : Bytes(0);
  }
}

void World::calm_devices() {
  device_returning_.clear();
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    devices_[i].foreign = knobs_.devices[i].foreign;
    devices_[i].expected = Bytes(0);
    devices_[i].lost_until = Tick{};
    agenda_.add(now_, {Kind::sample_device, i});
  }
  if (knobs_.rate(Fault::stalls) > 0)
    agenda_.add(now_, {Kind::calm_stalls});
}

}  // namespace tonnage::sim
