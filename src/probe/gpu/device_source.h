// DeviceSource: one way to learn what the GPUs of this machine hold, behind one interface.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/text.h"

namespace tonnage {

// What one process holds on one device, its context included.
struct DeviceProcess {
  std::int32_t pid = 0;  // as the driver numbers it: in the namespace of the host
  // Empty where the driver lists the process but does not tell its bytes (WDDM, WSL2).
  std::optional<Bytes> bytes;
  // Memory of the host that the driver holds for it beside `bytes`, where that is reported (AMD's
  // GTT). It is in no process' resident set.
  Bytes host_bytes{};

  friend bool operator==(const DeviceProcess&, const DeviceProcess&) = default;
};

// A PCI address as the kernel writes it: "0000:08:00.0", of "00000000:08:00.0" with its eight
// digits of domain as of "0000:08:00.0" in capitals.
inline std::string kernel_pci_address(std::string_view address) {
  std::string text = to_lower(address);
  if (text.size() == 16 && text.starts_with("0000"))
    text.erase(0, 4);
  return text;
}

// One GPU, or one MIG instance of it. A number that nobody told is empty, never zero.
struct DeviceSample {
  // "GPU-..." or "MIG-..." (UUID), or "0000:08:00.0" (PCI address) where there is no UUID. Indices
  // are not used: nvidia-smi counts in PCI order, CUDA by default fastest first.
  std::string id;
  std::string pci;  // "0000:08:00.0"; may be empty
  std::string name;
  std::optional<Bytes> total;     // physical; what may be used is total - reserved
  std::optional<Bytes> reserved;  // held by driver and firmware; empty where it is not split out
  std::optional<Bytes> used;      // without `reserved` where that is known, with it otherwise
  std::optional<Bytes> free;
  std::vector<DeviceProcess> processes;  // ascending pids, one entry each
  // False where the list is empty because nobody may or can tell, not because nobody is there.
  bool processes_known = false;
  // Device and host are one memory: this device must alias the host pool, not add to it.
  bool unified = false;
  // Part of the processor, whether or not its memory is apart (an AMD APU with a large carve-out).
  bool integrated = false;
  std::string source;  // name() of the source that the numbers come from
  // Something to know about this device or its numbers: a sentence each.
  std::vector<std::string> notes;

  // Enough to govern by.
  bool complete() const { return total && used && free; }

  friend bool operator==(const DeviceSample&, const DeviceSample&) = default;
};

// A device as one source sees it: numbers, or the reason why it tells none of them.
struct DeviceReading {
  DeviceSample sample;  // with an empty id where not even that was told
  std::string problem;  // a sentence; empty when `sample` can be used
  // The driver says that memory is not something that it tells of this device. It says so of
  // devices that have none of their own, but not only of them.
  bool memory_not_supported = false;

  friend bool operator==(const DeviceReading&, const DeviceReading&) = default;
};

// Blocks for as long as the driver takes (microseconds to seconds): not for the loop. Not
// thread-safe; one owner calls it.
class DeviceSource {
 public:
  DeviceSource() = default;
  virtual ~DeviceSource() = default;
  DeviceSource(const DeviceSource&) = delete;
  DeviceSource& operator=(const DeviceSource&) = delete;

  virtual std::string_view name() const = 0;
  // Every device that it knows, in the source's order. An error means that the source as a whole
  // does not work here; what fails for one device is that device's problem.
  virtual Result<std::vector<DeviceReading>> read() = 0;
};

}  // namespace tonnage
