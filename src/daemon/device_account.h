// DeviceAccount: from a survey and our processes to what the core is told of device pools.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "core/events.h"
#include "core/snapshot.h"
#include "daemon/device_pools.h"
#include "daemon/foreign_memory.h"
#include "probe/gpu/device_probe.h"

namespace tonnage {

// The processes of a server, or of a dry run (then without a generation).
struct OwnTree {
  std::optional<Generation> generation;
  std::vector<std::int32_t> pids;
};

// What the core has charged for a server that lives, or for a dry run that works.
struct DeviceCharge {
  Generation generation;
  std::vector<Bytes> devices;  // index is PoolId - 1
  Bytes host;                  // its memory in the host, where GPUs share that
  bool ready = false;          // its memory is there; a server that loads or ends holds part of it
};

std::vector<DeviceCharge> charges_of(const Snapshot& snapshot);

// A GPU that is there and reports no data now.
struct SilentPool {
  PoolId pool;
  std::string why;  // what each source answered

  friend bool operator==(const SilentPool&, const SilentPool&) = default;
};

struct DeviceTruth {
  std::vector<PoolSampled> pools;
  std::vector<SilentPool> silent;
  std::vector<PoolLost> lost;  // pools that were not lost before
  // What each server holds, by pool. Empty where no source tells.
  std::map<Generation, std::vector<Bytes>> servers;
  // Memory of the host that a driver holds for each server, where a source reports it: on GPUs
  // that share the host's memory, and in buffers beside a GPU's own.
  std::map<Generation, Bytes> in_host;

  friend bool operator==(const DeviceTruth&, const DeviceTruth&) = default;
};

// Ours are the bytes of our processes, by process tree. Where a driver does not list them, or
// lists them under numbers that are not ours (in a container), what the core has charged stands
// for them: certain for servers that are ready. Of those that load or end, the share is taken that
// leaves foreign use as it was, as far as the pool's use allows that.
class DeviceAccount {
 public:
  explicit DeviceAccount(const DevicePools& pools, ForeignMemory::Lives lives = process_lives);

  // `now` never goes back.
  DeviceTruth judge(const DeviceSurvey& survey, std::span<const OwnTree> own,
                    std::span<const DeviceCharge> charges, Tick now = {});

 private:
  struct PoolState {
    bool lost = false;
    Bytes foreign;  // as last told
    ForeignMemory others;
  };

  PoolSampled judge_pool(std::size_t index, const DeviceSample& sample,
                         std::span<const OwnTree> own, std::span<const DeviceCharge> charges,
                         Tick now, DeviceTruth& truth, bool& processes_told);
  void add_in_host(const DeviceSurvey& survey, std::span<const OwnTree> own,
                   DeviceTruth& truth) const;
  bool tells_of_us(const DeviceSample& sample, std::size_t index, std::span<const OwnTree> own,
                   std::span<const DeviceCharge> charges);

  const DevicePools& pools_;
  std::vector<PoolState> states_;
  bool seen_ours_ = false;  // a driver has listed one of our processes: it lists by our numbers
};

}  // namespace tonnage
