// The whole state of a Governor as plain data, and back.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/governor_impl.h"

namespace tonnage {
namespace {

bool has_server(ResidencyState state) {
  return state == ResidencyState::loading || state == ResidencyState::ready ||
         state == ResidencyState::draining || state == ResidencyState::stopping;
}

// Names the first thing that does not fit together.
class Inspection {
 public:
  explicit Inspection(const GovernorState& state) : state_(state) {}

  std::optional<std::string> flaw() const {
    const std::size_t pools = state_.policy.pools.size();
    if (pools == 0 || pools > kPoolsMax || state_.ledger.pools.size() != pools)
      return "it has " + std::to_string(pools) + " pools";
    // Journals of before there were levels have none.
    if (!state_.pressure.empty() && state_.pressure.size() != pools)
      return "its pressure levels are not those of its pools";
    for (const ReleaseWatch& watch : state_.releases) {
      if (!known(watch.model))
        return "it awaits the memory of no model";
    }
    if (state_.models.size() != state_.policy.models.size())
      return "its models are not those of its policy";
    for (std::size_t i = 0; i < state_.models.size(); ++i) {
      if (const auto flaw = flaw_of(state_.models[i], state_.policy.models[i].id))
        return flaw;
    }
    for (const auto& [id, request] : state_.requests) {
      if (!known(request.model))
        return "request " + std::to_string(id.value) + " names no model";
    }
    for (const auto& [generation, charge] : state_.ledger.charges) {
      if (is_dry_run(generation) && !is_profiled(generation))
        return "it charges a dry run of a model that is not profiled";
    }
    return std::nullopt;
  }

 private:
  bool known(ModelId id) const { return id.value < state_.models.size(); }

  bool is_profiled(Generation dry_run) const {
    const std::uint64_t model = dry_run.value - kDryRuns;
    return model < state_.models.size() && state_.models[model].state == ResidencyState::profiling;
  }

  std::optional<std::string> flaw_of(const ModelState& model, const std::string& name) const {
    if (has_server(model.state) != model.generation.has_value())
      return name + " is " + std::string(to_text(model.state)) + " and its server differs";
    if (model.generation && !state_.ledger.charges.contains(*model.generation))
      return name + " has a server that is not charged";
    if (model.generation && model.row >= model.rows.size())
      return name + " runs in a placement that is not in its ladder";
    if (model.rows.size() > kPlacementRowsMax || model.next_rows.size() > kPlacementRowsMax)
      return name + " has too many placements";
    for (const PoolId pool : model.devices) {
      if (pool.value >= state_.policy.pools.size())
        return name + " runs on a pool that is not there";
    }
    if (model.yielding_to && !known(*model.yielding_to))
      return name + " yields to no model";
    return std::nullopt;
  }

  const GovernorState& state_;
};

}  // namespace

std::optional<std::string> flaw_of(const GovernorState& state) {
  return Inspection(state).flaw();
}

Governor::Impl::Impl(GovernorState state)
    : policy_(std::move(state.policy)),
      ledger_(policy_.pools, state.ledger),
      eviction_(make_eviction_policy(policy_.residency.eviction)),
      requests_(std::move(state.requests)),
      flushes_(std::move(state.flushes)),
      releases_(std::move(state.releases)),
      pressure_(std::move(state.pressure)),
      stall_(state.stall),
      next_generation_(state.next_generation),
      shutting_down_(state.shutting_down),
      drained_(state.drained),
      shutdown_deadline_(state.shutdown_deadline),
      deadline_(state.deadline),
      now_(state.now),
      somebody_wants_(state.somebody_wants) {
  pressure_.resize(policy_.pools.size());
  models_.resize(state.models.size());
  for (std::size_t i = 0; i < models_.size(); ++i) {
    models_[i].id = ModelId(static_cast<std::uint32_t>(i));
    take_up(models_[i], std::move(state.models[i]));
  }
  for (const auto& [id, request] : requests_) {
    ModelRecord& model = models_[request.model.value];
    if (!request.admitted) {
      model.queue.push(id, request.arrived, request.priority, request.suspect);
      ++waiting_;
    } else if (model.generation == request.generation) {
      model.leased.insert(id);
      if (request.counted) {
        model.counted += request.slots_held;
        model.suspect_running = model.suspect_running || request.suspect;
      }
    }
  }
}

void Governor::Impl::take_up(ModelRecord& model, ModelState state) {
  static_cast<ModelState&>(model) = std::move(state);
  if (model.generation) {
    model.charged = ledger_.find(*model.generation);
    TONNAGE_CHECK(model.charged != nullptr, "a server is charged");
  }
}

GovernorState Governor::Impl::state() const {
  GovernorState state;
  state.policy = policy_;
  state.now = now_;
  state.ledger = ledger_.state();
  state.models.assign(models_.begin(), models_.end());
  state.requests = requests_;
  state.flushes = flushes_;
  state.releases = releases_;
  state.pressure = pressure_;
  state.stall = stall_;
  state.next_generation = next_generation_;
  state.deadline = deadline_;
  state.somebody_wants = somebody_wants_;
  state.shutting_down = shutting_down_;
  state.drained = drained_;
  state.shutdown_deadline = shutdown_deadline_;
  return state;
}

}  // namespace tonnage
