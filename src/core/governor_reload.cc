// A changed configuration: new rules at once, changed models replaced once nobody uses them.
#include <algorithm>
#include <utility>

#include "core/governor_impl.h"

namespace tonnage {

void Governor::Impl::on(const PolicyChanged& event) {
  const bool applicable = event.policy.pools.size() == policy_.pools.size() &&
                          event.policy.models.size() >= policy_.models.size();
  if (!applicable)
    return;
  const Policy before = std::exchange(policy_, event.policy);
  ledger_.set_policies(policy_.pools);
  eviction_ = make_eviction_policy(policy_.residency.eviction);
  for (std::size_t i = models_.size(); i < policy_.models.size(); ++i) {
    ModelRecord& model = models_.emplace_back();
    model.id = ModelId(static_cast<std::uint32_t>(i));
    model.pinned = policy_.models[i].pinned;
    model.last_used = now_;
  }
  for (std::size_t i = 0; i < before.models.size(); ++i)
    apply_policy(before.models[i], models_[i]);
  for (const ModelId id : event.changed) {
    ModelRecord* model = find(id);
    if (model != nullptr && !policy_.models[id.value].removed)
      replace(*model);
  }
  dirty_ = true;
}

// An operator's pin or unpin at run time stands until the configuration says something new.
void Governor::Impl::apply_policy(const ModelPolicy& before, ModelRecord& model) {
  const ModelPolicy& policy = policy_.models[model.id.value];
  if (policy.pinned != before.pinned)
    model.pinned = policy.pinned;
  if (policy.removed && !before.removed)
    remove(model);
}

// A changed file or configuration is one of the exits of a failed model.
void Governor::Impl::replace(ModelRecord& model) {
  model.profiled_ahead = false;
  model.next_rows.clear();
  model.attempts = 0;
  model.failures_in_a_row = 0;
  model.kills_in_a_row = 0;
  model.learned.clear();
  model.above_budget = false;
  forget_failures(model);
  if (model.state == ResidencyState::failed) {
    model.refuses = false;
    move(model, ResidencyState::absent);
  }
  if (model.state == ResidencyState::absent) {
    model.rows.clear();
    return;
  }
  model.rows_stale = true;
  const bool comes_back =
      model.state == ResidencyState::ready || model.state == ResidencyState::draining;
  if (comes_back && model.drain_cause != DrainCause::unloading)
    model.reload_for = ReasonCode::config_changed;
  leave(model, DrainCause::replacing, ReasonCode::config_changed);
}

void Governor::Impl::remove(ModelRecord& model) {
  model.pinned = false;
  model.reload_for.reset();
  const Decision d = decision(DecisionKind::refuse, ReasonCode::model_removed, model);
  refuse_all(model, RefusalStatus::not_found, d);
  finish_load_commands(model, false, "it is no longer configured");
  leave(model, DrainCause::removing, ReasonCode::model_removed);
}

// A server goes once its leases have ended; one that only loads goes at once.
void Governor::Impl::leave(ModelRecord& model, DrainCause cause, ReasonCode reason) {
  if (model.state == ResidencyState::ready)
    move(model, ResidencyState::draining);
  if (model.state == ResidencyState::draining && model.drain_cause != DrainCause::unloading) {
    model.drain_cause = cause;
    model.yielding_to.reset();
  }
  if (model.state == ResidencyState::loading) {
    decide(decision(DecisionKind::unload, reason, model));
    stop_server(model, true);
  }
}

// Models hold more than the rules or the machine now allow: idle ones leave, and busy ones as they
// become idle.
void Governor::Impl::shrink_to_budget() {
  for (const ModelId id : planner().victims_over_budget()) {
    ModelRecord& model = models_[id.value];
    Decision d = decision(DecisionKind::unload, ReasonCode::budget_shrunk, model);
    d.need = ledger_.reserved(kHostPool) - ledger_.budget(kHostPool);
    for (std::uint32_t i = 1; i < ledger_.pool_count(); ++i) {
      const Bytes over = ledger_.reserved(PoolId(i)) - ledger_.budget(PoolId(i));
      if (over > d.need && model.charged->charge.own[i] > Bytes{0}) {
        d.need = over;
        d.pool = PoolId(i);
      }
    }
    decide(std::move(d));
    ++model.evictions;
    stop_server(model, false);
  }
}

}  // namespace tonnage
