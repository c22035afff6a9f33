// InjectedSource: GPUs as a file describes them, for tests and for machines that no source knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "probe/gpu/device_source.h"

namespace tonnage {

struct InjectedDevices {
  std::optional<std::int64_t> sequence;  // of the sample; grows with each
  std::vector<DeviceReading> readings;

  friend bool operator==(const InjectedDevices&, const InjectedDevices&) = default;
};

// {"sequence": 7, "devices": [{"id": "GPU-a", "name": "a card", "pci": "0000:08:00.0",
//   "total_bytes": N, "reserved_bytes": N, "used_bytes": N, "free_bytes": N, "unified": false,
//   "processes": [{"pid": 7, "bytes": N}]}]}
// Only `devices` and each `id` must be there; `free_bytes` follows from total, reserved and used
// where it is missing. Errors name the field.
Result<InjectedDevices> parse_injected(std::string_view text);

class InjectedSource final : public DeviceSource {
 public:
  explicit InjectedSource(std::string path) : path_(std::move(path)) {}

  std::string_view name() const override { return "injected"; }
  // Reads the file anew. A sequence that goes backwards is an error: an older file came back. One
  // that stands still is not, nothing may have changed.
  Result<std::vector<DeviceReading>> read() override;

 private:
  std::string path_;
  std::optional<std::int64_t> sequence_;
};

}  // namespace tonnage
