#include "probe/gpu/nvml_api.h"

#include <array>
#include <string_view>
#include <utility>

namespace tonnage {
namespace {

struct ErrorName {
  NvmlReturn code;
  std::string_view text;
};

// nvmlReturn_t in nvml.h, as https://github.com/NVIDIA/go-nvml, gen/nvml/nvml.h has it.
constexpr std::array kErrors = std::to_array<ErrorName>({
    {1, "NVML_ERROR_UNINITIALIZED: the library was not initialised"},
    {2, "NVML_ERROR_INVALID_ARGUMENT: the driver does not know what was asked for"},
    {3, "NVML_ERROR_NOT_SUPPORTED: this device does not tell it"},
    {4, "NVML_ERROR_NO_PERMISSION: this user may not ask"},
    {5, "NVML_ERROR_ALREADY_INITIALIZED: the library was initialised before"},
    {6, "NVML_ERROR_NOT_FOUND: there is no such device"},
    {7, "NVML_ERROR_INSUFFICIENT_SIZE: the answer does not fit, however large the buffer"},
    {8, "NVML_ERROR_INSUFFICIENT_POWER: a power cable of the GPU is not connected"},
    {9, "NVML_ERROR_DRIVER_NOT_LOADED: the kernel module is not loaded (try nvidia-modprobe)"},
    {10, "NVML_ERROR_TIMEOUT: the driver did not answer in its time"},
    {11, "NVML_ERROR_IRQ_ISSUE: the kernel has an interrupt problem with the GPU (see dmesg)"},
    {12, "NVML_ERROR_LIBRARY_NOT_FOUND: a library that it needs is missing"},
    {13, "NVML_ERROR_FUNCTION_NOT_FOUND: this driver does not have the function"},
    {14, "NVML_ERROR_CORRUPTED_INFOROM: the memory of settings on the card is corrupt"},
    {15,
     "NVML_ERROR_GPU_IS_LOST: the GPU has fallen off the bus (see dmesg for Xid; a restart of "
     "the machine may bring it back)"},
    {16, "NVML_ERROR_RESET_REQUIRED: the GPU must be reset before it can be used"},
    {17,
     "NVML_ERROR_OPERATING_SYSTEM: the operating system does not let it (a container without "
     "the device?)"},
    {18,
     "NVML_ERROR_LIB_RM_VERSION_MISMATCH: library and kernel module are of different versions "
     "(the driver was upgraded: restart the machine)"},
    {19, "NVML_ERROR_IN_USE: the GPU is in use in a way that forbids it"},
    {20, "NVML_ERROR_MEMORY: there is not enough memory for the answer"},
    {21, "NVML_ERROR_NO_DATA: there is nothing to tell yet"},
    {22, "NVML_ERROR_VGPU_ECC_NOT_SUPPORTED: not with ECC on this virtual GPU"},
    {23, "NVML_ERROR_INSUFFICIENT_RESOURCES: something else than memory ran out"},
    {24, "NVML_ERROR_FREQ_NOT_SUPPORTED: not at this frequency"},
    {25,
     "NVML_ERROR_ARGUMENT_VERSION_MISMATCH: this driver does not know the version of the "
     "structure"},
    {26, "NVML_ERROR_DEPRECATED: this driver no longer does it"},
    {27, "NVML_ERROR_NOT_READY: the system is not ready yet"},
    {28, "NVML_ERROR_GPU_NOT_FOUND: no GPU was found"},
    {29, "NVML_ERROR_INVALID_STATE: not in the state that the GPU is in"},
    {30, "NVML_ERROR_RESET_TYPE_NOT_SUPPORTED: the GPU cannot be reset in this way"},
    {999, "NVML_ERROR_UNKNOWN: the driver does not say what went wrong"},
});

NvmlProcessList* process_list(const SharedLibrary& library, const std::string& name,
                              std::size_t& stride, bool has_details) {
  const bool confidential =
      library.function<void()>("nvmlDeviceGetConfComputeMemSizeInfo") != nullptr;
  const std::pair<const char*, int> versions[] = {{"_v3", 3}, {"_v2", 2}, {"", 1}};
  for (const auto& [suffix, version] : versions) {
    auto* found = library.function<NvmlProcessList>((name + suffix).c_str());
    if (found == nullptr)
      continue;
    stride = nvml_process_stride(version, confidential, has_details);
    return found;
  }
  return nullptr;
}

}  // namespace

std::size_t nvml_process_stride(int version, bool has_confidential_computing, bool has_details) {
  if (version == 1)
    return kNvmlStrideV1;
  const bool r530 = version == 3 && has_confidential_computing && !has_details;
  return r530 ? kNvmlStrideR530 : kNvmlStrideV2;
}

Result<NvmlApi> load_nvml(const SharedLibrary& library) {
  NvmlApi api;
  std::string missing;
  const auto find = [&]<typename R, typename... A>(R (*&slot)(A...), const char* symbol) {
    slot = library.function<R(A...)>(symbol);
    if (slot == nullptr && missing.empty())
      missing = symbol;
  };
  find(api.init, "nvmlInit_v2");
  find(api.shutdown, "nvmlShutdown");
  find(api.count, "nvmlDeviceGetCount_v2");
  find(api.handle, "nvmlDeviceGetHandleByIndex_v2");
  find(api.uuid, "nvmlDeviceGetUUID");
  find(api.memory, "nvmlDeviceGetMemoryInfo");
  if (!missing.empty())
    return fail("cannot use", "NVML", "the library has no " + missing);
  find(api.name, "nvmlDeviceGetName");
  find(api.pci, "nvmlDeviceGetPciInfo_v3");
  find(api.memory_v2, "nvmlDeviceGetMemoryInfo_v2");
  find(api.details, "nvmlDeviceGetRunningProcessDetailList");
  find(api.mig_mode, "nvmlDeviceGetMigMode");
  find(api.mig_count, "nvmlDeviceGetMaxMigDeviceCount");
  find(api.mig_handle, "nvmlDeviceGetMigDeviceHandleByIndex");
  const bool details = api.details != nullptr;
  api.compute =
      process_list(library, "nvmlDeviceGetComputeRunningProcesses", api.compute_stride, details);
  api.graphics =
      process_list(library, "nvmlDeviceGetGraphicsRunningProcesses", api.graphics_stride, details);
  return api;
}

std::string nvml_error_text(NvmlReturn code) {
  for (const ErrorName& error : kErrors) {
    if (error.code == code)
      return std::string(error.text);
  }
  return "NVML error " + std::to_string(code);
}

}  // namespace tonnage
