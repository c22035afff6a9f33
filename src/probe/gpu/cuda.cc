#include "probe/gpu/cuda.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

namespace tonnage {
namespace {

constexpr int kDevicesMax = 64;
constexpr int kIntegrated = 18;  // CU_DEVICE_ATTRIBUTE_INTEGRATED in cuda.h

struct ErrorName {
  CudaResult code;
  std::string_view text;
};

// CUresult in cuda.h, as
// https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__TYPES.html lists it: what the calls
// here return.
constexpr std::array kErrors = std::to_array<ErrorName>({
    {1, "CUDA_ERROR_INVALID_VALUE: the driver does not know what was asked for"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY: there is no memory left to start the driver"},
    {3, "CUDA_ERROR_NOT_INITIALIZED: the driver was not initialised"},
    {4, "CUDA_ERROR_DEINITIALIZED: the driver is shutting down"},
    {34, "CUDA_ERROR_STUB_LIBRARY: the library is the toolkit's stub, not the driver's"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE: another process holds the device for itself"},
    {100, "CUDA_ERROR_NO_DEVICE: there is no GPU, or CUDA_VISIBLE_DEVICES hides it"},
    {101, "CUDA_ERROR_INVALID_DEVICE: there is no such device"},
    {304, "CUDA_ERROR_OPERATING_SYSTEM: the operating system does not let it"},
    {801, "CUDA_ERROR_NOT_SUPPORTED: this device does not tell it"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY: the system is not ready yet (fabric manager?)"},
    {803,
     "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: library and kernel module are of different versions "
     "(the driver was upgraded: restart the machine)"},
    {804,
     "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: this GPU cannot use the compatibility "
     "library"},
    {999, "CUDA_ERROR_UNKNOWN: the driver does not say what went wrong"},
});

std::string problem_of(std::string_view function, CudaResult code) {
  return std::string(function) + ": " + cuda_error_text(code);
}

std::string uuid_text(const std::array<unsigned char, kCudaUuidBytes>& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "GPU-";
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      text += '-';
    text += kDigits[bytes[i] / 16];
    text += kDigits[bytes[i] % 16];
  }
  return text;
}

DeviceReading read_device(const CudaApi& api, int index) {
  DeviceReading reading;
  DeviceSample& sample = reading.sample;
  sample.source = "cuda";
  CudaDevice device = 0;
  std::array<unsigned char, kCudaUuidBytes> uuid{};
  CudaResult code = api.device(&device, index);
  if (code == 0)
    code = api.uuid(uuid.data(), device);
  if (code != 0) {
    reading.problem = "GPU " + std::to_string(index) + ": " + problem_of("cuDeviceGetUuid", code);
    return reading;
  }
  sample.id = uuid_text(uuid);
  std::array<char, 96> text{};
  constexpr int kTextMax = static_cast<int>(text.size()) - 1;
  if (api.name != nullptr && api.name(text.data(), kTextMax, device) == 0)
    sample.name = text.data();
  text = {};
  if (api.pci != nullptr && api.pci(text.data(), kTextMax, device) == 0) {
    sample.pci = kernel_pci_address(text.data());
  }
  int integrated = 0;
  if (api.attribute != nullptr && api.attribute(&integrated, kIntegrated, device) == 0)
    sample.unified = integrated == 1;
  std::size_t total = 0;
  code = api.total(&total, device);
  if (code != 0)
    reading.problem = problem_of("cuDeviceTotalMem", code);
  else if (total <= static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max()))
    sample.total = Bytes(static_cast<std::int64_t>(total));
  return reading;
}

}  // namespace

std::string cuda_error_text(CudaResult code) {
  for (const ErrorName& error : kErrors) {
    if (error.code == code)
      return std::string(error.text);
  }
  return "CUDA error " + std::to_string(code);
}

Result<CudaApi> load_cuda(const SharedLibrary& library) {
  CudaApi api;
  std::string missing;
  const auto find = [&]<typename R, typename... A>(R (*&slot)(A...), const char* symbol) {
    slot = library.function<R(A...)>(symbol);
    if (slot == nullptr && missing.empty())
      missing = symbol;
  };
  find(api.init, "cuInit");
  find(api.count, "cuDeviceGetCount");
  find(api.device, "cuDeviceGet");
  find(api.total, "cuDeviceTotalMem_v2");
  if (missing.empty()) {
    // Version 2 tells a MIG instance's own UUID.
    find(api.uuid, "cuDeviceGetUuid_v2");
    if (api.uuid == nullptr) {
      missing.clear();
      find(api.uuid, "cuDeviceGetUuid");
    }
  }
  if (!missing.empty())
    return fail("cannot use", "CUDA", "the library has no " + missing);
  find(api.name, "cuDeviceGetName");
  find(api.pci, "cuDeviceGetPCIBusId");
  find(api.attribute, "cuDeviceGetAttribute");
  return api;
}

Result<std::vector<DeviceReading>> read_cuda(const CudaApi& api) {
  if (const CudaResult code = api.init(0); code != 0)
    return fail("cannot start", "CUDA", problem_of("cuInit", code));
  int count = 0;
  if (const CudaResult code = api.count(&count); code != 0)
    return fail("cannot count GPUs", {}, problem_of("cuDeviceGetCount", code));
  if (count < 0 || count > kDevicesMax)
    return fail("cannot use", "CUDA", "it counts " + std::to_string(count) + " GPUs");
  std::vector<DeviceReading> readings;
  for (int i = 0; i < count; ++i)
    readings.push_back(read_device(api, i));
  return readings;
}

CudaSource::CudaSource(std::string library) : library_name_(std::move(library)) {}

CudaSource::CudaSource(const CudaApi& api) : api_(api) {}

Result<std::vector<DeviceReading>> CudaSource::read() {
  if (!api_) {
    auto library = SharedLibrary::open(library_name_);
    if (!library)
      return std::unexpected(library.error());
    auto api = load_cuda(*library);
    if (!api)
      return std::unexpected(api.error());
    library_ = std::move(*library);
    api_ = *api;
  }
  return read_cuda(*api_);
}

}  // namespace tonnage
