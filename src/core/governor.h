// Governor: decides which models hold memory and which requests run. Pure: event in, actions out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/actions.h"
#include "core/events.h"
#include "core/policy.h"
#include "core/snapshot.h"
#include "core/state.h"

namespace tonnage {

// A broken invariant of the core; there are none in a healthy program.
struct Violation {
  std::string text;
};

// "Does this model fit, and what would have to happen?" asked of the state as it is.
struct PlanQuery {
  ModelId model;
  std::int32_t context_needed = 0;
};

enum class PlanVerdict : std::uint8_t {
  ready,    // it runs already
  fits,     // it can be loaded into what is free
  evicts,   // it can be loaded after `victims` are stopped
  waits,    // busy models hold the room; `victims` name who would have to finish
  refused,  // no placement fits an empty pool
  unknown,  // not profiled yet
};

std::string_view to_text(PlanVerdict verdict);

struct PlanAnswer {
  PlanVerdict verdict = PlanVerdict::unknown;
  std::optional<Placement> placement;
  Bytes need;
  Bytes headroom;
  Bytes usable;
  std::vector<ModelId> victims;
  std::vector<PlacementNeed> tried;
};

class Governor {
 public:
  Governor(Policy policy, Tick now);
  // Goes on exactly where the Governor stood that gave `state` away. A state from outside has no
  // flaw_of().
  explicit Governor(GovernorState state);
  ~Governor();
  Governor(Governor&&) noexcept;
  Governor& operator=(Governor&&) noexcept;

  // Takes one event and appends what is to be done. Never blocks, throws, logs, or reads a clock.
  // `now` never goes back; an event about an unknown id is ignored, because it may come late.
  void step(Tick now, const Event& event, Actions& actions);

  // When it wants a Timer event; empty when only outside events can change anything.
  std::optional<Tick> next_deadline() const;

  Snapshot snapshot(Tick now) const;
  std::vector<Violation> violations() const;
  PlanAnswer plan(const PlanQuery& query, Tick now) const;

  // Requests that will be admitted before this one, over its own model's queue and those of
  // models that will be loaded first; empty when the request does not wait.
  std::optional<std::int32_t> queue_place(RequestId request) const;

  // Whether a server that ended held memory there that was not seen free yet: samples are wanted
  // soon and often.
  bool awaits_release(PoolId pool) const;

  const Policy& policy() const;

  // Everything it remembers; between two steps.
  GovernorState state() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tonnage
