#include "probe/gpu/drm.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <system_error>
#include <tuple>

#include "probe/gpu/drm_fdinfo.h"
#include "probe/gpu/kfd.h"
#include "probe/meminfo.h"
#include "probe/proc_file.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

// Entries of a folder in their order; none where it cannot be read, which `error` says.
std::vector<fs::path> entries_of(const fs::path& folder, std::error_code& error) {
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    entries.push_back(it->path());
  std::ranges::sort(entries);
  return entries;
}

// "card0", but not its outputs: "card0-HDMI-A-1".
bool is_card(const std::string& name) {
  return name.starts_with("card") && name.size() > 4 &&
         name.find_first_not_of("0123456789", 4) == std::string::npos;
}

// Other drivers are for display chips of servers and for virtual machines: no model runs there.
bool is_gpu_driver(std::string_view driver) {
  constexpr std::string_view kDrivers[] = {"amdgpu", "i915", "nouveau", "nvidia", "radeon", "xe"};
  return std::ranges::find(kDrivers, driver) != std::end(kDrivers);
}

Result<Bytes> read_bytes(const std::string& path) {
  const auto text = read_proc_file(path);
  if (!text)
    return std::unexpected(text.error());
  const auto count = parse_count(*text);
  if (!count)
    return fail("cannot use", path, "it holds no number");
  return Bytes(*count);
}

// Last part of the link `name` in a device's folder: "amdgpu", "0000:08:00.0".
std::string link_end(const fs::path& link) {
  std::error_code error;
  return fs::read_symlink(link, error).filename().string();
}

bool is_apu(const std::string& folder) {
  constexpr std::size_t kFormatAt = 2;  // metrics_table_header: u16 size, u8 format, u8 content
  const auto metrics = read_proc_file(folder + "/gpu_metrics");
  if (!metrics || metrics->size() <= kFormatAt)
    return false;
  const char format = (*metrics)[kFormatAt];
  return format == 2 || format == 3;
}

std::string pci_in(const std::string& uevent) {
  constexpr std::string_view kKey = "PCI_SLOT_NAME=";
  const std::size_t at = uevent.find(kKey);
  if (at == std::string::npos)
    return {};
  const std::size_t begin = at + kKey.size();
  return uevent.substr(begin, uevent.find('\n', begin) - begin);
}

struct Holding {
  std::int32_t pid;
  DrmClient client;
};

// All DRM clients of one process. False where its files may not be looked at.
bool clients_of(const fs::path& process, std::int32_t pid, std::vector<Holding>& holdings) {
  std::error_code error;
  for (const fs::path& fd : entries_of(process / "fd", error)) {
    std::error_code ignored;
    if (!fs::read_symlink(fd, ignored).string().starts_with("/dev/dri/"))
      continue;
    const auto text = read_proc_file((process / "fdinfo" / fd.filename()).string());
    if (auto client = text ? parse_drm_fdinfo(*text) : std::nullopt)
      holdings.push_back({pid, std::move(*client)});
  }
  return !error || error == std::errc::no_such_file_or_directory;
}

Bytes saturated(Bytes a, Bytes b) {
  return a + std::min(b, Bytes(std::numeric_limits<std::int64_t>::max()) - a);
}

void add_holdings(const std::vector<Holding>& holdings, const std::vector<KfdHolding>& compute,
                  DeviceSample& sample) {
  std::set<std::int64_t> counted;
  std::map<std::int32_t, DeviceProcess> processes;
  const auto of = [&](std::int32_t pid) -> DeviceProcess& {
    return processes.try_emplace(pid, DeviceProcess{pid, 0_B}).first->second;
  };
  for (const Holding& holding : holdings) {
    const DrmClient& client = holding.client;
    if (client.pci != sample.pci || !counted.insert(client.client).second)
      continue;
    const auto region = client.regions.find("gtt");
    const Bytes gtt = region == client.regions.end() ? 0_B : region->second;
    DeviceProcess& process = of(holding.pid);
    // On a unified one the carve-out is not the pool's memory, and the GTT is.
    process.bytes = saturated(*process.bytes, sample.unified ? gtt : client.device_bytes());
    if (!sample.unified)
      process.host_bytes = saturated(process.host_bytes, gtt);
  }
  // Both report the same memory, and each some that the other leaves out.
  for (const KfdHolding& holding : compute) {
    if (holding.pci == sample.pci)
      of(holding.pid).bytes = std::max(*of(holding.pid).bytes, holding.bytes);
  }
  for (const auto& [pid, process] : processes)
    sample.processes.push_back(process);
  sample.processes_known = true;
}

}  // namespace

void DrmSource::read_amdgpu(const std::string& folder, DeviceReading& reading) const {
  const auto total = read_bytes(folder + "/mem_info_vram_total");
  const auto used = read_bytes(folder + "/mem_info_vram_used");
  if (!total || !used) {
    reading.problem = (total ? used : total).error().text();
    return;
  }
  DeviceSample& sample = reading.sample;
  sample.total = *total;
  sample.used = *used;
  sample.free = *total - *used;
  sample.integrated = is_apu(folder);
  if (sample.integrated)
    read_apu(folder, *total, sample);
}

void DrmSource::read_apu(const std::string& folder, Bytes carve_out, DeviceSample& sample) const {
  const auto gtt = read_bytes(folder + "/mem_info_gtt_total");
  const auto gtt_used = read_bytes(folder + "/mem_info_gtt_used");
  const auto host = read_meminfo(root_);
  if (!gtt || !gtt_used || !host) {
    sample.notes.emplace_back(
        "only its carve-out is counted: its share of the host's memory is not reported");
    return;
  }
  const std::string size = to_text(carve_out);
  if (carve_out >= *gtt) {
    sample.notes.push_back("an APU: models use its carve-out of " + size +
                           ", which is not part of the host's memory");
    return;
  }
  sample.unified = true;
  sample.notes.push_back("an APU: models use the host's memory; its carve-out of " + size +
                         " is not counted");
  const Bytes gtt_free = std::max(0_B, *gtt - *gtt_used);
  sample.total = std::min(*gtt, host->total);
  sample.free = std::min({gtt_free, host->available, *sample.total});
  sample.used = *sample.total - *sample.free;
}

DeviceReading DrmSource::read_card(const std::string& folder) const {
  DeviceReading reading;
  DeviceSample& sample = reading.sample;
  sample.source = "drm";
  if (const auto uevent = read_proc_file(folder + "/uevent"))
    sample.pci = pci_in(*uevent);
  sample.id = sample.pci;
  const std::string driver = link_end(folder + "/driver");
  if (const auto name = read_proc_file(folder + "/product_name"))
    sample.name = name->substr(0, name->find('\n'));
  if (sample.name.empty())
    sample.name = "a GPU of " + driver;
  if (driver == "amdgpu")
    read_amdgpu(folder, reading);
  else if (driver == "xe" || driver == "i915")
    sample.notes.push_back(driver +
                           " reports no total in files: only what processes hold is known");
  else
    reading.problem = driver + " reports no memory in files";
  return reading;
}

void DrmSource::add_processes(std::vector<DeviceReading>& readings) const {
  std::vector<Holding> holdings;
  std::error_code error;
  bool complete = true;
  std::vector<std::pair<std::int32_t, fs::path>> processes;
  for (const fs::path& process : entries_of(under_root(root_, "/proc"), error)) {
    const auto pid = parse_count(process.filename().string());
    if (pid && *pid > 0 && *pid <= std::numeric_limits<std::int32_t>::max())
      processes.emplace_back(static_cast<std::int32_t>(*pid), process);
  }
  std::ranges::sort(processes);
  for (const auto& [pid, process] : processes)
    complete = clients_of(process, pid, holdings) && complete;
  const std::vector<KfdHolding> compute = read_kfd(root_);
  for (DeviceReading& reading : readings) {
    add_holdings(holdings, compute, reading.sample);
    if (!complete)
      reading.sample.notes.emplace_back("processes of other users cannot be read and are left out");
  }
}

Result<std::vector<DeviceReading>> DrmSource::read() {
  std::error_code error;
  const std::string folder = under_root(root_, "/sys/class/drm");
  const auto cards = entries_of(folder, error);
  if (error)
    return fail("cannot read", folder, error.message());
  std::vector<DeviceReading> readings;
  for (const fs::path& card : cards) {
    if (!is_card(card.filename().string()))
      continue;
    const std::string device = (card / "device").string();
    if (!is_gpu_driver(link_end(device + "/driver")))
      continue;
    DeviceReading reading = read_card(device);
    if (!reading.sample.id.empty())
      readings.push_back(std::move(reading));
  }
  if (!readings.empty())
    add_processes(readings);
  return readings;
}

}  // namespace tonnage
