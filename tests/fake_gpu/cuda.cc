// A libcuda.so.1 over the shared device set: what tonnage calls, in an order that is not NVML's.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "device_set.h"
#include "visible_devices.h"

namespace {

constexpr int kNoDevice = 100;
constexpr int kInvalidDevice = 101;
constexpr int kNotInitialized = 3;
constexpr int kUnknown = 999;
constexpr int kIntegrated = 18;

bool started = false;

const fake_gpu::DeviceSet& the_set() {
  return fake_gpu::set_of_environment()->set();
}

std::vector<std::size_t> order() {
  return fake_gpu::visible_devices(the_set());
}

int check(const char* function, int device = -1) {
  if (!started)
    return kNotInitialized;
  if (device >= 0 && the_set().devices[device].lost != 0)
    return kUnknown;
  return fake_gpu::fault_of(the_set(), function, device);
}

}  // namespace

extern "C" {

int cuInit(unsigned) {
  if (fake_gpu::set_of_environment() == nullptr)
    return kNoDevice;
  const int code = fake_gpu::fault_of(the_set(), "cuInit");
  started = code == 0;
  return code;
}

int cuDeviceGetCount(int* count) {
  const int code = check("cuDeviceGetCount");
  if (code == 0)
    *count = static_cast<int>(order().size());
  return code;
}

int cuDeviceGet(int* device, int index) {
  const auto indices = order();
  if (index < 0 || index >= static_cast<int>(indices.size()))
    return kInvalidDevice;
  *device = static_cast<int>(indices[static_cast<std::size_t>(index)]);
  return check("cuDeviceGet", *device);
}

// The digits of the text form, without its first word and its dashes.
int cuDeviceGetUuid_v2(unsigned char* bytes, int device) {
  const int code = check("cuDeviceGetUuid", device);
  if (code != 0)
    return code;
  std::string digits;
  for (const char c : std::string(the_set().devices[device].uuid).substr(4)) {
    if (c != '-')
      digits += c;
  }
  digits.resize(32, '0');
  for (std::size_t i = 0; i < 16; ++i)
    bytes[i] =
        static_cast<unsigned char>(std::strtoul(digits.substr(2 * i, 2).c_str(), nullptr, 16));
  return 0;
}

int cuDeviceTotalMem_v2(std::size_t* total, int device) {
  const int code = check("cuDeviceTotalMem", device);
  if (code == 0)
    *total = the_set().devices[device].total;
  return code;
}

int cuDeviceGetName(char* text, int length, int device) {
  const int code = check("cuDeviceGetName", device);
  if (code == 0)
    std::strncpy(text, the_set().devices[device].name, static_cast<std::size_t>(length));
  return code;
}

int cuDeviceGetPCIBusId(char* text, int length, int device) {
  const int code = check("cuDeviceGetPCIBusId", device);
  if (code == 0)
    std::strncpy(text, the_set().devices[device].pci, static_cast<std::size_t>(length));
  return code;
}

int cuDeviceGetAttribute(int* value, int which, int device) {
  const int code = check("cuDeviceGetAttribute", device);
  if (code == 0)
    *value = which == kIntegrated && the_set().devices[device].unified != 0 ? 1 : 0;
  return code;
}

}  // extern "C"
