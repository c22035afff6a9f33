// DeviceProbe: the GPUs of this machine, each measured by the best source that works for it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "probe/gpu/device_source.h"

namespace tonnage {

struct SourceProblem {
  std::string source;  // "nvml"
  std::string why;     // a sentence

  friend bool operator==(const SourceProblem&, const SourceProblem&) = default;
};

struct SurveyedDevice {
  // Not complete() when no source tells everything; what is missing is then in `failed`.
  DeviceSample sample;
  std::vector<SourceProblem> failed;  // better sources than sample.source, best first

  friend bool operator==(const SurveyedDevice&, const SurveyedDevice&) = default;
};

// A device that an earlier survey saw and this one does not.
struct LostDevice {
  std::string id;
  std::string pci;
  std::string name;
  std::string source;  // that saw it last

  friend bool operator==(const LostDevice&, const LostDevice&) = default;
};

struct DeviceSurvey {
  std::vector<SurveyedDevice> devices;  // by PCI address, then id
  std::vector<SourceProblem> failed;    // sources that do not work here at all
  std::vector<LostDevice> lost;         // until they are back

  friend bool operator==(const DeviceSurvey&, const DeviceSurvey&) = default;
};

// Sources of the same devices, best first. A worse one is asked only while a device is without
// numbers or no device was found.
struct SourceFamily {
  std::vector<std::unique_ptr<DeviceSource>> sources;
  bool wins = false;  // what it finds is all there is: no family after it is asked then
  // Asked only while no family before it found a device, or one of theirs is without numbers, which
  // it may then fill in.
  bool last_resort = false;
};

// Why the numbers cannot be true, or empty: no total, a total of zero, a negative amount, used or
// reserved or free beyond the total, or the three together beyond it.
std::string nonsense_in(const DeviceSample& sample);

// Falls from source to source per device and remembers why. What is not believed:
//  - numbers that contradict each other (nonsense_in);
//  - a total that differs from the same source's last one, until it was told twice in a row;
//  - bytes of a process beyond the device's total: that process's bytes become unknown.
// Unified memory is known by a source's flag, or by a driver that does not tell of memory while
// another source tells a total as large as the machine's. Its numbers are then the host's: total
// = MemTotal, free = MemAvailable, used = the difference; llama.cpp counts the same way for
// integrated devices (https://github.com/ggml-org/llama.cpp, ggml-cuda.cu).
//
// Blocks; not thread-safe.
class DeviceProbe {
 public:
  // `root` is "/" or a fixture tree, for /proc/meminfo.
  explicit DeviceProbe(std::vector<SourceFamily> families, std::string root = "/");

  DeviceSurvey survey();

 private:
  struct Candidate;
  void ask_family(const SourceFamily& family, std::vector<Candidate>& found, DeviceSurvey& survey);
  static void add(std::vector<Candidate>& own, std::vector<Candidate>& found);
  void take(DeviceReading reading, std::string_view source, Candidate& candidate);
  std::string disbelief(const DeviceSample& sample);
  void finish(Candidate& candidate) const;
  void find_lost(DeviceSurvey& survey);

  struct SeenTotal {
    Bytes believed;
    std::optional<Bytes> proposed;  // differs; believed when told again
  };

  std::vector<SourceFamily> families_;
  std::string root_;
  std::optional<Bytes> host_total_;
  std::optional<Bytes> host_available_;
  std::map<std::pair<std::string, std::string>, SeenTotal> totals_;  // by id and source
  std::map<std::string, LostDevice> known_;                          // by id, as last seen
};

// Where the sources are; the defaults are those of a machine.
struct DeviceSources {
  std::string root = "/";  // of /proc and /sys
  std::string injected;    // a file of devices that wins over all others; empty: none
  std::string nvml = "libnvidia-ml.so.1";
  std::string cuda = "libcuda.so.1";
  std::string nvidia_smi = "nvidia-smi";
  std::chrono::milliseconds nvidia_smi_timeout{5'000};
  // A command that does list_vulkan_devices(): tonnage itself with kVulkanHelperFlag. Empty: Vulkan
  // is not asked.
  std::vector<std::string> vulkan_helper;
};

// Asks every kind of source, in the order in which they are believed.
DeviceProbe make_device_probe(const DeviceSources& where);

}  // namespace tonnage
