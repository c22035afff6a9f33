// A libnvidia-ml.so.1 over the shared device set: what tonnage calls, and nothing else.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "device_set.h"

// The layouts are written down again, not included from src/probe: a mistake there must show here.
namespace {

using fake_gpu::Allocation;
using fake_gpu::Device;
using fake_gpu::Use;

constexpr int kSuccess = 0;
constexpr int kUninitialized = 1;
constexpr int kInvalidArgument = 2;
constexpr int kNotSupported = 3;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;
constexpr int kDriverNotLoaded = 9;
constexpr int kGpuIsLost = 15;
constexpr int kVersionMismatch = 25;

struct Memory {
  std::uint64_t total, free, used;
};
struct MemoryV2 {
  std::uint32_t version;
  std::uint64_t total, reserved, free, used;
};
struct ProcessV1 {
  std::uint32_t pid;
  std::uint64_t bytes;
};
struct ProcessV2 {
  std::uint32_t pid;
  std::uint64_t bytes;
  std::uint32_t gpu_instance, compute_instance;
};
struct ProcessR530 {
  std::uint32_t pid;
  std::uint64_t bytes;
  std::uint32_t gpu_instance, compute_instance;
  std::uint64_t protected_bytes;
};
struct DetailList {
  std::uint32_t version, mode, count;
  ProcessR530* processes;
};
struct Pci {
  char legacy[16];
  std::uint32_t domain, bus, device, id, subsystem;
  char bus_id[32];
};

int starts = 0;

// The devices as the driver tells them; null on a machine without any.
fake_gpu::DeviceSet* the_set() {
  auto* shared = fake_gpu::set_of_environment();
  if (shared == nullptr)
    return nullptr;
  shared->notice_ends();
#ifdef FAKE_GPU_STALE
  static fake_gpu::DeviceSet first = shared->set();
  return &first;
#else
  return &shared->set();
#endif
}

// Handles are the addresses of the devices.
std::int32_t index_of(void* handle) {
  return static_cast<std::int32_t>(static_cast<Device*>(handle) - the_set()->devices);
}

int check(const char* function, void* handle) {
  if (starts == 0)
    return kUninitialized;
  const auto* set = the_set();
  if (set == nullptr)
    return kDriverNotLoaded;
  if (handle != nullptr && static_cast<Device*>(handle)->lost != 0)
    return kGpuIsLost;
  return fake_gpu::fault_of(*set, function, handle == nullptr ? -1 : index_of(handle));
}

std::vector<ProcessV1> processes_of(void* handle, Use use) {
  const auto& device = *static_cast<Device*>(handle);
  std::map<std::int32_t, std::uint64_t> sums;
  for (const Allocation& allocation : device.allocations) {
    // The driver forgets the process at once, and its memory later.
    if (allocation.pid > 0 && allocation.free_at_ms == 0 && allocation.use == use)
      sums[allocation.pid] += allocation.bytes;
  }
  std::vector<ProcessV1> list;
  for (const auto& [pid, bytes] : sums) {
    list.push_back({static_cast<std::uint32_t>(pid),
                    device.hides_bytes != 0 ? fake_gpu::kBytesUnknown : bytes});
  }
  return list;
}

template <typename Entry>
int list_processes(const char* function, void* handle, unsigned* count, void* infos, Use use) {
  if (const int code = check(function, handle); code != kSuccess)
    return code;
  const auto list = processes_of(handle, use);
  const bool fits = *count >= list.size();
  *count = static_cast<unsigned>(list.size());
  if (!fits)
    return kInsufficientSize;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Entry entry{};
    entry.pid = list[i].pid;
    entry.bytes = list[i].bytes;
    std::memcpy(static_cast<char*>(infos) + i * sizeof(Entry), &entry, sizeof(entry));
  }
  return kSuccess;
}

int copy_text(const char* from, char* to, unsigned length) {
  if (std::strlen(from) + 1 > length)
    return kInsufficientSize;
  std::strcpy(to, from);
  return kSuccess;
}

bool has_own_memory(void* handle) {
  return static_cast<Device*>(handle)->unified == 0;
}

// The cards in their order, without the instances on them.
std::vector<std::int32_t> cards() {
  std::vector<std::int32_t> indices;
  const auto* set = the_set();
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(set->device_count, fake_gpu::kDevicesMax);
       ++i) {
    if (set->devices[i].mig_parent < 0)
      indices.push_back(static_cast<std::int32_t>(i));
  }
  return indices;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  const auto* set = the_set();
  if (set == nullptr)
    return kDriverNotLoaded;
  const int code = fake_gpu::fault_of(*set, "nvmlInit_v2");
  starts += code == kSuccess ? 1 : 0;
  return code;
}

int nvmlShutdown() {
  starts -= starts > 0 ? 1 : 0;
  return kSuccess;
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  // Every look at the devices begins with this.
  if (auto* shared = fake_gpu::set_of_environment())
    shared->count("nvml");
  const int code = check("nvmlDeviceGetCount_v2", nullptr);
  if (code == kSuccess)
    *count = static_cast<unsigned>(cards().size());
  return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** handle) {
  if (const int code = check("nvmlDeviceGetCount_v2", nullptr); code != kSuccess)
    return code;
  const auto indices = cards();
  if (index >= indices.size())
    return kInvalidArgument;
  *handle = &the_set()->devices[indices[index]];
  return check("nvmlDeviceGetHandleByIndex_v2", *handle);
}

int nvmlDeviceGetUUID(void* handle, char* text, unsigned length) {
  const int code = check("nvmlDeviceGetUUID", handle);
  return code != kSuccess ? code : copy_text(static_cast<Device*>(handle)->uuid, text, length);
}

int nvmlDeviceGetName(void* handle, char* text, unsigned length) {
  const int code = check("nvmlDeviceGetName", handle);
  return code != kSuccess ? code : copy_text(static_cast<Device*>(handle)->name, text, length);
}

int nvmlDeviceGetPciInfo_v3(void* handle, Pci* pci) {
  const int code = check("nvmlDeviceGetPciInfo_v3", handle);
  if (code != kSuccess)
    return code;
  *pci = {};
  // Eight digits of domain, as the driver writes them.
  const std::string address = std::string("0000") + static_cast<Device*>(handle)->pci;
  std::memcpy(pci->bus_id, address.data(), std::min(address.size(), sizeof(pci->bus_id) - 1));
  return kSuccess;
}

int nvmlDeviceGetMemoryInfo(void* handle, Memory* memory) {
  if (const int code = check("nvmlDeviceGetMemoryInfo", handle); code != kSuccess)
    return code;
  if (!has_own_memory(handle))
    return kNotSupported;
  const auto& device = *static_cast<Device*>(handle);
  const auto used = fake_gpu::used_bytes(*the_set(), static_cast<std::size_t>(index_of(handle)));
  *memory = {device.total, device.total - device.reserved - used, device.reserved + used};
  return kSuccess;
}

int nvmlDeviceGetMemoryInfo_v2(void* handle, MemoryV2* memory) {
  if (const int code = check("nvmlDeviceGetMemoryInfo_v2", handle); code != kSuccess)
    return code;
  if (memory->version != 0x2000028)
    return kVersionMismatch;
  if (!has_own_memory(handle))
    return kNotSupported;
  const auto& device = *static_cast<Device*>(handle);
  const auto used = fake_gpu::used_bytes(*the_set(), static_cast<std::size_t>(index_of(handle)));
  memory->total = device.total;
  memory->reserved = device.reserved;
  memory->free = device.total - device.reserved - used;
  memory->used = used;
  return kSuccess;
}

int nvmlDeviceGetMigMode(void* handle, unsigned* current, unsigned* pending) {
  const int code = check("nvmlDeviceGetMigMode", handle);
  if (code == kSuccess)
    *current = *pending = static_cast<Device*>(handle)->mig_mode;
  return code;
}

int nvmlDeviceGetMaxMigDeviceCount(void* handle, unsigned* count) {
  const int code = check("nvmlDeviceGetMaxMigDeviceCount", handle);
  if (code == kSuccess)
    *count = 7;
  return code;
}

// The first slot is left empty, as after an instance was destroyed.
int nvmlDeviceGetMigDeviceHandleByIndex(void* handle, unsigned index, void** instance) {
  if (const int code = check("nvmlDeviceGetMigDeviceHandleByIndex", handle); code != kSuccess)
    return code;
  auto& set = *the_set();
  unsigned slot = 1;
  for (std::uint32_t i = 0; i < set.device_count; ++i) {
    if (set.devices[i].mig_parent == index_of(handle) && slot++ == index) {
      *instance = &set.devices[i];
      return kSuccess;
    }
  }
  return kNotFound;
}

#ifdef FAKE_GPU_R530

int nvmlDeviceGetConfComputeMemSizeInfo() {
  return kNotSupported;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void* handle, unsigned* count, void* infos) {
  return list_processes<ProcessR530>("nvmlDeviceGetComputeRunningProcesses", handle, count, infos,
                                     Use::compute);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void* handle, unsigned* count, void* infos) {
  return list_processes<ProcessR530>("nvmlDeviceGetGraphicsRunningProcesses", handle, count, infos,
                                     Use::graphics);
}

#else

int nvmlDeviceGetConfComputeMemSizeInfo() {
  return kNotSupported;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void* handle, unsigned* count, void* infos) {
  return list_processes<ProcessV2>("nvmlDeviceGetComputeRunningProcesses", handle, count, infos,
                                   Use::compute);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(void* handle, unsigned* count, void* infos) {
  return list_processes<ProcessV2>("nvmlDeviceGetGraphicsRunningProcesses", handle, count, infos,
                                   Use::graphics);
}

int nvmlDeviceGetRunningProcessDetailList(void* handle, DetailList* list) {
  if (list->version != 0x1000018)
    return kVersionMismatch;
  if (list->mode > 1)
    return kInvalidArgument;
  return list_processes<ProcessR530>("nvmlDeviceGetRunningProcessDetailList", handle, &list->count,
                                     list->processes,
                                     list->mode == 0 ? Use::compute : Use::graphics);
}

#endif

}  // extern "C"
