// Decision: one thing that the core decided, why, and with which numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/policy.h"
#include "core/types.h"

namespace tonnage {

enum class DecisionKind : std::uint8_t {
  load,     // a server is started
  ready,    // a server can answer
  evict,    // an idle model gives way to another
  unload,   // a model leaves for another reason than making room
  wait,     // a model waits for memory that busy models hold
  yield,    // a busy model stops admitting, so that it drains for another
  degrade,  // a lesser placement is taken
  upgrade,  // a degraded model is moved back up
  refuse,   // a request is answered with an error
  replay,   // a lost request is sent again
  fail,     // a load, a dry run or a server failed
  stall,    // a load takes longer than it should; others stop waiting for it
  pin,      // an operator's hold was set or released
  level,    // a pool's pressure level changed
  recover,  // a step was taken after an out-of-memory failure
  leak,     // device memory of a server that ended did not come back
};

enum class ReasonCode : std::uint8_t {
  demand,             // a request asked for the model
  operator_asked,     // a command asked for it
  fits_headroom,      // enough was free
  made_room,          // victims were stopped first
  room_for_other,     // stopped, so that `other` can be loaded
  single_model,       // the single-model option allows one model at a time
  heavy_slot,         // the heavy slot allows one heavy model at a time
  idle_ttl,           // unused for longer than its ttl
  busy_models,        // room is held by models with work
  load_in_progress,   // another load into the pool has not been seen yet
  waited_too_long,    // `other` waited for yield_after
  expected_wait,      // the expected wait is longer than degrade_after
  good_enough,        // full context and at least 70 % of the speed, at once
  never_fits_better,  // nothing better fits what is there without foreign use
  memory_returned,    // the better placement fits again
  never_fits,         // no placement fits an empty pool
  queue_full,
  queue_timeout,
  model_failed,       // the model rests after failures
  load_failed,        // every attempt to load it failed
  crash_suspect,      // present at two crashes
  server_lost,        // its server ended before an answer began
  no_resident,        // nothing is ready for `resident`
  context_too_small,  // no placement of the model gives that much context
  shutting_down,
  unloaded_by_operator,
  server_failed,
  profile_failed,
  stopped_hung,         // it did not answer; it was killed
  pinned_models,        // it would fit, were it not for models that an operator holds
  load_timeout,         // not ready within the load's time-out; killed
  room_for_profile,     // stopped, so that `other` can be worked out
  foreign_use,          // it would fit, were it not for what other programs hold
  config_changed,       // its configuration changed; it comes back with the new one
  model_removed,        // the configuration names it no more
  budget_shrunk,        // models hold more than the budget now allows
  pressure,             // the pool's pressure level asks for it
  pressure_over,        // use fell below the restore mark: what pressure took comes back
  foreign_growth,       // other programs grew into what was meant to stay free
  more_room,            // tried again with more room, for which others give way
  lesser_placement,     // tried again with the next placement down
  device_failures,      // too many failures on the device: it runs on the CPU
  cooled_down,          // long enough since the last failure: the device may be used again
  cleared,              // an operator cleared its failures
  device_lost,          // the device is no longer visible
  not_returned,         // a server's device memory was not seen free in time
  stopped_short,        // it answered that it had no memory left; it was killed
  killed_from_outside,  // somebody else ended its server; no request and no model is to blame
  above_budget,         // it was measured to hold more than the budget, and is kept alone
  nobody_waits,         // everybody who waited for its load has left, and `other` waits
  more_context,         // a request that waits asks for more context than the server has
};

// A row of the arithmetic of a refusal or a wait.
struct PlacementNeed {
  Placement placement;
  Bytes need;
  PoolId pool = kHostPool;  // where it lacks most

  friend bool operator==(const PlacementNeed&, const PlacementNeed&) = default;
};

// Fields that do not apply stay empty. All byte figures are of `pool`. A decision explains; what is
// done is an action of its own.
struct Decision {
  DecisionKind kind = DecisionKind::load;
  ReasonCode reason = ReasonCode::demand;
  Tick at;
  std::optional<ModelId> model;
  std::optional<ModelId> other;  // for whose sake, or who is in the way
  std::optional<RequestId> request;
  std::optional<Generation> generation;
  std::optional<Placement> placement;
  PoolId pool = kHostPool;
  Bytes need;                        // what the placement needs, margin included
  Bytes headroom;                    // what was free for it when this was decided
  Bytes usable;                      // what an empty pool could give
  std::vector<ModelId> victims;      // in the order they are stopped
  std::vector<PlacementNeed> tried;  // for refusals: each placement and what it needs
  Duration waited{};
  Duration retry_after{};  // for refusals: when asking again makes sense
  // Of level changes: what the sample of the pool said.
  Bytes used;
  Bytes capacity;
  Bytes foreign;
  std::optional<Duration> cooldown;    // how long the device is out of bounds; empty: until cleared
  std::optional<FailureKind> failure;  // what went wrong, where something did
  std::string text;                    // a failure's own words, or a pressure level's name

  friend bool operator==(const Decision&, const Decision&) = default;
};

std::string_view to_text(DecisionKind kind);
std::string_view to_text(ReasonCode reason);

// One or two sentences that a user understands, with the numbers.
std::string explain(const Decision& decision, const Policy& policy);

}  // namespace tonnage
