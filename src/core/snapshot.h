// Snapshot: everything that the API, the command line and the dashboard show of the core.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/decision.h"
#include "core/policy.h"
#include "core/types.h"

namespace vramd {

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
  Bytes capacity;
  Bytes budget;
  Bytes foreign;
  Bytes reserved;  // weights once per file + anonymous per server + dry runs
  Bytes reserved_weights;
  Bytes measured;  // the servers' latest samples, plus weights
  Bytes headroom;
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
  Bytes reserved;                 // charged to the ledger for its server, without weights
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
  std::vector<HealthProblem> problems;  // empty: the scheduler moves
};

}  // namespace vramd
