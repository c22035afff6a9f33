// Recovery: what is tried after out-of-memory failures, and device memory that does not come
// back.
#include <algorithm>
#include <utility>

#include "core/governor_impl.h"

namespace tonnage {
namespace {

// How long the rest of a server has to go once it was killed.
constexpr Duration kRemainsTime = 1s;

bool has_cpu_row(const ModelRecord& model) {
  return std::ranges::any_of(model.rows,
                             [](const PlacementRow& row) { return row.device_bytes.empty(); });
}

}  // namespace

// Within the window the steps are: the same placement with more room, for which others may have to
// give way; the next placement down on the same kind of pool; after device_failures_max failures on
// a device, the CPU. Empty: nothing is left to try.
std::optional<Governor::Impl::RecoveryStep> Governor::Impl::recovery_step(const ModelRecord& model,
                                                                          FailureKind kind) const {
  if (!is_for_memory(kind) || !model.generation || model.row >= model.rows.size())
    return std::nullopt;
  std::int32_t count = 1;
  for (const Tick at : model.memory_failures) {
    if (now_ - at < policy_.recovery.failure_window)
      ++count;
  }
  const auto step = [&](ReasonCode reason, std::size_t row) {
    return RecoveryStep{reason, row, model.rows[row], count};
  };
  const bool on_device = !model.devices.empty();
  if (on_device && count >= policy_.recovery.device_failures_max && has_cpu_row(model))
    return step(ReasonCode::device_failures, model.row);
  if (count == 1)
    return step(ReasonCode::more_room, model.row);
  for (std::size_t i = model.row + 1; i < model.rows.size(); ++i) {
    if (model.rows[i].device_bytes.empty() != on_device)
      return step(ReasonCode::lesser_placement, i);
  }
  if (on_device && count < policy_.recovery.device_failures_max)
    return step(ReasonCode::more_room, model.row);
  return std::nullopt;
}

void Governor::Impl::recover(ModelRecord& model, const Failure& failure, const RecoveryStep& step,
                             Generation generation, bool was_ready) {
  // Where the steps end, these attempts count as well.
  if (!was_ready)
    ++model.attempts;
  record_failure(model, failure, was_ready ? ReasonCode::server_failed : ReasonCode::load_failed,
                 generation);
  take_step(model, step, generation);
  move(model, ResidencyState::absent);
}

// After its server has gone.
void Governor::Impl::take_step(ModelRecord& model, const RecoveryStep& step,
                               Generation generation) {
  model.memory_failures.push_back(now_);
  std::erase_if(model.memory_failures,
                [this](Tick at) { return now_ - at >= policy_.recovery.failure_window; });
  Decision d = decision(DecisionKind::recover, step.reason, model);
  d.generation = generation;
  d.placement = step.tried.placement;
  d.failure = model.failure.kind;
  switch (step.reason) {
    case ReasonCode::device_failures:
      model.cpu_since = now_;
      model.retry_extra_permille = 0;
      model.least_row = 0;
      d.text = std::to_string(step.count) + (step.count == 1 ? " failure" : " failures") +
               " out of device memory within " + rounded_text(policy_.recovery.failure_window);
      d.cooldown = policy_.recovery.cooldown;
      break;
    case ReasonCode::lesser_placement:
      if (!model.rows.empty())
        model.least_row = step.row;
      break;
    default: {
      model.retry_extra_permille = policy_.recovery.retry_extra_permille * step.count;
      Bytes most = step.tried.host_anon;
      for (const Bytes bytes : step.tried.device_bytes)
        most = std::max(most, bytes);
      d.need = permille_of(most, model.retry_extra_permille);
      break;
    }
  }
  decide(std::move(d));
}

void Governor::Impl::run_recovery_timers(ModelRecord& model) {
  if (model.cpu_since) {
    const auto cooldown = policy_.recovery.cooldown;
    if (!cooldown || now_ < *model.cpu_since + *cooldown)
      return;
    Decision d = decision(DecisionKind::recover, ReasonCode::cooled_down, model);
    d.waited = now_ - *model.cpu_since;
    decide(std::move(d));
    forget_failures(model);
    return;
  }
  if (!model.memory_failures.empty() &&
      now_ - model.memory_failures.back() >= policy_.recovery.failure_window)
    forget_failures(model);
}

void Governor::Impl::forget_failures(ModelRecord& model) {
  model.memory_failures.clear();
  model.cpu_since.reset();
  model.least_row = 0;
  model.retry_extra_permille = 0;
  dirty_ = true;
}

void Governor::Impl::on(const ClearModel& event) {
  ModelRecord* model = find(event.model);
  if (model == nullptr || policy_.models[event.model.value].removed) {
    emit(CommandDone{event.command, false, "no such model"});
    return;
  }
  const bool had =
      !model->memory_failures.empty() || model->cpu_since || model->state == ResidencyState::failed;
  if (model->cpu_since)
    decide(decision(DecisionKind::recover, ReasonCode::cleared, *model));
  forget_failures(*model);
  model->failures_in_a_row = 0;
  model->kills_in_a_row = 0;
  model->learned.clear();
  model->above_budget = false;
  if (model->state == ResidencyState::failed) {
    model->rows.clear();
    model->refuses = false;
    move(*model, ResidencyState::absent);
  }
  emit(CommandDone{event.command, true, had ? "cleared" : "there was nothing to clear"});
}

// Device memory that is not seen free in time: first whatever is left of the server is killed, then
// it is written off, and counts as held by others for as long as the samples show it.
void Governor::Impl::watch_releases() {
  for (std::size_t i = 0; i < releases_.size();) {
    ReleaseWatch& watch = releases_[i];
    std::optional<Ledger::Missing> missing;
    PoolId pool = kHostPool;
    for (std::uint32_t p = 1; p < ledger_.pool_count() && !missing; ++p) {
      pool = PoolId(p);
      missing = ledger_.missing(watch.generation, pool);
    }
    if (!missing) {
      releases_.erase(releases_.begin() + static_cast<std::ptrdiff_t>(i));
      dirty_ = true;
      continue;
    }
    if (now_ < watch.since + (watch.killed ? kRemainsTime : policy_.recovery.release_timeout)) {
      ++i;
      continue;
    }
    const Bytes floor = policy_.recovery.release_min;
    const bool dry_run = is_dry_run(watch.generation);
    if (!watch.killed && !dry_run && missing->returned < floor && missing->held >= floor) {
      watch.killed = true;
      watch.since = now_;
      emit(KillRemains{watch.model, watch.generation});
      ++i;
      continue;
    }
    // Nothing is missed where no sample came meanwhile.
    if (missing->held > missing->returned) {
      Decision d =
          decision(DecisionKind::leak, ReasonCode::not_returned, models_[watch.model.value]);
      if (dry_run)
        d.text = "dry run";
      else
        d.generation = watch.generation;
      d.pool = pool;
      d.need = missing->held - missing->returned;
      d.waited = policy_.recovery.release_timeout + (watch.killed ? kRemainsTime : Duration{0});
      decide(std::move(d));
    }
    ledger_.write_off(watch.generation);
    releases_.erase(releases_.begin() + static_cast<std::ptrdiff_t>(i));
    dirty_ = true;
  }
}

void Governor::Impl::on(const PoolLost& event) {
  if (event.pool == kHostPool || event.pool.value >= ledger_.pool_count())
    return;
  if (ledger_.seen(event.pool).lost)
    return;
  ledger_.lose(event.pool);
  Decision d;
  d.kind = DecisionKind::level;
  d.reason = ReasonCode::device_lost;
  d.at = now_;
  d.pool = event.pool;
  d.text = event.text;
  decide(std::move(d));
  judge_pressure(event.pool);
  dirty_ = true;
}

void Governor::Impl::recovery_deadlines() {
  for (const ReleaseWatch& watch : releases_)
    deadline_at(watch.since + (watch.killed ? kRemainsTime : policy_.recovery.release_timeout));
  for (const ModelRecord& model : models_) {
    if (model.cpu_since && policy_.recovery.cooldown)
      deadline_at(*model.cpu_since + *policy_.recovery.cooldown);
    if (!model.cpu_since && !model.memory_failures.empty())
      deadline_at(model.memory_failures.back() + policy_.recovery.failure_window);
  }
}

}  // namespace tonnage
