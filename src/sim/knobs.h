// Knobs: everything about one simulated run that its seed decides before the run begins.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "core/policy.h"
#include "core/types.h"

namespace tonnage::sim {

// What can go wrong. A seed decides which of these exist at all, and how often each happens.
enum class Fault : std::uint8_t {
  crash,            // a ready server dies
  hang,             // a ready server stops answering
  refused_start,    // no process comes to be
  failed_load,      // the process ends while it loads
  endless_load,     // the process never becomes ready
  slow_load,        // a load takes many times as long as usual
  ready_race,       // the server becomes ready while it is being stopped
  failed_profile,   // a dry run fails
  stale_profile,    // the file changed since it was profiled
  relearned,        // new rows arrive unasked, as learning sends them
  cancel,           // a client leaves before its answer
  missing_sample,   // a probe says nothing
  stale_sample,     // a probe repeats what it said before
  wrong_sample,     // a probe says what is not so
  foreign,          // other programs take and return memory
  release_lag,      // what a server held comes back late
  oom_at_load,      // the kernel ends a server that loads, because the pool is physically full
  oom_in_use,       // the same to a server that is ready
  late_timer,       // Timer events come late
  clock_stall,      // the loop stands still; all that was due then comes late
  echo,             // an event of something long gone arrives once more
  reload,           // the configuration changes
  reorder,          // what different adapters saw arrives in another order than it happened
  wrong_footprint,  // servers hold more or less than was predicted
  lost_device,      // a device falls off the bus, and is back later
  stalls,           // the kernel says that tasks wait for memory
  memory_answer,    // a ready server answers requests that it has no memory for them, and lives on
  kill,             // somebody kills a server, whatever it does just then
};
inline constexpr std::size_t kFaults = 28;

std::string_view to_text(Fault fault);

enum class Pattern : std::uint8_t {
  zipf,       // independent arrivals, few models popular
  bursts,     // groups for one model
  alternate,  // A, B, A, B
  greedy,     // one client that asks again as soon as it was answered, others now and then
  scan,       // every model in turn
};
inline constexpr std::size_t kPatterns = 5;

std::string_view to_text(Pattern pattern);

// The physical truth about one model.
struct ModelTruth {
  std::vector<PlacementRow> rows;     // what a dry run answers, best first
  std::int64_t anon_permille = 1000;  // what its servers really hold, of what was predicted
  Duration load_time{};               // typical; each draw lies within half and one and a half
  Duration profile_time{};
  Duration serve_time{};
  Duration stop_time{};
  bool broken = false;  // its file cannot be loaded at all
};

// A device beside the host.
struct DeviceTruth {
  Bytes capacity;
  Bytes foreign;  // in calm times
};

struct WorkloadKnobs {
  Pattern pattern = Pattern::zipf;
  std::int32_t requests = 0;  // arrivals in all
  Duration gap{};             // mean time between independent arrivals
  std::int32_t clients = 0;   // concurrent requests of the greedy client
  std::int64_t uncounted_permille = 0;
  std::int64_t resident_permille = 0;
  std::int64_t context_permille = 0;   // requests that say how much context they need
  std::int64_t wish_permille = 0;      // requests of which it is estimated
  std::int64_t priority_permille = 0;  // requests whose priority is not that of their model
  std::int64_t weighty_permille = 0;   // requests that take several slots
  std::int32_t commands = 0;           // operator commands
  std::int32_t waves = 1;              // arrivals come in this many waves with rests between
};

// What a seed is about beside its drawn knobs: situations that chance alone makes too rarely.
enum class Situation : std::uint8_t {
  any,          // nothing in particular
  ladders,      // lesser placements that are good enough, and memory that comes and goes
  crash_loops,  // servers that die again and again under a queue
  tight_rests,  // short time-outs everywhere, and loads that fail
  kill_storms,  // somebody kills servers again and again, and some requests crash theirs
  contexts,     // lesser placements with less context, and requests that wish for more
};
inline constexpr std::size_t kSituations = 6;

std::string_view to_text(Situation situation);

enum class ShutdownKind : std::uint8_t { never, at_end, in_the_middle };

struct Knobs {
  std::uint64_t seed = 0;
  Situation situation = Situation::any;
  Policy policy;
  std::vector<ModelTruth> models;
  Bytes capacity;
  Bytes foreign;                     // in calm times
  std::vector<DeviceTruth> devices;  // index is PoolId - 1
  std::array<std::int64_t, kFaults> fault_permille{};
  WorkloadKnobs workload;
  Duration sample_every{};
  Duration first_sample_after{};  // the core knows no capacity before
  ShutdownKind shutdown = ShutdownKind::never;
  bool timer_first = false;  // of a Timer and another event at one tick
  bool unpin_when_calm = true;

  std::int64_t rate(Fault fault) const { return fault_permille[static_cast<std::size_t>(fault)]; }
  // Nothing can go wrong in this run, so nothing may fail.
  bool faultless() const;
};

Knobs draw_knobs(std::uint64_t seed);

// Overlays devices, the rows that use them, pressure levels and rules of recovery.
void draw_devices(Knobs& knobs);

// Changes one thing of the policy as an edited configuration would: its rules, a budget, a model's
// own settings, or which models there are. Names in `changed` whose servers have to be replaced.
void edit_policy(Prng& prng, const Knobs& knobs, Policy& policy, std::vector<ModelId>& changed);

// Overlays what the seed drew so far with the situation that it is about, if any.
void draw_situation(Knobs& knobs);

}  // namespace tonnage::sim
