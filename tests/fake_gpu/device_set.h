// DeviceSet: the GPUs of a machine that has none, in a file that the fake driver libraries share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fake_gpu {

// Everything lies in one mapped file, so plain data of fixed size. The file is named by
// FAKE_GPU_STATE; who changes it holds its lock (flock).
inline constexpr std::size_t kDevicesMax = 16;
inline constexpr std::size_t kAllocationsMax = 128;
inline constexpr std::size_t kFaultsMax = 16;
inline constexpr std::uint64_t kBytesUnknown = ~std::uint64_t{0};

enum class Use : std::uint32_t { compute, graphics };

// What a process holds. After its release the bytes stay used until the set's time has come to
// `free_at_ms`, as drivers take a moment to give memory back.
struct Allocation {
  std::int32_t pid;  // zero: this entry is free
  Use use;
  std::uint64_t bytes;
  std::uint64_t free_at_ms;  // zero: held
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
  std::uint64_t refused;      // allocations that did not fit
  Allocation allocations[kAllocationsMax];
};

// `function` fails with `code` on `device`, or on all with -1.
struct Fault {
  char function[64];
  std::int32_t device;
  std::int32_t code;
};

enum class Smi : std::uint32_t { works, hangs, prints_garbage, fails, floods };

struct DeviceSet {
  std::uint32_t version;
  std::uint32_t device_count;
  std::uint32_t fault_count;
  Smi smi;
  std::uint64_t now_ms;  // moved by whoever drives the set
  std::uint64_t release_lag_ms;
  Fault faults[kFaultsMax];
  Device devices[kDevicesMax];
};

// The file, mapped. Reading functions are safe against a file that is not one of ours: it is then
// an empty set.
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
  // False, and counted as refused, where it does not fit.
  bool allocate(std::size_t device, std::int32_t pid, std::uint64_t bytes, Use use = Use::compute);
  void release(std::size_t device, std::int32_t pid);
  void fail_at(std::string_view function, std::int32_t code, std::int32_t device = -1);
  void clear_faults();

 private:
  class Lock;
  int fd_ = -1;
  DeviceSet* set_ = nullptr;
};

std::uint64_t used_bytes(const DeviceSet& set, std::size_t device);
// The code that `function` is to fail with, or zero.
std::int32_t fault_of(const DeviceSet& set, std::string_view function, std::int32_t device = -1);

// The set of FAKE_GPU_STATE; null without it, as on a machine without a GPU.
SharedSet* set_of_environment();

}  // namespace fake_gpu
