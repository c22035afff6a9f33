// ModelRecord: what the core knows of one model, and where it stands in its residency machine.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/decision.h"
#include "core/ledger.h"
#include "core/request_queue.h"
#include "core/snapshot.h"
#include "core/types.h"
#include "core/usage.h"

namespace tonnage {

// Legal edges:
//   absent    -> profiling, loading
//   profiling -> absent, failed
//   loading   -> ready, stopping, absent, failed
//   ready     -> draining, stopping, absent, failed
//   draining  -> ready, stopping, absent, failed
//   stopping  -> absent, failed
//   failed    -> absent
bool is_legal(ResidencyState from, ResidencyState to);

// Why a ready model admits nothing new.
enum class DrainCause : std::uint8_t {
  none,
  yielding,   // another model waited for yield_after
  unloading,  // an operator wants it gone
  holding,    // a connection to it broke; its exit is awaited
  replacing,  // its configuration changed; it comes back with the new one
  removing,   // the configuration names it no more
  pressing,   // memory pressure wants it gone
};

std::string_view to_text(DrainCause cause);

// What servers of one placement were measured to hold, where that is more than was predicted. The
// next one reserves it.
struct LearnedCharge {
  Placement placement;
  std::vector<PoolId> devices;
  PoolAmounts own{};

  friend bool operator==(const LearnedCharge&, const LearnedCharge&) = default;
};

// An operator's wish that a model be loaded.
struct LoadWish {
  CommandId command;
  bool may_evict = true;

  friend bool operator==(const LoadWish&, const LoadWish&) = default;
};

// What is remembered of a model between two events, as plain data.
struct ModelState {
  ResidencyState state = ResidencyState::absent;
  bool pinned = false;

  // The ladder; empty until profiled.
  std::vector<PlacementRow> rows;
  std::vector<PlacementRow> next_rows;  // came while a server ran; taken once it has gone

  bool rows_stale = false;      // they speak of a configuration that has changed
  bool profiled_ahead = false;  // was looked at without being asked for; once is enough
  Tick profiling_since;         // of the dry run that works, or that worked last

  // The server, while there is one: loading, ready, draining, stopping.
  std::optional<Generation> generation;
  std::size_t row = 0;  // its placement in rows
  Placement placement;
  std::vector<PoolId> devices;  // the pool of each logical device of the server
  bool degraded = false;
  std::int32_t context_asked = 0;  // the most that requests of this server asked for and it has
  Tick loading_since;
  Tick ready_since;
  Tick stopping_since;
  bool stalled = false;
  std::optional<Failure> stop_failure;  // why it was killed, where that counts as a failure
  DrainCause drain_cause = DrainCause::none;
  std::optional<ModelId> yielding_to;
  Tick hold_until;  // with DrainCause::holding
  std::optional<Bytes> measured;
  std::vector<Bytes> device_measured;  // index is PoolId - 1; empty where nobody can tell
  std::vector<LearnedCharge> learned;  // one for each placement that held more than predicted
  bool above_budget = false;           // and one of them holds more than the budget; it was said

  bool wait_noted = false;           // the wait for memory was recorded once
  std::optional<Tick> wanted_since;  // first demand since it last was ready
  bool room_made = false;            // victims were stopped for its next load
  // It left so that it can come back at once: better placed, or with a changed configuration.
  std::optional<ReasonCode> reload_for;

  std::vector<LoadWish> load_commands;
  std::vector<CommandId> unload_commands;

  Usage usage;
  Tick last_used;
  bool used = false;
  std::uint64_t uses = 0;
  std::uint64_t loads = 0;
  std::uint64_t evictions = 0;
  std::uint64_t failures = 0;
  std::optional<Duration> load_time;

  std::int32_t attempts = 0;           // loads tried in a row without becoming ready
  std::int32_t failures_in_a_row = 0;  // until an answer was given
  std::int32_t kills_in_a_row = 0;     // of its servers, from outside; until an answer was given
  bool refuses = false;                // while failed: demand is told so at once
  Tick retry_at;
  Failure failure;

  // Recovery: what out-of-memory failures have led to.
  std::vector<Tick> memory_failures;      // within the window, oldest first
  std::optional<Tick> cpu_since;          // after too many of them on a device
  std::size_t least_row = 0;              // better rows failed
  std::int64_t retry_extra_permille = 0;  // asked for beyond the footprint and its margin

  // It left because of memory pressure, and comes back when that is over.
  std::optional<Tick> pressed_at;

  friend bool operator==(const ModelState&, const ModelState&) = default;
};

// The same with what follows from the requests and the ledger.
struct ModelRecord : ModelState {
  ModelId id;
  const LedgerEntry* charged = nullptr;  // its entry in the ledger; set exactly with generation

  // Leases on the server.
  std::set<RequestId> leased;
  std::int32_t counted = 0;      // slots that these take
  bool suspect_running = false;  // one suspect of a crash runs alone

  RequestQueue queue;
};

}  // namespace tonnage
