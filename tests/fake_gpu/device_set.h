// DeviceSet: the GPUs of a machine that has none, in a file that the fake driver libraries share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace fake_gpu {

// Everything lies in one mapped file, so plain data of fixed size. The file is named by
// FAKE_GPU_STATE; who changes it holds its lock (flock).
inline constexpr std::size_t kDevicesMax = 16;
inline constexpr std::size_t kAllocationsMax = 128;
inline constexpr std::size_t kFaultsMax = 16;
inline constexpr std::size_t kRefusalsKept = 64;
inline constexpr std::size_t kCountersMax = 64;
inline constexpr std::uint64_t kBytesUnknown = ~std::uint64_t{0};
// In place of a process: memory that stayed used when its process ended.
inline constexpr std::int32_t kNoProcess = -1;

enum class Use : std::uint32_t { compute, graphics };

// Who allocates, by its own word.
enum class Owner : std::uint32_t { unknown, server, foreign };
inline constexpr std::size_t kOwners = 3;

// What a process holds. After its release the bytes stay used until the set's time has come to
// `free_at_ms`, as drivers take a moment to give memory back.
struct Allocation {
  std::int32_t pid;  // zero: this entry is free
  Use use;
  std::uint64_t bytes;
  std::uint64_t free_at_ms;  // zero: held
  std::uint64_t started;     // start time of the process; zero: nobody looks whether it lives
  Owner owner;
  std::uint32_t leaks;  // 1: stays used when the process ends
};

// What one kind of owner ever asked of a device.
struct Tally {
  std::uint64_t allocations;
  std::uint64_t allocated_bytes;
  std::uint64_t refused;  // allocations that did not fit
  std::uint64_t refused_bytes;
};

struct Device {
  char uuid[80];
  char name[64];
  char pci[32];
  std::uint64_t total;
  std::uint64_t reserved;
  std::int32_t mig_parent;    // index of the card that this is an instance of, or -1
  std::uint32_t mig_mode;     // 1: the card can only be used through its instances
  std::uint32_t unified;      // 1: no memory of its own
  std::uint32_t hides_bytes;  // 1: processes are listed without their bytes
  std::uint32_t lost;         // 1: fallen off the bus
  std::uint32_t padding;
  std::uint64_t used_max;
  Tally tallies[kOwners];
  Allocation allocations[kAllocationsMax];
};

// An allocation that did not fit, and what there was.
struct Refusal {
  std::uint64_t at_ms;
  std::int32_t pid;
  Owner owner;
  std::uint64_t device;
  std::uint64_t bytes;
  std::uint64_t free_bytes;
  std::uint64_t held_bytes[kOwners];  // by each kind of owner; what lags behind its end included
};

// `function` fails with `code` on `device`, or on all with -1.
struct Fault {
  char function[64];
  std::int32_t device;
  std::int32_t code;
};

// Counts what has to be counted beyond the life of one process.
struct Counter {
  char name[64];
  std::uint64_t value;
};

enum class Smi : std::uint32_t { works, hangs, prints_garbage, fails, floods };

struct DeviceSet {
  std::uint32_t version;
  std::uint32_t device_count;
  std::uint32_t fault_count;
  Smi smi;
  std::uint32_t real_clock;  // 1: time passes by itself (CLOCK_MONOTONIC)
  std::uint32_t padding;
  std::uint64_t now_ms;  // without a real clock: moved by whoever drives the set
  std::uint64_t release_lag_ms;
  std::uint64_t refusal_count;  // the latest kRefusalsKept of them are in `refusals`
  Fault faults[kFaultsMax];
  Refusal refusals[kRefusalsKept];
  Counter counters[kCountersMax];
  Device devices[kDevicesMax];
};

// What a process asks for.
struct Claim {
  std::int32_t pid = 0;
  std::uint64_t bytes = 0;
  Owner owner = Owner::unknown;
  Use use = Use::compute;
  bool leaks = false;
  // The set itself frees the bytes when the process has ended, after the release lag.
  bool watched = false;
};

enum class Outcome { granted, refused, lost };

// The file, mapped. Reading functions are safe against a file that is not one of ours: it is then
// an empty set. May be used by several threads.
class SharedSet {
 public:
  explicit SharedSet(const std::string& path, bool create = false);
  SharedSet(const SharedSet&) = delete;
  SharedSet& operator=(const SharedSet&) = delete;
  ~SharedSet();

  DeviceSet& set() { return *set_; }
  DeviceSet* operator->() { return set_; }

  // Each locks the file for its change.
  Device& add_device(std::string_view uuid, std::string_view name, std::string_view pci,
                     std::uint64_t total, std::uint64_t reserved = 0);
  // What does not fit is counted as refused.
  Outcome allocate(std::size_t device, const Claim& claim);
  bool allocate(std::size_t device, std::int32_t pid, std::uint64_t bytes, Use use = Use::compute);
  // The process has ended: what it holds is free after the release lag.
  void release(std::size_t device, std::int32_t pid);
  // The process lives on: what it holds is free at once.
  void give_back(std::size_t device, std::int32_t pid);
  // Releases what watched processes held that have ended. Readers call it: nothing else would
  // notice a process that was killed.
  void notice_ends();
  void fail_at(std::string_view function, std::int32_t code, std::int32_t device = -1);
  void clear_faults();
  // Adds one to a counter, made when it is first used, and returns the new value.
  std::uint64_t count(std::string_view name);
  // The same where that is not more than `most`; otherwise nothing changes, and it is false.
  bool count_up_to(std::string_view name, std::uint64_t most);

 private:
  class Lock;
  void release_locked(Device& device, std::int32_t pid);
  std::uint64_t& counter_locked(std::string_view name);
  void note_refusal(std::size_t device, const Claim& claim, std::uint64_t room);

  std::mutex mutex_;  // a file's lock is one for all threads of a process
  int fd_ = -1;
  DeviceSet* set_ = nullptr;
};

// The set's time.
std::uint64_t time_ms(const DeviceSet& set);
std::uint64_t used_bytes(const DeviceSet& set, std::size_t device);
std::uint64_t used_bytes(const DeviceSet& set, std::size_t device, Owner owner);
// Of all owners.
std::uint64_t refused(const Device& device);
// The code that `function` is to fail with, or zero.
std::int32_t fault_of(const DeviceSet& set, std::string_view function, std::int32_t device = -1);

// The set of FAKE_GPU_STATE; null without it, as on a machine without a GPU.
SharedSet* set_of_environment();

}  // namespace fake_gpu
