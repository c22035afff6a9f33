// Policy: every rule and bound of the core, validated before it gets here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/pressure_policy.h"
#include "core/types.h"

namespace tonnage {

// A share that stays free: a permille of capacity, a size, or the smaller of both.
struct Reserve {
  std::optional<std::int64_t> permille;
  std::optional<Bytes> size;

  friend bool operator==(const Reserve&, const Reserve&) = default;
};

struct PoolPolicy {
  std::string name;                  // "host", "gpu0"
  Reserve reserve;                   // never given away
  std::int64_t max_permille = 1000;  // of capacity; the smaller of this and 1 - reserve holds
  std::optional<Bytes> limit;        // absolute bound of what tonnage's models may use
  // A load may lack this much and is started all the same. For unified memory, whose kernel makes
  // room; zero everywhere else.
  Bytes deficit_tolerance;

  friend bool operator==(const PoolPolicy&, const PoolPolicy&) = default;
};

struct ModelPolicy {
  std::string id;
  ModelType type = ModelType::llm;
  Priority priority = Priority::normal;  // of its requests, where they do not say otherwise
  bool pinned = false;
  bool removed = false;            // the configuration names it no more; its id stays taken
  bool heavy = false;              // takes part in the heavy slot
  bool host_only = false;          // none of its placements uses a device
  std::optional<Duration> ttl;     // unload when idle for this long; never by default
  std::int32_t in_flight_max = 1;  // requests at the server at once; the engine's slots

  friend bool operator==(const ModelPolicy&, const ModelPolicy&) = default;
};

enum class EvictionKind : std::uint8_t { lru, value };

std::string_view to_text(EvictionKind kind);

struct QueuePolicy {
  std::int32_t waiting_max = 512;            // over all models; a full queue answers 503 at once
  std::int32_t waiting_per_model_max = 512;  // one model's share of it
  Duration queue_timeout = 10min;            // a request gives up waiting after this
  Duration yield_after = 30s;    // a busy model lets go when another has waited this long
  Duration degrade_after = 60s;  // an expected wait beyond this allows a lesser placement
  std::int32_t replays_max = 2;  // a lost request is sent again this often
  // After a connection broke, its server admits nothing until its exit is seen, or for this long:
  // a replay to a dying server would be lost again.
  Duration lost_hold = 1s;

  friend bool operator==(const QueuePolicy&, const QueuePolicy&) = default;
};

struct ResidencyPolicy {
  Duration grace = 5s;  // an idle model is safe from TTL and pressure for this long
  std::optional<Duration> grace_on_demand;  // safe from demand as well (the founding rule)
  // Minimum residency is twice the measured load time within these bounds. It counts only while
  // the model itself has queued work: an idle model that nobody asks for owes nothing.
  Duration min_residency_min = 500ms;
  Duration min_residency_max = 10s;
  bool heavy_slot = false;    // at most one heavy model at a time
  bool single_model = false;  // at most one model at a time
  EvictionKind eviction = EvictionKind::value;

  friend bool operator==(const ResidencyPolicy&, const ResidencyPolicy&) = default;
};

struct LoadPolicy {
  // A load that takes longer is shown by health, and loads of other models stop waiting for it.
  Duration stall_after = 20s;
  // A load that takes longer is stopped and counts as failed. Large files from slow disks need it.
  Duration timeout = 10min;
  // After a failed load or a crash the model rests: first this long, doubling each time, at most
  // the second. Requests during the rest are told so.
  Duration retry_backoff_min = 1s;
  Duration retry_backoff_max = 5min;
  std::int32_t attempts_max = 2;  // loads tried for those who wait before they are told
  // Prior for the cost to bring a model back, until it was measured: 1 s + size / bandwidth.
  std::int64_t bandwidth_prior_mib_per_s = 500;
  // Held while a dry run works: it reads metadata and no weights. 15 MiB were measured for a model
  // of 3.3 GB with a small vocabulary; large vocabularies take some tens of MiB more.
  Bytes profile_reservation = 64_MiB;
  // Held on each device beside it, until it is seen free: the driver's context.
  Bytes profile_device_reservation;
  // A dry run takes some 10 ms, and a second where a driver is slow to begin. One that takes longer
  // hangs, most likely: nobody waits for it any more, and it goes on for its own model.
  Duration profile_stall_after = 2s;
  // Profiles at once, so that those that hang are few.
  std::int32_t profiles_max = 4;
  // Footprints are worked out while nothing waits, instead of at the first request: the request is
  // spared the wait, and a broken file shows early. Never makes a model leave.
  bool profile_ahead = false;
  // A server that was told to stop and still runs after this is killed.
  Duration stop_timeout = 500ms;
  // How long leases may run on at shutdown.
  Duration drain_timeout = 30s;

  friend bool operator==(const LoadPolicy&, const LoadPolicy&) = default;
};

// Margins on top of a footprint, by its source, in permille of everything but the weights.
struct MarginPolicy {
  std::int64_t analytic_permille = 200;
  std::int64_t dry_run_permille = 30;
  std::int64_t learned_permille = 30;

  friend bool operator==(const MarginPolicy&, const MarginPolicy&) = default;
};

// What is tried after a server ran out of memory.
struct RecoveryPolicy {
  // So many memory failures on a device within the window, and the model runs on the CPU: until the
  // cool-down has passed or an operator clears it.
  std::int32_t device_failures_max = 3;
  Duration failure_window = 10min;
  std::optional<Duration> cooldown = 30min;  // empty: only an operator
  // A retry reserves this much more of what failed, so that somebody else gives way.
  std::int64_t retry_extra_permille = 125;
  // What a server held on a device is free when it is seen free. What is not back after this long
  // is recorded as a leak.
  Duration release_timeout = 5s;
  // Of what a server held, this much has to come back before the rest counts as foreign.
  std::int64_t release_permille = 750;
  // Where less than this came back of more, what is left of the server is killed.
  Bytes release_min = 512_MiB;
  // Servers of a model may be killed from outside so often in a row, without an answer between,
  // before a kill counts as a failure of the model; and with one request in them, before that is
  // no longer sent again. A killer that strikes each second meets the same model or request some
  // ten times by chance; whoever is hit more often has a killer that never lets it through.
  std::int32_t kills_max = 16;

  friend bool operator==(const RecoveryPolicy&, const RecoveryPolicy&) = default;
};

struct Policy {
  std::vector<PoolPolicy> pools;    // index is PoolId; pools[0] is the host
  std::vector<ModelPolicy> models;  // index is ModelId
  QueuePolicy queue;
  ResidencyPolicy residency;
  LoadPolicy load;
  MarginPolicy margin;
  RecoveryPolicy recovery;
  PressurePolicy pressure;
  // Devices whose memory is the host's (integrated GPUs). Where there are any there is one pool.
  std::int32_t unified_devices = 0;

  friend bool operator==(const Policy&, const Policy&) = default;
};

// What tonnage may use of `capacity` under `pool`: capacity x min(max, 1 - reserve), or the limit,
// whichever is smaller. Never negative.
Bytes budget_of(const PoolPolicy& pool, Bytes capacity);

// The part of `capacity` that tonnage and everything else together may use: budget without limit.
Bytes usable_of(const PoolPolicy& pool, Bytes capacity);

}  // namespace tonnage
