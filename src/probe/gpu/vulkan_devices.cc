// list_vulkan_devices(): the helper process that opens the Vulkan loader.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "probe/gpu/shared_library.h"
#include "probe/gpu/vulkan.h"

namespace tonnage {
namespace {

// The part of Vulkan 1.1 that is needed, with the names, values and layouts of vulkan_core.h
// (https://github.com/KhronosGroup/Vulkan-Headers, include/vulkan/vulkan_core.h). They are fixed
// for ever, so that nothing is needed to build this.
using VkHandle = void*;
using VkStatus = std::int32_t;
using VkFunction = void();

constexpr std::uint32_t kVersion11 = (1U << 22U) | (1U << 12U);
constexpr std::uint32_t kInstanceCreateInfo = 1;
constexpr std::uint32_t kProperties2 = 1'000'059'001;
constexpr std::uint32_t kMemoryProperties2 = 1'000'059'006;
constexpr std::uint32_t kIdProperties = 1'000'071'004;
constexpr std::uint32_t kPciProperties = 1'000'212'000;
constexpr std::uint32_t kMemoryBudget = 1'000'237'000;
constexpr std::size_t kHeapsMax = 16;
constexpr std::size_t kTypesMax = 32;
constexpr std::uint32_t kDeviceLocal = 1;
constexpr std::uint32_t kListedMax = 64;

struct Application {  // VkApplicationInfo; its type is 0
  std::uint32_t type = 0;
  const void* next = nullptr;
  const char* name = "tonnage";
  std::uint32_t version = 0;
  const char* engine = nullptr;
  std::uint32_t engine_version = 0;
  std::uint32_t api = kVersion11;
};

struct InstanceInfo {  // VkInstanceCreateInfo
  std::uint32_t type = kInstanceCreateInfo;
  const void* next = nullptr;
  std::uint32_t flags = 0;
  const Application* application = nullptr;
  std::uint32_t layers = 0;
  const char* const* layer_names = nullptr;
  std::uint32_t extensions = 0;
  const char* const* extension_names = nullptr;
};

struct Properties {  // VkPhysicalDeviceProperties: 824 bytes, of which the limits are most
  std::uint32_t api = 0;
  std::uint32_t driver = 0;
  std::uint32_t vendor = 0;
  std::uint32_t device = 0;
  std::uint32_t type = 0;  // VkPhysicalDeviceType
  char name[256] = {};
  alignas(8) std::byte rest[544] = {};
};
static_assert(sizeof(Properties) == 824 && offsetof(Properties, name) == 20);

struct Properties2 {
  std::uint32_t type = kProperties2;
  void* next = nullptr;
  Properties properties;
};

struct IdProperties {  // VkPhysicalDeviceIDProperties
  std::uint32_t type = kIdProperties;
  void* next = nullptr;
  std::uint8_t device_uuid[16] = {};
  std::uint8_t driver_uuid[16] = {};
  std::uint8_t luid[8] = {};
  std::uint32_t node_mask = 0;
  std::uint32_t luid_valid = 0;
};
static_assert(sizeof(IdProperties) == 64);

struct PciProperties {  // VkPhysicalDevicePCIBusInfoPropertiesEXT
  std::uint32_t type = kPciProperties;
  void* next = nullptr;
  std::uint32_t domain = 0;
  std::uint32_t bus = 0;
  std::uint32_t device = 0;
  std::uint32_t function = 0;
};
static_assert(sizeof(PciProperties) == 32);

struct MemoryType {
  std::uint32_t flags = 0;
  std::uint32_t heap = 0;
};
struct MemoryHeap {
  std::uint64_t size = 0;
  std::uint32_t flags = 0;
};
struct MemoryProperties2 {  // VkPhysicalDeviceMemoryProperties2
  std::uint32_t type = kMemoryProperties2;
  void* next = nullptr;
  std::uint32_t types = 0;
  MemoryType type_list[kTypesMax] = {};
  std::uint32_t heaps = 0;
  MemoryHeap heap_list[kHeapsMax] = {};
};
static_assert(sizeof(MemoryProperties2) == 536);

struct MemoryBudget {  // VkPhysicalDeviceMemoryBudgetPropertiesEXT
  std::uint32_t type = kMemoryBudget;
  void* next = nullptr;
  std::uint64_t budget[kHeapsMax] = {};
  std::uint64_t usage[kHeapsMax] = {};
};
static_assert(sizeof(MemoryBudget) == 272);

struct Extension {  // VkExtensionProperties
  char name[256] = {};
  std::uint32_t version = 0;
};

struct Api {
  VkStatus (*enumerate)(VkHandle instance, std::uint32_t*, VkHandle*) = nullptr;
  VkStatus (*extensions)(VkHandle device, const char* layer, std::uint32_t*, Extension*) = nullptr;
  void (*properties)(VkHandle device, Properties2*) = nullptr;
  void (*memory)(VkHandle device, MemoryProperties2*) = nullptr;
};

int complain(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  return 1;
}

bool has_extension(const Api& api, VkHandle device, const char* name) {
  std::uint32_t count = 0;
  if (api.extensions(device, nullptr, &count, nullptr) != 0)
    return false;
  std::vector<Extension> extensions(count);
  if (api.extensions(device, nullptr, &count, extensions.data()) < 0)
    return false;
  extensions.resize(std::min<std::size_t>(count, extensions.size()));
  return std::ranges::any_of(
      extensions, [&](const Extension& e) { return std::strncmp(e.name, name, 256) == 0; });
}

const char* type_text(std::uint32_t type) {
  switch (type) {
    case 1:
      return "integrated";
    case 2:
      return "discrete";
    case 4:
      return "software";
    default:  // virtual GPUs, and what is none of all
      return "other";
  }
}

std::string uuid_text(const std::uint8_t (&bytes)[16]) {
  std::string text;
  for (std::size_t i = 0; i < 16; ++i) {
    std::array<char, 4> two{};
    std::snprintf(two.data(), two.size(), "%02x", bytes[i]);
    text += i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
    text += two.data();
  }
  return text;
}

struct Amounts {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

// Of the heaps on the device; of an integrated one all are.
Amounts amounts_of(const MemoryProperties2& memory, const MemoryBudget& budget, bool integrated) {
  Amounts amounts;
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(memory.heaps, kHeapsMax); ++i) {
    const MemoryHeap& heap = memory.heap_list[i];
    if (!integrated && (heap.flags & kDeviceLocal) == 0)
      continue;
    amounts.total += heap.size;
    amounts.free += budget.budget[i] - std::min(budget.budget[i], budget.usage[i]);
  }
  return amounts;
}

void print_device(const Api& api, VkHandle device) {
  const bool knows_pci = has_extension(api, device, "VK_EXT_pci_bus_info");
  const bool knows_budget = has_extension(api, device, "VK_EXT_memory_budget");
  PciProperties pci;
  IdProperties id;
  id.next = knows_pci ? &pci : nullptr;
  Properties2 properties;
  properties.next = &id;
  api.properties(device, &properties);
  MemoryBudget budget;
  MemoryProperties2 memory;
  memory.next = knows_budget ? &budget : nullptr;
  api.memory(device, &memory);

  const Properties& what = properties.properties;
  const Amounts amounts = amounts_of(memory, budget, what.type == 1);
  std::array<char, 32> place{"-"};
  if (knows_pci) {
    std::snprintf(place.data(), place.size(), "%04x:%02x:%02x.%x", pci.domain, pci.bus, pci.device,
                  pci.function);
  }
  std::string name(what.name, ::strnlen(what.name, sizeof(what.name)));
  std::ranges::replace_if(name, [](char c) { return c < ' '; }, ' ');
  std::printf("vulkan-device\t%s\t%04x\t%s\t%s\t%llu\t%s\t%s\n", type_text(what.type), what.vendor,
              uuid_text(id.device_uuid).c_str(), place.data(),
              static_cast<unsigned long long>(amounts.total),
              knows_budget ? std::to_string(amounts.free).c_str() : "-", name.c_str());
}

template <typename Function>
void find(Function*& slot, VkFunction* (*address)(VkHandle, const char*), VkHandle instance,
          const char* name) {
  slot = reinterpret_cast<Function*>(address(instance, name));
}

}  // namespace

int list_vulkan_devices() {
  const auto library = SharedLibrary::open("libvulkan.so.1");
  if (!library)
    return complain(library.error().text());
  auto* address = library->function<VkFunction*(VkHandle, const char*)>("vkGetInstanceProcAddr");
  if (address == nullptr)
    return complain("the library has no vkGetInstanceProcAddr");
  VkStatus (*create)(const InstanceInfo*, const void*, VkHandle*) = nullptr;
  find(create, address, nullptr, "vkCreateInstance");
  if (create == nullptr)
    return complain("the library has no vkCreateInstance");
  const Application application;
  const InstanceInfo info{.application = &application};
  VkHandle instance = nullptr;
  if (const VkStatus status = create(&info, nullptr, &instance); status != 0)
    return complain("vkCreateInstance: error " + std::to_string(status));
  Api api;
  find(api.enumerate, address, instance, "vkEnumeratePhysicalDevices");
  find(api.extensions, address, instance, "vkEnumerateDeviceExtensionProperties");
  find(api.properties, address, instance, "vkGetPhysicalDeviceProperties2");
  find(api.memory, address, instance, "vkGetPhysicalDeviceMemoryProperties2");
  if (api.enumerate == nullptr || api.extensions == nullptr || api.properties == nullptr ||
      api.memory == nullptr)
    return complain("the loader is older than Vulkan 1.1");
  std::array<VkHandle, kListedMax> devices{};
  std::uint32_t count = kListedMax;
  // More than fit is no error (VK_INCOMPLETE, positive).
  if (const VkStatus status = api.enumerate(instance, &count, devices.data()); status < 0)
    return complain("vkEnumeratePhysicalDevices: error " + std::to_string(status));
  for (std::uint32_t i = 0; i < count; ++i)
    print_device(api, devices[i]);
  std::printf("vulkan-devices %u\n", count);
  // Nothing is torn down: the process ends, and drivers crash there most of all.
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace tonnage
