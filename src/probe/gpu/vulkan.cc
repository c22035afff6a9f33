#include "probe/gpu/vulkan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

constexpr std::size_t kListingBytesMax = 256 * 1024;
constexpr std::string_view kDeviceLine = "vulkan-device\t";
constexpr std::string_view kEndLine = "vulkan-devices ";
constexpr std::string_view kNvidiaVendor = "10de";

// A number of bytes, or "-" for what is not told. False where it is neither.
bool bytes_in(std::string_view field, std::optional<Bytes>& bytes) {
  if (field == "-")
    return true;
  const auto count = parse_count(field);
  if (!count || *count < 0)
    return false;
  bytes = Bytes(*count);
  return true;
}

struct Listed {
  DeviceReading reading;
  bool software = false;
};

// type, vendor, UUID, PCI address, total, free, name
std::optional<Listed> parse_device(std::string_view line) {
  Listed listed;
  DeviceSample& sample = listed.reading.sample;
  sample.source = "vulkan";
  const std::string_view type = next_field(line, '\t');
  const std::string_view vendor = next_field(line, '\t');
  const std::string_view uuid = next_field(line, '\t');
  const std::string_view pci = next_field(line, '\t');
  std::optional<Bytes> total;
  std::optional<Bytes> free;
  if (!bytes_in(next_field(line, '\t'), total) || !bytes_in(next_field(line, '\t'), free))
    return std::nullopt;
  sample.name = line;
  if (type != "discrete" && type != "integrated" && type != "software" && type != "other")
    return std::nullopt;
  if (uuid.empty() || pci.empty() || sample.name.empty())
    return std::nullopt;
  if (pci != "-")
    sample.pci = pci;
  // NVIDIA's is the UUID that its other libraries tell. Others make up their own.
  sample.id = vendor == kNvidiaVendor ? "GPU-" + std::string(uuid)
              : pci != "-"            ? sample.pci
                                      : "vulkan-" + std::string(uuid);
  listed.software = type == "software";
  sample.unified = type == "integrated";
  if (total != 0_B)
    sample.total = total;
  if (sample.unified || !sample.total || !free)
    return listed;
  sample.free = std::min(*free, *total);
  sample.used = *total - *sample.free;
  return listed;
}

}  // namespace

Result<std::vector<DeviceReading>> parse_vulkan_devices(std::string_view text, bool software) {
  std::vector<DeviceReading> readings;
  std::int64_t lines = 0;
  std::string_view line;
  while (next_line(text, line)) {
    if (line.starts_with(kEndLine)) {
      if (parse_count(line.substr(kEndLine.size())) != lines)
        return fail("cannot read the devices of Vulkan", {}, "some of them are missing");
      return readings;
    }
    if (!line.starts_with(kDeviceLine))
      continue;
    auto listed = parse_device(line.substr(kDeviceLine.size()));
    if (!listed)
      return fail("cannot read the devices of Vulkan", {}, "it printed " + shown_line(line));
    ++lines;
    if (software || !listed->software)
      readings.push_back(std::move(listed->reading));
  }
  return fail("cannot read the devices of Vulkan", {}, "the end of the list is missing");
}

Result<std::vector<DeviceReading>> VulkanSource::read() {
  const auto now = options_.now();
  if (now < next_)
    return last_;
  const auto text = program_.run(options_.helper, options_.timeout, kListingBytesMax);
  last_ = text ? parse_vulkan_devices(*text, options_.software)
               : Result<std::vector<DeviceReading>>(std::unexpected(text.error()));
  // Counted from the end: one that runs into its time limit would never rest otherwise.
  next_ = options_.now() + (last_ && !last_->empty() ? options_.every : options_.retry);
  return last_;
}

}  // namespace tonnage
