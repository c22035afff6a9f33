// NvmlSource: GPUs and their memory as NVIDIA's management library tells them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "probe/gpu/device_source.h"
#include "probe/gpu/nvml_api.h"

namespace tonnage {

// Every device of an initialised library. A card with MIG on is given as its instances, because
// only these can be allocated from. Memory is asked for in version 2, whose `used` leaves out what
// driver and firmware hold; an older driver answers version 1, and then `reserved` stays empty.
// Compute and graphics processes are one list: a process in both is listed with the same bytes in
// each, so the larger of the two counts.
// Source: https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
Result<std::vector<DeviceReading>> read_nvml(const NvmlApi& api);

class NvmlSource final : public DeviceSource {
 public:
  // A file name is searched as the loader does; the unversioned name exists on machines that
  // develop only.
  explicit NvmlSource(std::string library = "libnvidia-ml.so.1");
  // A table of functions instead of a library, for tests. They must outlive this object.
  explicit NvmlSource(const NvmlApi& api);
  ~NvmlSource() override;

  std::string_view name() const override { return "nvml"; }
  // Opens and initialises on the first call and stays so, because each initialisation may load the
  // driver (0.1 s to seconds). What failed is tried again at the next call.
  Result<std::vector<DeviceReading>> read() override;

 private:
  Result<void> open();
  void close();

  std::string library_name_;
  std::optional<SharedLibrary> library_;
  std::optional<NvmlApi> api_;
  bool initialised_ = false;
};

}  // namespace tonnage
