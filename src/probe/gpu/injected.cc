#include "probe/gpu/injected.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

using Json = nlohmann::json;

std::unexpected<Error> bad(std::string why) {
  return fail("cannot use the file of devices", {}, std::move(why));
}

// False where it is there and is no integer that fits.
bool read_integer(const Json& object, const char* key, std::optional<std::int64_t>& value) {
  value.reset();
  const auto found = object.find(key);
  if (found == object.end() || found->is_null())
    return true;
  if (!found->is_number_integer() ||
      (found->is_number_unsigned() &&
       found->get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}))
    return false;
  value = found->get<std::int64_t>();
  return true;
}

bool read_bytes(const Json& object, const char* key, std::optional<Bytes>& bytes) {
  std::optional<std::int64_t> count;
  if (!read_integer(object, key, count))
    return false;
  if (count)
    bytes = Bytes(*count);
  return true;
}

std::string text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

bool read_processes(const Json& device, DeviceSample& sample) {
  const auto list = device.find("processes");
  if (list == device.end())
    return true;
  if (!list->is_array())
    return false;
  sample.processes_known = true;
  for (const Json& entry : *list) {
    std::optional<std::int64_t> pid;
    DeviceProcess process;
    if (!entry.is_object() || !read_integer(entry, "pid", pid) || !pid || *pid <= 0 ||
        *pid > std::numeric_limits<std::int32_t>::max() ||
        !read_bytes(entry, "bytes", process.bytes))
      return false;
    process.pid = static_cast<std::int32_t>(*pid);
    sample.processes.push_back(process);
  }
  return true;
}

Result<DeviceReading> read_device(const Json& device) {
  if (!device.is_object() || text_in(device, "id").empty())
    return bad("a device has no id");
  DeviceReading reading;
  DeviceSample& sample = reading.sample;
  sample.id = text_in(device, "id");
  sample.name = text_in(device, "name");
  sample.pci = text_in(device, "pci");
  sample.source = "injected";
  const std::pair<const char*, std::optional<Bytes>*> fields[] = {
      {"total_bytes", &sample.total},
      {"reserved_bytes", &sample.reserved},
      {"used_bytes", &sample.used},
      {"free_bytes", &sample.free}};
  for (const auto& [key, value] : fields) {
    if (!read_bytes(device, key, *value))
      return bad(sample.id + "." + key + " is no integer");
  }
  if (!sample.free && sample.total && sample.used && sample.total >= 0_B && sample.used >= 0_B)
    sample.free = std::max(0_B, *sample.total - *sample.used);
  if (sample.free && sample.reserved && !device.contains("free_bytes") && *sample.reserved >= 0_B)
    sample.free = std::max(0_B, *sample.free - *sample.reserved);
  const auto unified = device.find("unified");
  sample.unified = unified != device.end() && unified->is_boolean() && unified->get<bool>();
  if (!read_processes(device, sample))
    return bad(sample.id + ".processes is no list of {pid, bytes}");
  return reading;
}

}  // namespace

Result<InjectedDevices> parse_injected(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object())
    return bad("it is no JSON object");
  InjectedDevices devices;
  if (!read_integer(json, "sequence", devices.sequence))
    return bad("sequence is no integer");
  const auto list = json.find("devices");
  if (list == json.end() || !list->is_array())
    return bad("it has no list of devices");
  for (const Json& device : *list) {
    auto reading = read_device(device);
    if (!reading)
      return std::unexpected(reading.error());
    devices.readings.push_back(std::move(*reading));
  }
  return devices;
}

Result<std::vector<DeviceReading>> InjectedSource::read() {
  const auto text = read_proc_file(path_);
  if (!text)
    return std::unexpected(text.error());
  auto devices = parse_injected(*text);
  if (!devices)
    return std::unexpected(devices.error());
  if (sequence_ && devices->sequence && *devices->sequence < *sequence_)
    return bad("its sequence went back from " + std::to_string(*sequence_) + " to " +
               std::to_string(*devices->sequence));
  if (devices->sequence)
    sequence_ = devices->sequence;
  return std::move(devices->readings);
}

}  // namespace tonnage
