#include "device_set.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace fake_gpu {
namespace {

constexpr std::uint32_t kVersion = 1;

template <std::size_t Size>
void set_text(char (&to)[Size], std::string_view from) {
  const std::size_t length = std::min(from.size(), Size - 1);
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

bool is_free(const DeviceSet& set, const Allocation& allocation) {
  return allocation.pid == 0 || (allocation.free_at_ms != 0 && allocation.free_at_ms <= set.now_ms);
}

}  // namespace

class SharedSet::Lock {
 public:
  explicit Lock(int fd) : fd_(fd) { ::flock(fd_, LOCK_EX); }
  ~Lock() { ::flock(fd_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_;
};

SharedSet::SharedSet(const std::string& path, bool create) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0600);
  if (fd_ < 0)
    throw std::runtime_error("cannot open the device set " + path);
  if (create && ::ftruncate(fd_, sizeof(DeviceSet)) != 0)
    throw std::runtime_error("cannot size the device set " + path);
  struct stat info{};
  if (::fstat(fd_, &info) != 0 || info.st_size < static_cast<off_t>(sizeof(DeviceSet)))
    throw std::runtime_error(path + " is not a device set");
  void* memory = ::mmap(nullptr, sizeof(DeviceSet), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED)
    throw std::runtime_error("cannot map the device set " + path);
  set_ = static_cast<DeviceSet*>(memory);
  if (create)
    set_->version = kVersion;
  if (set_->version != kVersion)
    throw std::runtime_error(path + " is of another version");
}

SharedSet::~SharedSet() {
  ::munmap(set_, sizeof(DeviceSet));
  ::close(fd_);
}

Device& SharedSet::add_device(std::string_view uuid, std::string_view name, std::string_view pci,
                              std::uint64_t total, std::uint64_t reserved) {
  const Lock lock(fd_);
  if (set_->device_count >= kDevicesMax)
    throw std::runtime_error("the device set is full");
  Device& device = set_->devices[set_->device_count];
  device = {};
  set_text(device.uuid, uuid);
  set_text(device.name, name);
  set_text(device.pci, pci);
  device.total = total;
  device.reserved = reserved;
  device.mig_parent = -1;
  ++set_->device_count;
  return device;
}

bool SharedSet::allocate(std::size_t device, std::int32_t pid, std::uint64_t bytes, Use use) {
  const Lock lock(fd_);
  Device& on = set_->devices[device];
  const std::uint64_t room = on.total - on.reserved - used_bytes(*set_, device);
  const auto entry = std::ranges::find_if(
      on.allocations, [&](const Allocation& allocation) { return is_free(*set_, allocation); });
  if (bytes > room || entry == std::end(on.allocations)) {
    ++on.refused;
    return false;
  }
  *entry = {pid, use, bytes, 0};
  return true;
}

void SharedSet::release(std::size_t device, std::int32_t pid) {
  const Lock lock(fd_);
  for (Allocation& allocation : set_->devices[device].allocations) {
    if (allocation.pid != pid || allocation.free_at_ms != 0)
      continue;
    if (set_->release_lag_ms == 0)
      allocation = {};
    else
      allocation.free_at_ms = set_->now_ms + set_->release_lag_ms;
  }
}

void SharedSet::fail_at(std::string_view function, std::int32_t code, std::int32_t device) {
  const Lock lock(fd_);
  if (set_->fault_count >= kFaultsMax)
    throw std::runtime_error("too many faults");
  Fault& fault = set_->faults[set_->fault_count++];
  set_text(fault.function, function);
  fault.code = code;
  fault.device = device;
}

void SharedSet::clear_faults() {
  const Lock lock(fd_);
  set_->fault_count = 0;
}

std::uint64_t used_bytes(const DeviceSet& set, std::size_t device) {
  std::uint64_t used = 0;
  for (const Allocation& allocation : set.devices[device].allocations) {
    if (!is_free(set, allocation))
      used += allocation.bytes;
  }
  return used;
}

std::int32_t fault_of(const DeviceSet& set, std::string_view function, std::int32_t device) {
  for (std::size_t i = 0; i < std::min<std::size_t>(set.fault_count, kFaultsMax); ++i) {
    const Fault& fault = set.faults[i];
    if (fault.function == function && (fault.device == -1 || fault.device == device))
      return fault.code;
  }
  return 0;
}

SharedSet* set_of_environment() {
  static const std::unique_ptr<SharedSet> set = [] {
    const char* path = std::getenv("FAKE_GPU_STATE");
    if (path == nullptr)
      return std::unique_ptr<SharedSet>();
    try {
      return std::make_unique<SharedSet>(path);
    } catch (const std::exception&) {
      return std::unique_ptr<SharedSet>();
    }
  }();
  return set.get();
}

}  // namespace fake_gpu
