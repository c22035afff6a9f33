#include "report.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>

#include <nlohmann/json.hpp>

namespace fake_gpu {
namespace {

using nlohmann::json;

constexpr std::array<const char*, kOwners> kOwnerNames = {"unknown", "server", "foreign"};

json owners_of(const DeviceSet& set, std::size_t index) {
  json owners = json::object();
  for (std::size_t owner = 0; owner < kOwners; ++owner) {
    const Tally& tally = set.devices[index].tallies[owner];
    owners[kOwnerNames[owner]] = {{"held", used_bytes(set, index, static_cast<Owner>(owner))},
                                  {"allocations", tally.allocations},
                                  {"allocated_bytes", tally.allocated_bytes},
                                  {"refused", tally.refused},
                                  {"refused_bytes", tally.refused_bytes}};
  }
  return owners;
}

json device_of(const DeviceSet& set, std::size_t index) {
  const Device& device = set.devices[index];
  std::map<std::string, std::uint64_t> processes;
  std::uint64_t leaked = 0;
  for (const Allocation& allocation : device.allocations) {
    if (allocation.free_at_ms != 0)
      continue;
    if (allocation.pid == kNoProcess)
      leaked += allocation.bytes;
    else if (allocation.pid != 0)
      processes[std::to_string(allocation.pid)] += allocation.bytes;
  }
  return {{"uuid", device.uuid},         {"name", device.name},
          {"total", device.total},       {"reserved", device.reserved},
          {"lost", device.lost != 0},    {"used", used_bytes(set, index)},
          {"used_max", device.used_max}, {"owners", owners_of(set, index)},
          {"processes", processes},      {"leaked", leaked}};
}

json refusal_of(const Refusal& refusal) {
  json held = json::object();
  for (std::size_t owner = 0; owner < kOwners; ++owner)
    held[kOwnerNames[owner]] = refusal.held_bytes[owner];
  return {{"at_ms", refusal.at_ms},
          {"pid", refusal.pid},
          {"owner", kOwnerNames[static_cast<std::size_t>(refusal.owner) % kOwners]},
          {"device", refusal.device},
          {"bytes", refusal.bytes},
          {"free_bytes", refusal.free_bytes},
          {"held_bytes", held}};
}

}  // namespace

std::string report(const DeviceSet& set) {
  json devices = json::array();
  for (std::size_t i = 0; i < std::min<std::size_t>(set.device_count, kDevicesMax); ++i)
    devices.push_back(device_of(set, i));
  json refusals = json::array();
  const std::uint64_t kept = std::min<std::uint64_t>(set.refusal_count, kRefusalsKept);
  for (std::uint64_t i = set.refusal_count - kept; i < set.refusal_count; ++i)
    refusals.push_back(refusal_of(set.refusals[i % kRefusalsKept]));
  json counters = json::object();
  for (const Counter& counter : set.counters) {
    if (counter.name[0] != '\0')
      counters[counter.name] = counter.value;
  }
  return json{{"time_ms", time_ms(set)},
              {"devices", devices},
              {"refusal_count", set.refusal_count},
              {"refusals", refusals},
              {"counters", counters}}
      .dump();
}

}  // namespace fake_gpu
