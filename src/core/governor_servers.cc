// Servers: profiles, readiness, exits, failures and samples.
#include <algorithm>
#include <ranges>
#include <utility>

#include "base/check.h"
#include "core/governor_impl.h"

namespace tonnage {
namespace {

// Failures that another attempt cannot mend while the file and the configuration stay as they are.
bool is_permanent(FailureKind kind) {
  return kind == FailureKind::bad_model || kind == FailureKind::bad_setup;
}

}  // namespace

ModelRecord* Governor::Impl::by_generation(Generation generation) {
  const auto found = std::ranges::find_if(
      models_, [&](const ModelRecord& m) { return m.generation == generation; });
  return found == models_.end() ? nullptr : &*found;
}

void Governor::Impl::on(const ModelProfiled& event) {
  ModelRecord* model = find(event.model);
  if (model == nullptr || event.rows.empty())
    return;
  std::vector<PlacementRow> rows = event.rows;
  if (rows.size() > kPlacementRowsMax)
    rows.resize(kPlacementRowsMax);
  if (std::exchange(model->rows_stale, model->generation.has_value() && model->rows_stale)) {
    // They speak of what is no longer configured. With a server they came unasked.
    if (profiling_ == event.model)
      end_profile(*model);
    return;
  }
  if (model->generation) {
    // Its server was placed by the old rows; the new ones count from the next load on.
    model->next_rows = std::move(rows);
    return;
  }
  model->rows = std::move(rows);
  dirty_ = true;
  if (profiling_ == event.model)
    end_profile(*model);
}

void Governor::Impl::on(const DryRunEnded& event) {
  if (profiling_ != event.model)
    return;
  end_dry_run();
  dirty_ = true;
}

void Governor::Impl::end_dry_run() {
  release(kDryRun, *profiling_);
}

void Governor::Impl::end_profile(ModelRecord& model) {
  end_dry_run();
  profiling_.reset();
  move(model, ResidencyState::absent);
}

void Governor::Impl::on(const ProfileFailed& event) {
  if (profiling_ != event.model)
    return;
  ModelRecord& model = models_[event.model.value];
  if (std::exchange(model.rows_stale, false))
    return end_profile(model);
  end_dry_run();
  profiling_.reset();
  ++model.failures;
  ++model.failures_in_a_row;
  model.failure = event.failure;
  Decision d = decision(DecisionKind::fail, ReasonCode::profile_failed, model);
  d.failure = event.failure.kind;
  d.text = event.failure.text;
  decide(d);
  rest(model, true);
  d.reason = ReasonCode::load_failed;
  d.retry_after = std::max(Duration{1s}, model.retry_at - now_);
  refuse_all(model, RefusalStatus::bad_gateway, d);
  finish_load_commands(model, false, event.failure.text);
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
  model->measured = event.host_anon;
  model->device_measured = event.device_bytes;
  model->device_measured.resize(std::min(event.device_bytes.size(), ledger_.pool_count() - 1));
  PoolAmounts own{};
  own[kHostPool.value] = event.host_anon;
  std::ranges::copy(model->device_measured, own.begin() + 1);
  if (ledger_.measured(event.generation, own)) {
    dirty_ = true;
    judge_pressure();
  }
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
  if (was_ready && step)
    forgive_crash(*model, event.generation);
  else if (was_ready)
    count_crash(*model, event.generation);
  server_gone(*model);
  flush_gone(event.generation);
  if (step) {
    recover(*model, *failure, *step, event.generation, was_ready);
  } else if (was_ready) {
    crashed(*model, failure.value_or(Failure{FailureKind::exited, "it ended without being asked to"}));
  } else if (before == ResidencyState::loading || killed_for) {
    load_failed(*model,
                failure.value_or(Failure{FailureKind::exited, "it ended before it was ready"}));
  } else {
    move(*model, ResidencyState::absent);
  }
  finish_unload_commands(*model);
}

// Whoever was at the server when it crashed is a suspect, whether its connection's end was seen
// before the exit (it waits already) or will be seen after it (it is still leased). What might have
// been free is counted now.
void Governor::Impl::count_crash(ModelRecord& model, Generation generation) {
  const auto suspect = [](Request& request) {
    ++request.crashes;
    request.suspect = true;
  };
  for (const RequestId id : model.leased) {
    Request& request = requests_.at(id);
    if (request.counted)
      suspect(request);
  }
  std::vector<RequestId> returned;
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    const Request& request = requests_.at(w.request);
    if (request.lost_from && request.generation == generation)
      returned.push_back(w.request);
  });
  for (const RequestId id : returned) {
    Request& request = requests_.at(id);
    if (request.counted)
      suspect(request);
    request.lost_from = false;
    if (request.crashes >= 2 || request.replays > policy_.queue.replays_max) {
      const ReasonCode reason =
          request.crashes >= 2 ? ReasonCode::crash_suspect : ReasonCode::server_lost;
      Decision d = decision(DecisionKind::refuse, reason, model);
      refuse(id, RefusalStatus::bad_gateway, std::move(d));
      continue;
    }
    model.queue.erase(id);
    model.queue.push(id, request.arrived, request.priority, request.suspect);
  }
}

// A server that ran out of memory takes nobody's chances: those that it lost are replayed for free.
void Governor::Impl::forgive_crash(ModelRecord& model, Generation generation) {
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    Request& request = requests_.at(w.request);
    if (!request.lost_from || request.generation != generation)
      return;
    request.lost_from = false;
    request.replays = std::max(0, request.replays - 1);
  });
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

void Governor::Impl::crashed(ModelRecord& model, Failure failure) {
  ++model.failures;
  ++model.failures_in_a_row;
  model.failure = std::move(failure);
  Decision d = decision(DecisionKind::fail, ReasonCode::server_failed, model);
  d.failure = model.failure.kind;
  d.text = model.failure.text;
  decide(std::move(d));
  // The first crash is forgiven at once; a crash loop backs off, and who waits goes on waiting.
  if (model.failures_in_a_row >= 2) {
    rest(model, false);
  } else {
    move(model, ResidencyState::absent);
  }
}

void Governor::Impl::load_failed(ModelRecord& model, Failure failure) {
  ++model.failures;
  ++model.attempts;
  model.failure = std::move(failure);
  Decision d = decision(DecisionKind::fail, ReasonCode::load_failed, model);
  d.failure = model.failure.kind;
  d.text = model.failure.text;
  decide(d);
  const bool stale = model.failure.kind == FailureKind::stale_profile;
  if (stale)
    model.rows.clear();
  const bool again =
      model.attempts < policy_.load.attempts_max && !is_permanent(model.failure.kind);
  if (again) {
    move(model, ResidencyState::absent);
    return;
  }
  ++model.failures_in_a_row;
  model.attempts = 0;
  rest(model, true);
  d.retry_after = std::max(Duration{1s}, model.retry_at - now_);
  refuse_all(model, RefusalStatus::bad_gateway, d);
  finish_load_commands(model, false, model.failure.text);
}

void Governor::Impl::rest(ModelRecord& model, bool refuses) {
  const std::int32_t doublings = std::clamp(model.failures_in_a_row - 1, 0, 30);
  const Duration most = policy_.load.retry_backoff_max;
  Duration backoff = std::min(policy_.load.retry_backoff_min, most);
  for (std::int32_t i = 0; i < doublings && backoff < most; ++i)
    backoff = std::min(backoff * 2, most);
  model.retry_at = now_ + backoff;
  model.refuses = refuses;
  model.reload_for.reset();
  move(model, ResidencyState::failed);
}

}  // namespace tonnage
