// GovernorState: everything the core remembers between two events, as plain data. A journal's
// segment begins with one, so that it replays without what came before.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/events.h"
#include "core/ledger.h"
#include "core/policy.h"
#include "core/pressure.h"
#include "core/residency.h"
#include "core/types.h"

namespace tonnage {

// A request that waits or runs. Those that are not admitted stand in their model's queue.
struct RequestState {
  ModelId model;
  Priority priority = Priority::normal;
  std::int32_t context_needed = 0;
  std::int32_t context_wished = 0;
  bool wish_tried = false;  // a server was stopped for its wish; it takes what comes
  bool counted = true;
  Tick arrived;
  bool admitted = false;
  Generation generation;   // while admitted, and afterwards while lost_from waits for an exit
  bool lost_from = false;  // it waits because its connection to `generation` broke
  bool client_gone = false;
  bool suspect = false;  // was at its server when that crashed
  std::int32_t replays = 0;
  std::int32_t losses = 0;  // of these, by `generation`
  std::int32_t crashes = 0;
  std::int32_t kills = 0;       // servers that were killed from outside with it in them
  bool spared = false;          // the loss that is still to come is one of these
  std::int32_t slots = 1;       // as RequestArrived says
  std::int32_t slots_held = 0;  // while admitted

  friend bool operator==(const RequestState&, const RequestState&) = default;
};

// Crashes with one request in them after which it is to blame: the first may have been another's.
inline constexpr std::int32_t kCrashesMax = 2;

// A flush whose servers have not all gone.
struct FlushState {
  CommandId command;
  std::set<Generation> stopping;
  std::int32_t spared = 0;
  std::int32_t unloaded = 0;

  friend bool operator==(const FlushState&, const FlushState&) = default;
};

// A server or a dry run that ended and whose device memory is not back.
struct ReleaseWatch {
  Generation generation;
  ModelId model;
  Tick since;
  bool killed = false;  // what might be left of it was

  friend bool operator==(const ReleaseWatch&, const ReleaseWatch&) = default;
};

struct GovernorState {
  Policy policy;
  Tick now;
  LedgerState ledger;
  std::vector<ModelState> models;  // index is ModelId
  std::map<RequestId, RequestState> requests;
  std::vector<FlushState> flushes;
  std::vector<ReleaseWatch> releases;
  std::vector<PoolPressure> pressure;  // index is PoolId
  StallSampled stall;
  std::uint64_t next_generation = 1;
  std::optional<Tick> deadline;
  bool somebody_wants = false;  // a model waits to be loaded
  bool shutting_down = false;
  bool drained = false;
  Tick shutdown_deadline;

  friend bool operator==(const GovernorState&, const GovernorState&) = default;
};

// What makes it impossible that a Governor ever stood so; empty for every state that one gave away.
// States from outside, such as a journal's, are asked about before a Governor is made from them.
std::optional<std::string> flaw_of(const GovernorState& state);

}  // namespace tonnage
