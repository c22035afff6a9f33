// NvidiaSmiSource: GPUs as the program nvidia-smi prints them, where no library can be used.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "probe/gpu/device_source.h"

namespace tonnage {

// The output of `--query-gpu=uuid,pci.bus_id,memory.total,memory.reserved,memory.used,
// memory.free,name --format=csv,noheader,nounits`: a line per GPU, whole MiB, "[N/A]" or
// "[Not Supported]" for what is not told. The name comes last because it may hold anything. Fails
// when a line is not of that form: half a table is not believed. Without `with_reserved` that
// column is not there.
// Source: `nvidia-smi --help-query-gpu`, https://docs.nvidia.com/deploy/nvidia-smi/
Result<std::vector<DeviceReading>> parse_smi_gpus(std::string_view text, bool with_reserved = true);

struct SmiProcess {
  std::string gpu;  // UUID
  DeviceProcess process;

  friend bool operator==(const SmiProcess&, const SmiProcess&) = default;
};

// The output of `--query-compute-apps=gpu_uuid,pid,used_gpu_memory --format=csv,noheader,nounits`.
Result<std::vector<SmiProcess>> parse_smi_processes(std::string_view text);

// Runs a short program and hands over what it printed. Fails when it cannot be started, ends with
// an error, prints more than `output_bytes_max` or is not done in time, and is killed then.
class QuickProgram {
 public:
  QuickProgram() = default;
  ~QuickProgram();
  QuickProgram(const QuickProgram&) = delete;
  QuickProgram& operator=(const QuickProgram&) = delete;

  Result<std::string> run(const std::vector<std::string>& argv, std::chrono::milliseconds timeout,
                          std::size_t output_bytes_max);

 private:
  bool stuck();

  // A process that hangs in the driver does not die when it is killed. No second one is started
  // beside it.
  ::pid_t stuck_ = 0;
};

class NvidiaSmiSource final : public DeviceSource {
 public:
  struct Options {
    std::string program = "nvidia-smi";  // as execvp finds it
    // It loads the driver where nothing else keeps it loaded, which takes seconds.
    std::chrono::milliseconds timeout{5'000};
  };
  explicit NvidiaSmiSource(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return "nvidia-smi"; }
  // Starts the program two or three times: for when there is nothing better.
  Result<std::vector<DeviceReading>> read() override;

 private:
  Result<std::string> ask(const std::string& query);

  Options options_;
  QuickProgram program_;
};

}  // namespace tonnage
