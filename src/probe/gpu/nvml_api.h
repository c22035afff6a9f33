// NvmlApi: the part of NVIDIA's management library that tonnage calls, as a table of functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "probe/gpu/shared_library.h"

namespace tonnage {

// Names, values and layouts as in nvml.h of the NVML API 13
// (https://docs.nvidia.com/deploy/nvml-api/); the library is opened at run time, so that tonnage
// builds and starts without it.
using NvmlDevice = void*;
using NvmlReturn = int;

inline constexpr NvmlReturn kNvmlSuccess = 0;
inline constexpr NvmlReturn kNvmlNotSupported = 3;
inline constexpr NvmlReturn kNvmlNotFound = 6;
inline constexpr NvmlReturn kNvmlInsufficientSize = 7;
inline constexpr NvmlReturn kNvmlFunctionNotFound = 13;
inline constexpr NvmlReturn kNvmlVersionMismatch = 25;

struct NvmlMemory {  // nvmlMemory_t: `used` includes what is reserved
  std::uint64_t total = 0;
  std::uint64_t free = 0;
  std::uint64_t used = 0;
};
static_assert(sizeof(NvmlMemory) == 24);

struct NvmlMemoryV2 {  // nvmlMemory_v2_t: total = reserved + used + free
  std::uint32_t version = 0;
  std::uint64_t total = 0;
  std::uint64_t reserved = 0;
  std::uint64_t free = 0;
  std::uint64_t used = 0;
};
static_assert(sizeof(NvmlMemoryV2) == 40);
inline constexpr std::uint32_t kNvmlMemoryV2Version = sizeof(NvmlMemoryV2) | (2U << 24);

struct NvmlPci {  // nvmlPciInfo_t
  char bus_id_legacy[16] = {};
  std::uint32_t domain = 0;
  std::uint32_t bus = 0;
  std::uint32_t device = 0;
  std::uint32_t pci_device_id = 0;
  std::uint32_t pci_subsystem_id = 0;
  char bus_id[32] = {};
};
static_assert(sizeof(NvmlPci) == 68);

struct NvmlProcessDetail {  // nvmlProcessDetail_v1_t
  std::uint32_t pid = 0;
  std::uint64_t bytes = 0;
  std::uint32_t gpu_instance = 0;
  std::uint32_t compute_instance = 0;
  std::uint64_t protected_bytes = 0;
};
static_assert(sizeof(NvmlProcessDetail) == 32);

struct NvmlProcessDetailList {  // nvmlProcessDetailList_v1_t
  std::uint32_t version = 0;
  std::uint32_t mode = 0;  // 0 compute, 1 graphics, 2 MPS
  std::uint32_t count = 0;
  NvmlProcessDetail* processes = nullptr;
};
static_assert(sizeof(NvmlProcessDetailList) == 24);
inline constexpr std::uint32_t kNvmlDetailListVersion = sizeof(NvmlProcessDetailList) | (1U << 24);

// What every nvmlProcessInfo_t begins with; how far the next one is away depends on the driver.
struct NvmlProcessHead {
  std::uint32_t pid = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(NvmlProcessHead) == 16);
inline constexpr std::size_t kNvmlStrideV1 = 16;
inline constexpr std::size_t kNvmlStrideV2 = 24;
inline constexpr std::size_t kNvmlStrideR530 = 32;
// usedGpuMemory where the driver does not know it.
inline constexpr std::uint64_t kNvmlBytesUnknown = ~std::uint64_t{0};

using NvmlProcessList = NvmlReturn(NvmlDevice, unsigned* count, void* infos);

// Null where the library does not have the function. The first group is what a probe cannot do
// without; load_nvml() fails when one of it is missing.
struct NvmlApi {
  NvmlReturn (*init)() = nullptr;
  NvmlReturn (*shutdown)() = nullptr;
  NvmlReturn (*count)(unsigned*) = nullptr;
  NvmlReturn (*handle)(unsigned index, NvmlDevice*) = nullptr;
  NvmlReturn (*uuid)(NvmlDevice, char*, unsigned length) = nullptr;
  NvmlReturn (*memory)(NvmlDevice, NvmlMemory*) = nullptr;

  NvmlReturn (*name)(NvmlDevice, char*, unsigned length) = nullptr;
  NvmlReturn (*pci)(NvmlDevice, NvmlPci*) = nullptr;
  NvmlReturn (*memory_v2)(NvmlDevice, NvmlMemoryV2*) = nullptr;
  NvmlReturn (*details)(NvmlDevice, NvmlProcessDetailList*) = nullptr;
  NvmlProcessList* compute = nullptr;
  NvmlProcessList* graphics = nullptr;
  std::size_t compute_stride = kNvmlStrideV2;  // bytes from one entry to the next
  std::size_t graphics_stride = kNvmlStrideV2;
  NvmlReturn (*mig_mode)(NvmlDevice, unsigned* current, unsigned* pending) = nullptr;
  NvmlReturn (*mig_count)(NvmlDevice, unsigned*) = nullptr;
  NvmlReturn (*mig_handle)(NvmlDevice, unsigned index, NvmlDevice*) = nullptr;
};

// The functions point into `library`, which must live as long as they are called.
Result<NvmlApi> load_nvml(const SharedLibrary& library);

// Bytes per entry of nvmlDeviceGet*RunningProcesses in its version 1, 2 or 3. Drivers of the R530
// series return 32 bytes under the name of version 3, whose header says 24. They are known by what
// they have (confidential computing) and do not have yet (the detail list); the rule is that of
// nvitop (https://github.com/XuehaiPan/nvitop, nvitop/api/libnvml.py).
std::size_t nvml_process_stride(int version, bool has_confidential_computing, bool has_details);

// "NVML_ERROR_GPU_IS_LOST: the GPU has fallen off the bus ...": the name in nvml.h, what it means
// and what to do. An unknown code is given as a number.
std::string nvml_error_text(NvmlReturn code);

}  // namespace tonnage
