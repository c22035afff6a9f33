// Snapshot: everything that the API, the command line and the dashboard show of the core.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/decision.h"
#include "core/policy.h"
#include "core/types.h"

namespace tonnage {

enum class ResidencyState : std::uint8_t {
  absent,
  profiling,
  loading,
  ready,
  draining,  // ready, but admits nothing new
  stopping,
  failed,  // rests after a failure
};

enum class Tier : std::uint8_t { disk, host, gpu };

std::string_view to_text(ResidencyState state);
std::string_view to_text(Tier tier);

struct PoolSnapshot {
  PoolId pool;
  std::string name;
  bool unified = false;  // GPU and host are one memory
  bool lost = false;     // its device is no longer visible
  Bytes capacity;
  Bytes budget;
  Bytes foreign;
  Bytes reserved;  // weights once per file + anonymous per server + dry runs
  Bytes reserved_weights;
  Bytes measured;  // the servers' latest samples, plus weights
  Bytes headroom;
  Bytes used;  // as a probe saw it: ours and foreign, without what can be reclaimed
  Bytes ours;  // used - foreign
  std::optional<Bytes> orphaned;         // held by no process; empty: nobody can tell
  Bytes expected;                        // what others held lately and may take again
  Bytes releasing;                       // of servers that ended, not seen free yet
  std::string level;                     // pressure; empty: below every level
  Duration level_for{};                  // since it changed
  std::int64_t stall_some_permille = 0;  // host only
  std::int64_t stall_full_permille = 0;
  std::optional<Duration> sample_age;  // empty: never sampled
};

struct ModelSnapshot {
  ModelId model;
  std::string id;
  ModelType type = ModelType::llm;
  ResidencyState state = ResidencyState::absent;
  Tier tier = Tier::disk;
  std::optional<Generation> generation;
  std::optional<Placement> placement;  // of the running or starting server
  std::optional<Placement> target;     // the best that fits an empty pool; empty until profiled
  bool degraded = false;
  bool pinned = false;
  bool stalled = false;  // its load takes longer than it should
  std::int32_t leases = 0;
  std::int32_t waiting = 0;
  Bytes predicted;  // footprint of `placement`, else of the target: host
  Bytes weights;
  Bytes reserved;                 // charged for its server or dry run, without weights
  std::optional<Bytes> measured;  // latest sample of its server, without weights
  std::optional<FootprintSource> source;
  std::uint64_t uses = 0;
  std::uint64_t loads = 0;
  std::uint64_t evictions = 0;
  std::uint64_t failures = 0;
  std::optional<Duration> idle_for;   // since the last lease ended; empty: in use, or never used
  std::optional<Duration> load_time;  // measured, latest
  std::optional<Duration> loading_for;
  std::optional<Duration> retry_in;  // while failed
  std::string failure;               // the last failure's words
  std::optional<FailureKind> failure_kind;
  std::vector<PoolId> devices;  // of its server, by logical device
  // Per device pool (index is PoolId - 1), of the running or starting server, or the dry run.
  std::vector<Bytes> device_predicted;
  std::vector<Bytes> device_reserved;
  std::vector<Bytes> device_measured;  // empty where nobody can tell
  std::int32_t device_failures = 0;    // out of memory, within the window
  bool cpu_only = false;               // after too many of them
  std::optional<Duration> cpu_for;     // until the cool-down has passed
  bool taken_by_pressure = false;      // comes back when pressure is over
};

struct HealthProblem {
  std::string code;  // "load_stalled", "stop_overdue", "probe_stale"
  std::string text;
};

struct Snapshot {
  Tick at;
  std::vector<PoolSnapshot> pools;
  std::vector<ModelSnapshot> models;  // in the order of their ids; removed ones are left out
  std::int32_t waiting = 0;
  std::int32_t leases = 0;
  bool shutting_down = false;
  std::string preset;                   // of the pressure levels
  std::vector<HealthProblem> problems;  // empty: the scheduler moves
};

}  // namespace tonnage
