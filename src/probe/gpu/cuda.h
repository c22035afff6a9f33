// CudaSource: GPUs as the CUDA driver names them, without opening a context on any.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "probe/gpu/device_source.h"
#include "probe/gpu/shared_library.h"

namespace tonnage {

// CUdevice and CUresult of cuda.h; CUuuid is 16 bytes.
using CudaDevice = int;
using CudaResult = int;
inline constexpr std::size_t kCudaUuidBytes = 16;

// Null where the library does not have the function; without the first group it cannot be used.
struct CudaApi {
  CudaResult (*init)(unsigned flags) = nullptr;
  CudaResult (*count)(int*) = nullptr;
  CudaResult (*device)(CudaDevice*, int index) = nullptr;
  CudaResult (*uuid)(unsigned char* bytes, CudaDevice) = nullptr;
  CudaResult (*total)(std::size_t*, CudaDevice) = nullptr;

  CudaResult (*name)(char*, int length, CudaDevice) = nullptr;
  CudaResult (*pci)(char*, int length, CudaDevice) = nullptr;
  CudaResult (*attribute)(int*, int which, CudaDevice) = nullptr;
};

Result<CudaApi> load_cuda(const SharedLibrary& library);

// "CUDA_ERROR_NO_DEVICE: ...", or the number of a code that is not named.
std::string cuda_error_text(CudaResult code);

// Totals and whether a device is integrated. What is used or free only cuMemGetInfo tells, which
// needs a context, and that takes 300 to 500 MiB of the memory that is to be measured. Devices
// that CUDA_VISIBLE_DEVICES hides are not among them, and their order is CUDA's own; the ids are
// UUIDs. The driver does not say whether a UUID is a MIG instance's, so each begins with "GPU-".
// Source: https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html
Result<std::vector<DeviceReading>> read_cuda(const CudaApi& api);

// The library is opened at the first call and closed with this object.
class CudaSource final : public DeviceSource {
 public:
  explicit CudaSource(std::string library = "libcuda.so.1");
  // For tests.
  explicit CudaSource(const CudaApi& api);

  std::string_view name() const override { return "cuda"; }
  Result<std::vector<DeviceReading>> read() override;

 private:
  std::string library_name_;
  std::optional<SharedLibrary> library_;
  std::optional<CudaApi> api_;
};

}  // namespace tonnage
