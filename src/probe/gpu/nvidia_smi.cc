#include "probe/gpu/nvidia_smi.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/text.h"
#include "probe/proc_file.h"

namespace tonnage {
namespace {

// A table of 64 GPUs and a thousand processes is a tenth of it.
constexpr std::size_t kOutputBytesMax = std::size_t{1} << 20;

std::string_view next_cell(std::string_view& line) {
  return trim(next_field(line, ','), kProcBlanks);
}

// False where it is neither a number of MiB nor a word for "not told".
bool parse_mib(std::string_view field, std::optional<Bytes>& bytes) {
  bytes.reset();
  if (field.starts_with('[') && field.ends_with(']'))
    return true;
  const auto count = parse_count(field);
  if (!count || *count < 0 || *count > std::numeric_limits<std::int64_t>::max() / kMiB)
    return false;
  bytes = Bytes(*count * kMiB);
  return true;
}

}  // namespace

Result<std::vector<DeviceReading>> parse_smi_gpus(std::string_view text, bool with_reserved) {
  std::vector<DeviceReading> readings;
  std::string_view line;
  while (next_line(text, line)) {
    if (trim(line, kProcBlanks).empty())
      continue;
    std::string_view rest = line;
    DeviceReading reading;
    DeviceSample& sample = reading.sample;
    sample.source = "nvidia-smi";
    sample.id = next_cell(rest);
    sample.pci = kernel_pci_address(next_cell(rest));
    bool good = sample.id.starts_with("GPU-") || sample.id.starts_with("MIG-");
    good = good && parse_mib(next_cell(rest), sample.total);
    if (with_reserved)
      good = good && parse_mib(next_cell(rest), sample.reserved);
    good = good && parse_mib(next_cell(rest), sample.used);
    good = good && parse_mib(next_cell(rest), sample.free);
    sample.name = trim(rest, kProcBlanks);
    if (!good || sample.name.empty())
      return fail("cannot read the output of nvidia-smi", {}, "it printed " + shown_line(line));
    if (!sample.total) {
      reading.problem = "it does not tell this GPU's memory";
      reading.memory_not_supported = true;
    }
    readings.push_back(std::move(reading));
  }
  return readings;
}

Result<std::vector<SmiProcess>> parse_smi_processes(std::string_view text) {
  std::vector<SmiProcess> processes;
  std::string_view line;
  while (next_line(text, line)) {
    if (trim(line, kProcBlanks).empty())
      continue;
    std::string_view rest = line;
    SmiProcess entry;
    entry.gpu = next_cell(rest);
    const auto pid = parse_count(next_cell(rest));
    const bool good = entry.gpu.starts_with("GPU-") || entry.gpu.starts_with("MIG-");
    if (!good || !pid || *pid <= 0 || *pid > std::numeric_limits<std::int32_t>::max() ||
        !parse_mib(next_cell(rest), entry.process.bytes))
      return fail("cannot read the output of nvidia-smi", {}, "it printed " + shown_line(line));
    entry.process.pid = static_cast<std::int32_t>(*pid);
    processes.push_back(std::move(entry));
  }
  return processes;
}

Result<std::string> NvidiaSmiSource::ask(const std::string& query) {
  return program_.run({options_.program, query, "--format=csv,noheader,nounits"}, options_.timeout,
                      kOutputBytesMax);
}

Result<std::vector<DeviceReading>> NvidiaSmiSource::read() {
  bool with_reserved = true;
  auto gpus =
      ask("--query-gpu=uuid,pci.bus_id,memory.total,memory.reserved,memory.used,memory.free,name");
  // Drivers before 510 do not know what is reserved, and refuse the whole question.
  if (!gpus && gpus.error().why.find("memory.reserved") != std::string::npos) {
    with_reserved = false;
    gpus = ask("--query-gpu=uuid,pci.bus_id,memory.total,memory.used,memory.free,name");
  }
  if (!gpus)
    return std::unexpected(gpus.error());
  auto readings = parse_smi_gpus(*gpus, with_reserved);
  if (!readings || readings->empty())
    return readings;
  const auto text = ask("--query-compute-apps=gpu_uuid,pid,used_gpu_memory");
  const auto processes = text ? parse_smi_processes(*text)
                              : Result<std::vector<SmiProcess>>(std::unexpected(text.error()));
  for (DeviceReading& reading : *readings) {
    DeviceSample& sample = reading.sample;
    if (!processes) {
      sample.notes.push_back("processes are not known: " + processes.error().text());
      continue;
    }
    sample.processes_known = true;
    for (const SmiProcess& entry : *processes) {
      if (entry.gpu == sample.id)
        sample.processes.push_back(entry.process);
    }
    std::ranges::sort(sample.processes, {}, &DeviceProcess::pid);
    const auto again = std::ranges::unique(sample.processes, {}, &DeviceProcess::pid);
    sample.processes.erase(again.begin(), again.end());
  }
  return readings;
}

}  // namespace tonnage
