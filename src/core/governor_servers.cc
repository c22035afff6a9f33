// Servers: readiness, exits and samples.
#include <algorithm>
#include <ranges>
#include <utility>

#include "core/governor_impl.h"

namespace tonnage {

ModelRecord* Governor::Impl::by_generation(Generation generation) {
  const auto found = std::ranges::find_if(
      models_, [&](const ModelRecord& m) { return m.generation == generation; });
  return found == models_.end() ? nullptr : &*found;
}

void Governor::Impl::on(const ServerReady& event) {
  ModelRecord* model = by_generation(event.generation);
  if (model == nullptr || model->state != ResidencyState::loading)
    return;
  move(*model, ResidencyState::ready);
  model->ready_since = now_;
  model->load_time = now_ - model->loading_since;
  model->stalled = false;
  model->attempts = 0;
  model->drain_cause = DrainCause::none;
  model->wait_noted = false;
  model->reload_for.reset();
  touch(*model);
  Decision d = decision(DecisionKind::ready, ReasonCode::demand, *model);
  d.waited = *model->load_time;
  decide(std::move(d));
  finish_load_commands(*model, true, {});
}

void Governor::Impl::on(const ServerSampled& event) {
  ModelRecord* model = by_generation(event.generation);
  if (model == nullptr)
    return;
  const auto held = [&] {
    PoolAmounts own{};
    own[kHostPool.value] = model->measured.value_or(Bytes{0});
    std::ranges::copy(model->device_measured, own.begin() + 1);
    return own;
  };
  const PoolAmounts before = held();
  model->measured = event.host_anon;
  model->device_measured = event.device_bytes;
  model->device_measured.resize(std::min(event.device_bytes.size(), ledger_.pool_count() - 1));
  const PoolAmounts own = held();
  // One sample may be wrong: what two in a row show is learned.
  PoolAmounts sure{};
  for (std::size_t i = 0; i < own.size(); ++i)
    sure[i] = std::min(before[i], own[i]);
  if (ledger_.measured(event.generation, own)) {
    dirty_ = true;
    judge_pressure();
  }
  learn(*model, sure);
}

// Its next server is charged for what this one holds, where that is more than was predicted:
// otherwise the load would fit, the measurement would not, and the model would be loaded for ever.
void Governor::Impl::learn(ModelRecord& model, const PoolAmounts& own) {
  if (model.row >= model.rows.size())
    return;
  const PoolAmounts planned = planner().charge_of(model, model.rows[model.row], model.devices).own;
  bool more = false;
  for (std::size_t i = 0; i < own.size(); ++i)
    more = more || own[i] > planned[i];
  if (more) {
    auto entry = std::ranges::find_if(model.learned, [&](const LearnedCharge& l) {
      return l.placement == model.placement && l.devices == model.devices;
    });
    if (entry == model.learned.end()) {
      if (model.learned.size() >= kPlacementRowsMax)
        model.learned.erase(model.learned.begin());
      entry = model.learned.insert(model.learned.end(), {model.placement, model.devices, {}});
    }
    for (std::size_t i = 0; i < own.size(); ++i)
      entry->own[i] = std::max(entry->own[i], own[i]);
  }
  if (more && !model.above_budget && planner().is_kept_alone(model)) {
    model.above_budget = true;
    note_above_budget(model);
  }
}

void Governor::Impl::note_above_budget(ModelRecord& model) {
  Decision d = decision(DecisionKind::recover, ReasonCode::above_budget, model);
  Bytes most{0};
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    const Charge& charge = model.charged->charge;
    const Bytes held = charge.own[i] + (i == kHostPool.value ? size_of(charge.weights) : Bytes{0});
    if (held - ledger_.empty(PoolId(i)) <= most)
      continue;
    most = held - ledger_.empty(PoolId(i));
    d.pool = PoolId(i);
    d.need = held;
    d.headroom = ledger_.headroom(PoolId(i));
    d.usable = ledger_.empty(PoolId(i));
  }
  decide(std::move(d));
}

void Governor::Impl::on(const PoolSampled& event) {
  if (event.pool.value >= ledger_.pool_count())
    return;
  const Bytes headroom = ledger_.headroom(event.pool);
  const Bytes empty = ledger_.empty(event.pool);
  PoolSample sample;
  sample.capacity = event.capacity;
  sample.foreign = event.foreign;
  sample.used = event.used;
  sample.orphaned = event.orphaned;
  sample.expected = std::max(Bytes{0}, event.expected);
  sample.sampled_at = now_;
  ledger_.sample(event.pool, sample, policy_.recovery.release_permille);
  watch_releases();
  judge_pressure(event.pool);
  // Each sample may be the one that lets a model come back.
  if (policy_.pressure.restore_below_permille &&
      std::ranges::any_of(models_, [](const ModelRecord& m) { return m.pressed_at.has_value(); }))
    dirty_ = true;
  // With the same headroom an empty pool may hold less than before, and somebody waits in vain.
  if (ledger_.headroom(event.pool) != headroom || ledger_.empty(event.pool) != empty)
    dirty_ = true;
}

void Governor::Impl::on(const StallSampled& event) {
  stall_ = event;
  judge_pressure(kHostPool);
}

void Governor::Impl::on(const ServerUnresponsive& event) {
  stop_for(event.generation, ReasonCode::stopped_hung, event.failure);
}

void Governor::Impl::on(const ServerOutOfMemory& event) {
  stop_for(event.generation, ReasonCode::stopped_short, event.failure);
}

// A server that lives and is of no use any more. Its exit will count as this failure.
void Governor::Impl::stop_for(Generation generation, ReasonCode reason, const Failure& failure) {
  ModelRecord* model = by_generation(generation);
  if (model == nullptr)
    return;
  if (model->state != ResidencyState::ready && model->state != ResidencyState::draining)
    return;
  Decision d = decision(DecisionKind::unload, reason, *model);
  d.failure = failure.kind;
  d.text = failure.text;
  decide(std::move(d));
  model->stop_failure = failure;
  stop_server(*model, true);
}

void Governor::Impl::on(const ServerExited& event) {
  ModelRecord* model = by_generation(event.generation);
  if (model == nullptr)
    return;
  const ResidencyState before = model->state;
  const std::optional<Failure> killed_for = std::exchange(model->stop_failure, std::nullopt);
  const std::optional<Failure> failure = killed_for ? killed_for : event.failure;
  const bool was_ready = before == ResidencyState::ready || before == ResidencyState::draining ||
                         (before == ResidencyState::stopping && killed_for &&
                          killed_for->kind != FailureKind::load_timeout);
  const bool failed = was_ready || before == ResidencyState::loading || killed_for;
  const auto step = failed && failure ? recovery_step(*model, failure->kind) : std::nullopt;
  const bool killed = failed && failure && failure->kind == FailureKind::killed;
  if (was_ready && (step || killed))
    forgive_losses(*model, event.generation, !step);
  else if (was_ready)
    count_crash(*model, event.generation);
  server_gone(*model);
  flush_gone(event.generation);
  if (step) {
    recover(*model, *failure, *step, event.generation, was_ready);
  } else if (killed && model->kills_in_a_row < policy_.recovery.kills_max) {
    killed_from_outside(*model, *failure);
  } else if (was_ready) {
    crashed(*model,
            failure.value_or(Failure{FailureKind::exited, "it ended without being asked to"}));
  } else if (before == ResidencyState::loading || killed_for) {
    load_failed(*model,
                failure.value_or(Failure{FailureKind::exited, "it ended before it was ready"}));
  } else {
    move(*model, ResidencyState::absent);
  }
  refuse_worn_out(*model);
  finish_unload_commands(*model);
}

// What it held on devices is waited for.
void Governor::Impl::release(Generation generation, ModelId model) {
  const LedgerEntry* entry = ledger_.find(generation);
  const bool on_device =
      entry != nullptr && std::ranges::any_of(entry->charge.own | std::views::drop(1),
                                              [](Bytes own) { return own > Bytes{0}; });
  if (on_device)
    releases_.push_back({generation, model, now_});
  ledger_.release(generation);
}

void Governor::Impl::server_gone(ModelRecord& model) {
  release(*model.generation, model.id);
  model.devices.clear();
  model.device_measured.clear();
  model.charged = nullptr;
  model.generation.reset();
  model.leased.clear();
  model.counted = 0;
  model.suspect_running = false;
  model.stalled = false;
  model.degraded = false;
  model.drain_cause = DrainCause::none;
  model.yielding_to.reset();
  model.measured.reset();
  model.wait_noted = false;
  if (!model.next_rows.empty())
    model.rows = std::exchange(model.next_rows, {});
  if (std::exchange(model.rows_stale, false))
    model.rows.clear();
}

}  // namespace tonnage
