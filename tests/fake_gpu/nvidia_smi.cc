// An nvidia-smi over the shared device set, with the faults that the real one is known for.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include "device_set.h"

namespace {

using fake_gpu::Device;

std::string mib(std::uint64_t bytes, const Device& device) {
  return device.unified != 0 ? "[N/A]" : std::to_string(bytes >> 20);
}

std::string field(const fake_gpu::DeviceSet& set, std::size_t index, std::string_view name) {
  const Device& device = set.devices[index];
  const std::uint64_t used = fake_gpu::used_bytes(set, index);
  if (name == "uuid")
    return device.uuid;
  if (name == "pci.bus_id")
    return std::string("0000") + device.pci;
  if (name == "memory.total")
    return mib(device.total, device);
  if (name == "memory.reserved")
    return mib(device.reserved, device);
  if (name == "memory.used")
    return mib(used, device);
  if (name == "memory.free")
    return mib(device.total - device.reserved - used, device);
  return name == "name" ? device.name : "[Unknown]";
}

void print_gpus(const fake_gpu::DeviceSet& set, std::string_view fields) {
  for (std::size_t i = 0; i < set.device_count; ++i) {
    if (set.devices[i].mig_parent >= 0 || set.devices[i].lost != 0)
      continue;
    std::string line;
    std::string_view rest = fields;
    while (!rest.empty()) {
      const std::size_t comma = rest.find(',');
      line += (line.empty() ? "" : ", ") + field(set, i, rest.substr(0, comma));
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
    std::puts(line.c_str());
  }
}

// A line for each process.
void print_processes(const fake_gpu::DeviceSet& set) {
  for (std::size_t i = 0; i < set.device_count; ++i) {
    const Device& device = set.devices[i];
    std::map<std::int32_t, std::uint64_t> sums;
    for (const auto& allocation : device.allocations) {
      if (allocation.pid > 0 && allocation.free_at_ms == 0)
        sums[allocation.pid] += allocation.bytes;
    }
    for (const auto& [pid, bytes] : sums) {
      const std::string told = device.hides_bytes != 0 ? "[N/A]" : std::to_string(bytes >> 20);
      std::printf("%s, %d, %s\n", device.uuid, pid, told.c_str());
    }
  }
}

}  // namespace

int main(int count, char** words) {
  auto* shared = fake_gpu::set_of_environment();
  if (shared == nullptr) {
    std::puts("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.");
    return 9;
  }
  shared->notice_ends();
  const auto& set = shared->set();
  switch (set.smi) {
    case fake_gpu::Smi::works:
      break;
    case fake_gpu::Smi::hangs:
      while (true)
        ::pause();
    case fake_gpu::Smi::prints_garbage:
      std::puts("\x01\x02 what, is, this");
      return 0;
    case fake_gpu::Smi::fails:
      std::puts("Failed to initialize NVML: Driver/library version mismatch");
      return 18;
    case fake_gpu::Smi::floods:
      while (std::puts("GPU-a, 0000:08:00.0, 1, 1, 1, 1, x") >= 0)
        continue;
  }
  constexpr std::string_view kGpus = "--query-gpu=";
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word.starts_with(kGpus)) {
      if (fake_gpu::fault_of(set, "memory.reserved") != 0 &&
          word.find("memory.reserved") != std::string_view::npos) {
        std::puts("Field \"memory.reserved\" is not a valid field to query.");
        return 2;
      }
      print_gpus(set, word.substr(kGpus.size()));
    } else if (word.starts_with("--query-compute-apps=")) {
      print_processes(set);
    }
  }
  return 0;
}
