#include "probe/gpu/nvml.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>

namespace tonnage {
namespace {

// More than any machine has; a count beyond it was not meant.
constexpr unsigned kDevicesMax = 64;
constexpr unsigned kMigInstancesMax = 64;
// Tables of processes grow while one asks.
constexpr int kListTriesMax = 4;
constexpr unsigned kProcessesMax = 65'536;

// Pids with the bytes that were told, or nothing.
using ProcessTable = std::map<std::int32_t, std::optional<Bytes>>;

std::optional<Bytes> to_bytes(std::uint64_t count) {
  if (count > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return std::nullopt;
  return Bytes(static_cast<std::int64_t>(count));
}

// The library ends its texts with a zero; what does not is cut.
template <std::size_t Size>
std::string text_of(const std::array<char, Size>& buffer) {
  return {buffer.data(), ::strnlen(buffer.data(), Size)};
}

std::string problem_of(std::string_view function, NvmlReturn code) {
  return std::string(function) + ": " + nvml_error_text(code);
}

void add(ProcessTable& table, std::uint32_t pid, std::uint64_t bytes) {
  if (pid == 0 || pid > static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max()))
    return;
  auto& entry = table[static_cast<std::int32_t>(pid)];
  const auto told = bytes == kNvmlBytesUnknown ? std::nullopt : to_bytes(bytes);
  if (told && (!entry || *entry < *told))
    entry = told;
}

// Asks with no room first, which tells how much is needed; `ask(count)` is called again with room.
template <typename Ask>
NvmlReturn with_room(Ask ask) {
  unsigned count = 0;
  NvmlReturn code = ask(count);
  for (int tries = 0; code == kNvmlInsufficientSize && tries < kListTriesMax; ++tries) {
    count = std::min(count, kProcessesMax) * 2 + 5;
    code = ask(count);
  }
  return code;
}

NvmlReturn read_list(NvmlProcessList* list, std::size_t stride, NvmlDevice device,
                     ProcessTable& table) {
  std::vector<std::byte> buffer;
  return with_room([&](unsigned& count) {
    // Room for the largest layout, should a driver write more than it should.
    const unsigned room = count;
    buffer.assign(room * kNvmlStrideR530, std::byte{0});
    const NvmlReturn code = list(device, &count, room == 0 ? nullptr : buffer.data());
    if (code != kNvmlSuccess)
      return code;
    for (std::size_t i = 0; i < std::min(count, room); ++i) {
      NvmlProcessHead head;
      std::memcpy(&head, buffer.data() + i * stride, sizeof(head));
      add(table, head.pid, head.bytes);
    }
    return code;
  });
}

NvmlReturn read_details(const NvmlApi& api, NvmlDevice device, std::uint32_t mode,
                        ProcessTable& table) {
  std::vector<NvmlProcessDetail> entries;
  return with_room([&](unsigned& count) {
    entries.assign(count, {});
    NvmlProcessDetailList list{.version = kNvmlDetailListVersion,
                               .mode = mode,
                               .count = count,
                               .processes = entries.empty() ? nullptr : entries.data()};
    const NvmlReturn code = api.details(device, &list);
    count = list.count;
    if (code != kNvmlSuccess)
      return code;
    for (std::size_t i = 0; i < std::min<std::size_t>(count, entries.size()); ++i)
      add(table, entries[i].pid, entries[i].bytes);
    return code;
  });
}

// One kind of process, compute (0) or graphics (1): from the versioned list, whose layout cannot
// be mistaken, else from the old one.
NvmlReturn read_kind(const NvmlApi& api, NvmlDevice device, std::uint32_t mode,
                     ProcessTable& table) {
  if (api.details != nullptr) {
    ProcessTable found;
    if (read_details(api, device, mode, found) == kNvmlSuccess) {
      for (const auto& [pid, bytes] : found)
        add(table, static_cast<std::uint32_t>(pid),
            bytes ? static_cast<std::uint64_t>(bytes->count) : kNvmlBytesUnknown);
      return kNvmlSuccess;
    }
  }
  NvmlProcessList* list = mode == 0 ? api.compute : api.graphics;
  if (list == nullptr)
    return kNvmlFunctionNotFound;
  return read_list(list, mode == 0 ? api.compute_stride : api.graphics_stride, device, table);
}

void read_processes(const NvmlApi& api, NvmlDevice device, DeviceSample& sample) {
  ProcessTable table;
  const NvmlReturn compute = read_kind(api, device, 0, table);
  const NvmlReturn graphics = read_kind(api, device, 1, table);
  sample.processes_known = compute == kNvmlSuccess;
  if (compute != kNvmlSuccess)
    sample.notes.push_back("nvml does not list compute processes: " + nvml_error_text(compute));
  // Cards without a display, and MIG instances, have no graphics to tell of.
  if (graphics != kNvmlSuccess && graphics != kNvmlNotSupported)
    sample.notes.push_back("nvml does not list graphics processes: " + nvml_error_text(graphics));
  for (const auto& [pid, bytes] : table)
    sample.processes.push_back({pid, bytes});
}

void read_memory(const NvmlApi& api, NvmlDevice device, DeviceReading& reading) {
  DeviceSample& sample = reading.sample;
  if (api.memory_v2 != nullptr) {
    NvmlMemoryV2 memory{.version = kNvmlMemoryV2Version};
    const NvmlReturn code = api.memory_v2(device, &memory);
    if (code == kNvmlSuccess) {
      sample.total = to_bytes(memory.total);
      sample.reserved = to_bytes(memory.reserved);
      sample.used = to_bytes(memory.used);
      sample.free = to_bytes(memory.free);
      return;
    }
    // An older driver behind a newer library; anything else version 1 would fail with as well.
    if (code != kNvmlFunctionNotFound && code != kNvmlVersionMismatch &&
        code != kNvmlNotSupported) {
      reading.problem = problem_of("nvmlDeviceGetMemoryInfo_v2", code);
      return;
    }
  }
  NvmlMemory memory;
  const NvmlReturn code = api.memory(device, &memory);
  if (code != kNvmlSuccess) {
    reading.problem = problem_of("nvmlDeviceGetMemoryInfo", code);
    reading.memory_not_supported = code == kNvmlNotSupported;
    return;
  }
  sample.total = to_bytes(memory.total);
  sample.used = to_bytes(memory.used);
  sample.free = to_bytes(memory.free);
}

// Who the device is; its memory comes after.
DeviceReading identify(const NvmlApi& api, NvmlDevice device) {
  DeviceReading reading;
  reading.sample.source = "nvml";
  std::array<char, 96> text{};
  if (api.name != nullptr && api.name(device, text.data(), text.size()) == kNvmlSuccess)
    reading.sample.name = text_of(text);
  NvmlPci pci;
  if (api.pci != nullptr && api.pci(device, &pci) == kNvmlSuccess)
    reading.sample.pci = kernel_pci_address(text_of(std::to_array(pci.bus_id)));
  text = {};
  const NvmlReturn code = api.uuid(device, text.data(), text.size());
  if (code == kNvmlSuccess) {
    reading.sample.id = text_of(text);
  } else {
    reading.sample.id = reading.sample.pci;
    reading.problem = problem_of("nvmlDeviceGetUUID", code);
  }
  return reading;
}

DeviceReading measure(const NvmlApi& api, NvmlDevice device) {
  DeviceReading reading = identify(api, device);
  if (!reading.problem.empty())
    return reading;
  read_memory(api, device, reading);
  read_processes(api, device, reading.sample);
  return reading;
}

bool mig_is_on(const NvmlApi& api, NvmlDevice device) {
  unsigned current = 0;
  unsigned pending = 0;
  return api.mig_mode != nullptr && api.mig_count != nullptr && api.mig_handle != nullptr &&
         api.mig_mode(device, &current, &pending) == kNvmlSuccess && current == 1;
}

void measure_instances(const NvmlApi& api, NvmlDevice device,
                       std::vector<DeviceReading>& readings) {
  DeviceReading card = identify(api, device);
  unsigned count = 0;
  const NvmlReturn code = api.mig_count(device, &count);
  bool any = false;
  for (unsigned i = 0; code == kNvmlSuccess && i < std::min(count, kMigInstancesMax); ++i) {
    NvmlDevice instance = nullptr;
    // Slots without an instance are normal: NOT_FOUND.
    if (api.mig_handle(device, i, &instance) != kNvmlSuccess)
      continue;
    DeviceReading reading = measure(api, instance);
    if (reading.sample.name.empty())
      reading.sample.name = card.sample.name + " (MIG instance)";
    if (reading.sample.pci.empty())
      reading.sample.pci = card.sample.pci;
    readings.push_back(std::move(reading));
    any = true;
  }
  if (any)
    return;
  card.problem = code == kNvmlSuccess ? "MIG is on, and no instance was made (nvidia-smi mig -cgi)"
                                      : problem_of("nvmlDeviceGetMaxMigDeviceCount", code);
  readings.push_back(std::move(card));
}

}  // namespace

Result<std::vector<DeviceReading>> read_nvml(const NvmlApi& api) {
  unsigned count = 0;
  if (const NvmlReturn code = api.count(&count); code != kNvmlSuccess)
    return fail("cannot count GPUs", {}, problem_of("nvmlDeviceGetCount_v2", code));
  if (count > kDevicesMax)
    return fail("cannot use", "NVML", "it counts " + std::to_string(count) + " GPUs");
  std::vector<DeviceReading> readings;
  for (unsigned i = 0; i < count; ++i) {
    NvmlDevice device = nullptr;
    const NvmlReturn code = api.handle(i, &device);
    if (code != kNvmlSuccess) {
      // Without a handle there is no name for it either.
      DeviceReading reading;
      reading.sample.source = "nvml";
      reading.problem =
          "GPU " + std::to_string(i) + ": " + problem_of("nvmlDeviceGetHandleByIndex_v2", code);
      readings.push_back(std::move(reading));
    } else if (mig_is_on(api, device)) {
      measure_instances(api, device, readings);
    } else {
      readings.push_back(measure(api, device));
    }
  }
  return readings;
}

NvmlSource::NvmlSource(std::string library) : library_name_(std::move(library)) {}

NvmlSource::NvmlSource(const NvmlApi& api) : api_(api) {}

NvmlSource::~NvmlSource() {
  close();
}

Result<void> NvmlSource::open() {
  if (initialised_)
    return {};
  if (!api_) {
    auto library = SharedLibrary::open(library_name_);
    if (!library)
      return std::unexpected(library.error());
    auto api = load_nvml(*library);
    if (!api)
      return std::unexpected(api.error());
    library_ = std::move(*library);
    api_ = *api;
  }
  const NvmlReturn code = api_->init();
  if (code != kNvmlSuccess)
    return fail("cannot start", "NVML", problem_of("nvmlInit_v2", code));
  initialised_ = true;
  return {};
}

void NvmlSource::close() {
  if (initialised_)
    api_->shutdown();
  initialised_ = false;
}

Result<std::vector<DeviceReading>> NvmlSource::read() {
  if (auto opened = open(); !opened)
    return std::unexpected(opened.error());
  auto readings = read_nvml(*api_);
  // A driver that was reloaded wants a new start; the next call makes it.
  if (!readings)
    close();
  return readings;
}

}  // namespace tonnage
