#include "device_set.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>

#include "process_life.h"

namespace fake_gpu {
namespace {

constexpr std::uint32_t kVersion = 2;

template <std::size_t Size>
void set_text(char (&to)[Size], std::string_view from) {
  const std::size_t length = std::min(from.size(), Size - 1);
  std::memcpy(to, from.data(), length);
  to[length] = '\0';
}

bool is_free(const DeviceSet& set, const Allocation& allocation) {
  return allocation.pid == 0 ||
         (allocation.free_at_ms != 0 && allocation.free_at_ms <= time_ms(set));
}

}  // namespace

class SharedSet::Lock {
 public:
  explicit Lock(SharedSet& set) : threads_(set.mutex_), fd_(set.fd_) { ::flock(fd_, LOCK_EX); }
  ~Lock() { ::flock(fd_, LOCK_UN); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  std::lock_guard<std::mutex> threads_;
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
  const Lock lock(*this);
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

Outcome SharedSet::allocate(std::size_t device, const Claim& claim) {
  notice_ends();
  const Lock lock(*this);
  Device& on = set_->devices[device];
  if (on.lost != 0)
    return Outcome::lost;
  const std::uint64_t used = used_bytes(*set_, device);
  const std::uint64_t usable = on.total - on.reserved;
  const std::uint64_t room = usable > used ? usable - used : 0;
  const auto entry = std::ranges::find_if(
      on.allocations, [&](const Allocation& allocation) { return is_free(*set_, allocation); });
  if (claim.bytes > room || entry == std::end(on.allocations)) {
    note_refusal(device, claim, room);
    return Outcome::refused;
  }
  const auto started = claim.watched ? process_started(claim.pid) : std::nullopt;
  *entry = {claim.pid,           claim.use,   claim.bytes,          0,
            started.value_or(0), claim.owner, claim.leaks ? 1U : 0U};
  Tally& tally = on.tallies[static_cast<std::size_t>(claim.owner)];
  ++tally.allocations;
  tally.allocated_bytes += claim.bytes;
  on.used_max = std::max(on.used_max, used + claim.bytes);
  return Outcome::granted;
}

bool SharedSet::allocate(std::size_t device, std::int32_t pid, std::uint64_t bytes, Use use) {
  return allocate(device, Claim{.pid = pid, .bytes = bytes, .use = use}) == Outcome::granted;
}

void SharedSet::note_refusal(std::size_t device, const Claim& claim, std::uint64_t room) {
  Tally& tally = set_->devices[device].tallies[static_cast<std::size_t>(claim.owner)];
  ++tally.refused;
  tally.refused_bytes += claim.bytes;
  Refusal& refusal = set_->refusals[set_->refusal_count++ % kRefusalsKept];
  refusal = {.at_ms = time_ms(*set_),
             .pid = claim.pid,
             .owner = claim.owner,
             .device = device,
             .bytes = claim.bytes,
             .free_bytes = room,
             .held_bytes = {}};
  for (std::size_t owner = 0; owner < kOwners; ++owner)
    refusal.held_bytes[owner] = used_bytes(*set_, device, static_cast<Owner>(owner));
}

void SharedSet::release_locked(Device& device, std::int32_t pid) {
  for (Allocation& allocation : device.allocations) {
    if (allocation.pid != pid || allocation.free_at_ms != 0)
      continue;
    if (allocation.leaks != 0) {
      allocation.pid = kNoProcess;
      allocation.started = 0;
    } else if (set_->release_lag_ms == 0) {
      allocation = {};
    } else {
      allocation.free_at_ms = time_ms(*set_) + set_->release_lag_ms;
    }
  }
}

void SharedSet::release(std::size_t device, std::int32_t pid) {
  const Lock lock(*this);
  release_locked(set_->devices[device], pid);
}

void SharedSet::give_back(std::size_t device, std::int32_t pid) {
  const Lock lock(*this);
  for (Allocation& allocation : set_->devices[device].allocations) {
    if (allocation.pid == pid && allocation.free_at_ms == 0)
      allocation = {};
  }
}

void SharedSet::notice_ends() {
  // Most looks find all alive, and need no lock. Each process is looked at once.
  std::map<std::int32_t, bool> lives;
  const auto has_ended = [&](const Allocation& allocation) {
    const std::int32_t pid = allocation.pid;
    if (pid <= 0 || allocation.free_at_ms != 0 || allocation.started == 0)
      return false;
    const auto [known, first] = lives.try_emplace(pid, true);
    if (first)
      known->second = process_lives(pid, allocation.started);
    return !known->second;
  };
  const auto any_of = [&](const Device& device) {
    return std::ranges::any_of(device.allocations, has_ended);
  };
  if (std::ranges::none_of(set_->devices, any_of))
    return;
  const Lock lock(*this);
  for (Device& device : set_->devices) {
    for (const Allocation& allocation : device.allocations) {
      if (has_ended(allocation))
        release_locked(device, allocation.pid);
    }
  }
}

void SharedSet::fail_at(std::string_view function, std::int32_t code, std::int32_t device) {
  const Lock lock(*this);
  if (set_->fault_count >= kFaultsMax)
    throw std::runtime_error("too many faults");
  Fault& fault = set_->faults[set_->fault_count++];
  set_text(fault.function, function);
  fault.code = code;
  fault.device = device;
}

void SharedSet::clear_faults() {
  const Lock lock(*this);
  set_->fault_count = 0;
}

std::uint64_t& SharedSet::counter_locked(std::string_view name) {
  for (Counter& counter : set_->counters) {
    if (counter.name[0] == '\0')
      set_text(counter.name, name);
    if (counter.name == name)
      return counter.value;
  }
  throw std::runtime_error("too many counters");
}

std::uint64_t SharedSet::count(std::string_view name) {
  const Lock lock(*this);
  return ++counter_locked(name);
}

bool SharedSet::count_up_to(std::string_view name, std::uint64_t most) {
  const Lock lock(*this);
  std::uint64_t& value = counter_locked(name);
  if (value >= most)
    return false;
  ++value;
  return true;
}

std::uint64_t time_ms(const DeviceSet& set) {
  if (set.real_clock == 0)
    return set.now_ms;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

std::uint64_t used_bytes(const DeviceSet& set, std::size_t device) {
  std::uint64_t used = 0;
  for (std::size_t owner = 0; owner < kOwners; ++owner)
    used += used_bytes(set, device, static_cast<Owner>(owner));
  return used;
}

std::uint64_t used_bytes(const DeviceSet& set, std::size_t device, Owner owner) {
  std::uint64_t used = 0;
  for (const Allocation& allocation : set.devices[device].allocations) {
    if (allocation.owner == owner && !is_free(set, allocation))
      used += allocation.bytes;
  }
  return used;
}

std::uint64_t refused(const Device& device) {
  std::uint64_t sum = 0;
  for (const Tally& tally : device.tallies)
    sum += tally.refused;
  return sum;
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
