// Scheduling: who may be admitted, loaded, stopped or moved now, and when to look again.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/governor_impl.h"

namespace tonnage {
namespace {

// Why a model that drains is to go at the end of its leases, where it is.
std::optional<ReasonCode> leaves_for(DrainCause cause) {
  switch (cause) {
    case DrainCause::unloading:
      return ReasonCode::unloaded_by_operator;
    case DrainCause::replacing:
      return ReasonCode::config_changed;
    case DrainCause::removing:
      return ReasonCode::model_removed;
    case DrainCause::pressing:
      return ReasonCode::pressure;
    case DrainCause::none:
    case DrainCause::yielding:
    case DrainCause::holding:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

void Governor::Impl::schedule() {
  deadline_.reset();
  // Each pass may free a queue or a model for the next; the number of passes is bounded because
  // every pass that sets dirty_ again has moved a model or ended a request.
  constexpr int kPassesMax = 8;
  for (int pass = 0; pass < kPassesMax && dirty_; ++pass) {
    dirty_ = false;
    if (!shutting_down_) {
      for (ModelRecord& model : models_) {
        expire_waiting(model);
        expire_load_commands(model);
      }
    }
    for (ModelRecord& model : models_) {
      run_model_timers(model);
      run_recovery_timers(model);
    }
    watch_releases();
    continue_profiles();
    end_pointless_yields();
    for (ModelRecord& model : models_) {
      if (model.state == ResidencyState::ready)
        admit_waiting(model);
    }
    if (shutting_down_) {
      progress_shutdown();
    } else {
      shrink_to_budget();
      judge_pressure();
      apply_pressure();
      make_room();
      restore_pressed();
      move_up_degraded();
      profile_ahead();
    }
  }
  dirty_ = false;
  update_deadline();
}

void Governor::Impl::run_model_timers(ModelRecord& model) {
  switch (model.state) {
    case ResidencyState::loading:
      if (!model.stalled && now_ - model.loading_since >= policy_.load.stall_after) {
        model.stalled = true;
        Decision d = decision(DecisionKind::stall, ReasonCode::load_in_progress, model);
        d.waited = now_ - model.loading_since;
        decide(std::move(d));
      }
      if (now_ - model.loading_since >= policy_.load.timeout) {
        model.stop_failure = Failure{FailureKind::load_timeout,
                                     "not ready after " + to_text(now_ - model.loading_since)};
        Decision d = decision(DecisionKind::unload, ReasonCode::load_timeout, model);
        d.waited = now_ - model.loading_since;
        d.text = model.stop_failure->text;
        decide(std::move(d));
        stop_server(model, true);
      }
      return;
    case ResidencyState::draining:
      if (model.drain_cause == DrainCause::holding && now_ >= model.hold_until) {
        model.drain_cause = DrainCause::none;
        move(model, ResidencyState::ready);
      } else if (const auto reason = leaves_for(model.drain_cause);
                 reason && model.leased.empty()) {
        Decision d = decision(DecisionKind::unload, *reason, model);
        if (*reason == ReasonCode::pressure) {
          name_pressure(d);
          model.pressed_at = now_;
        }
        decide(std::move(d));
        stop_server(model, false);
      }
      return;
    case ResidencyState::failed:
      if (now_ >= model.retry_at) {
        // The file may have been mended meanwhile: look at it anew.
        model.rows.clear();
        model.refuses = false;
        move(model, ResidencyState::absent);
      }
      return;
    case ResidencyState::ready: {
      const auto ttl = policy_.models[model.id.value].ttl;
      const bool idle = model.leased.empty() && model.queue.empty();
      if (!ttl || model.pinned || !idle)
        return;
      if (now_ - model.last_used < std::max(*ttl, policy_.residency.grace))
        return;
      Decision d = decision(DecisionKind::unload, ReasonCode::idle_ttl, model);
      d.waited = now_ - model.last_used;
      decide(std::move(d));
      stop_server(model, false);
      return;
    }
    case ResidencyState::absent:
    case ResidencyState::profiling:
    case ResidencyState::stopping:
      return;
  }
}

std::optional<Governor::Impl::Wanted> Governor::Impl::wanted(const ModelRecord& model) const {
  if (model.state != ResidencyState::absent)
    return std::nullopt;
  const auto oldest = model.queue.oldest();
  if (!oldest && model.load_commands.empty() && !model.reload_for)
    return std::nullopt;
  Wanted w;
  w.model = model.id;
  w.rank = oldest ? model.queue.front_rank(now_, policy_.queue.yield_after)
                  : static_cast<int>(policy_.models[model.id.value].priority);
  w.since = now_;
  if (model.wanted_since)
    w.since = std::min(w.since, *model.wanted_since);
  if (oldest)
    w.since = std::min(w.since, oldest->since);
  return w;
}

std::vector<Governor::Impl::Wanted> Governor::Impl::wanted_models() const {
  std::vector<Wanted> all;
  for (const ModelRecord& model : models_) {
    if (const auto w = wanted(model))
      all.push_back(*w);
  }
  std::ranges::sort(all, [](const Wanted& a, const Wanted& b) {
    if (a.rank != b.rank)
      return a.rank > b.rank;
    return a.since != b.since ? a.since < b.since : a.model < b.model;
  });
  return all;
}

// Whose needs the next load has to meet, if anybody waits.
const RequestState* Governor::Impl::first_in_line(const ModelRecord& model) const {
  const auto head = model.queue.front(now_, policy_.queue.yield_after);
  return head ? &requests_.at(*head) : nullptr;
}

// In the order of service. Who cannot go yet keeps its place: those behind it get neither its turn
// nor the memory that it counts on.
void Governor::Impl::make_room() {
  Round round{.taken = turns_taken(), .settling = load_in_progress()};
  for (const Wanted& w : wanted_models()) {
    ModelRecord& model = models_[w.model.value];
    // What pressure took comes back while nobody waits, or later.
    if (model.reload_for == ReasonCode::pressure_over && waiting_ > 0) {
      model.reload_for.reset();
      if (model.queue.empty() && model.load_commands.empty())
        continue;
    }
    const bool profile = model.rows.empty();
    LoadQuery query;
    query.model = model.id;
    if (const Request* first = first_in_line(model)) {
      query.context_needed = first->context_needed;
      query.context_wished = wish_of(*first);
    }
    query.waited = now_ - w.since;
    query.claimed = round.claim;
    query.may_evict = !round.claimed && !only_spares(model);
    if (!ledger_.sampled_at(kHostPool))
      return;  // nothing is known of memory yet
    LoadPlan plan = profile ? planner().plan_profile(query) : planner().plan_load(query);
    if (plan.verdict == LoadVerdict::refused) {
      refuse_load(model, plan, query.context_needed);
      continue;
    }
    const auto goes = [&plan] {
      return plan.verdict == LoadVerdict::fits || plan.verdict == LoadVerdict::evicts;
    };
    if (goes() && admission_stopped(plan.charge)) {
      plan.verdict = LoadVerdict::waits;
      plan.reason = ReasonCode::pressure;
    }
    const PoolSet turn = turn_of(model.id, plan);
    const bool busy = (turn & round.taken).any() || (profile && !may_profile_more()) ||
                      (!profile && only_spares(model) && stands_behind_profile(model));
    if (goes() && !busy) {
      carry_out(model, plan);
      round.taken |= turn;
      round.settling = true;
      if (plan.verdict == LoadVerdict::evicts)
        promise(plan, {}, round);
      continue;
    }
    if (plan.verdict == LoadVerdict::pending) {
      round.taken |= turn;
      round.settling = true;
      promise(plan, {}, round);
      continue;
    }
    if (only_spares(model)) {
      if (!round.settling && !busy) {
        finish_load_commands(model, false, "it does not fit beside the loaded models");
        model.reload_for.reset();
      }
      continue;
    }
    if (busy) {
      wait_for_turn(model, plan, round);
    } else {
      wait_for_room(model, w, query, plan, round);
    }
  }
}

// What the plan adds to the pools, beside what `leaving` will give back for it.
void Governor::Impl::promise(const LoadPlan& plan, std::span<const ModelId> leaving,
                             Round& round) const {
  const PoolAmounts freed = planner().freed_by(leaving, plan.charge);
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i)
    round.claim[i] += std::max(Bytes{0}, ledger_.added(plan.charge, PoolId(i)) - freed[i]);
}

// It is wanted only where nobody has to make room for it.
bool Governor::Impl::only_spares(const ModelRecord& model) const {
  return model.queue.empty() && model.reload_for != ReasonCode::memory_returned &&
         model.reload_for != ReasonCode::more_context &&
         std::ranges::none_of(model.load_commands, &LoadWish::may_evict);
}

// Who asks for less context than the one that was judged may still be served.
void Governor::Impl::refuse_load(ModelRecord& model, const LoadPlan& plan,
                                 std::int32_t context_needed) {
  Decision d = decision(DecisionKind::refuse, plan.reason, model);
  d.pool = plan.pool;
  d.need = plan.need;
  d.headroom = plan.headroom;
  d.usable = plan.usable;
  d.tried = plan.tried;
  if (plan.reason == ReasonCode::context_too_small)
    d.text = context_words(model, context_needed);
  const bool later = plan.reason == ReasonCode::pinned_models;
  if (later)
    d.retry_after = 30s;
  const RefusalStatus status = later ? RefusalStatus::unavailable : RefusalStatus::too_large;
  refuse_all(model, status, d, context_needed);
  if (context_needed > 0)
    return;
  finish_load_commands(model, false, explain(d, policy_));
  model.reload_for.reset();
}

void Governor::Impl::carry_out(ModelRecord& model, const LoadPlan& plan) {
  if (plan.verdict == LoadVerdict::fits) {
    if (plan.profile) {
      start_profile(model);
    } else {
      start_server(model, plan);
    }
    return;
  }
  model.room_made = true;
  for (std::size_t i = 0; i < plan.victims.size(); ++i) {
    ModelRecord& victim = models_[plan.victims[i].value];
    ReasonCode reason = plan.profile ? ReasonCode::room_for_profile : ReasonCode::room_for_other;
    if (i < plan.forced) {
      reason = policy_.residency.single_model ? ReasonCode::single_model : ReasonCode::heavy_slot;
    }
    Decision d = decision(DecisionKind::evict, reason, victim);
    d.other = model.id;
    d.pool = plan.pool;
    d.need = plan.need;
    d.headroom = plan.headroom;
    d.waited = now_ - victim.last_used;
    decide(std::move(d));
    ++victim.evictions;
    stop_server(victim, false);
  }
}

// Another load, or a dry run, is where it wants to go.
void Governor::Impl::wait_for_turn(ModelRecord& model, const LoadPlan& plan, Round& round) {
  give_up_unwanted_loads(model);
  if (plan.verdict == LoadVerdict::waits)
    return;
  round.taken |= turn_of(model.id, plan);
  promise(plan, plan.victims, round);
}

// The model cannot have its room now. Its wait is recorded once; after yield_after the models in
// its way stop admitting, and the room that becomes free is promised to it.
void Governor::Impl::wait_for_room(ModelRecord& model, const Wanted& w, const LoadQuery& query,
                                   const LoadPlan& plan, Round& round) {
  if (!std::exchange(model.wait_noted, true)) {
    Decision d = decision(DecisionKind::wait, plan.reason, model);
    d.pool = plan.pool;
    d.need = plan.need;
    d.headroom = plan.headroom;
    d.usable = plan.usable;
    d.victims = planner().models_to_drain(query, plan);
    decide(std::move(d));
  }
  give_up_unwanted_loads(model);
  if (round.claimed)
    return;
  // A move to a better placement makes nobody give way.
  if (model.queue.empty() && model.load_commands.empty())
    return;
  const Tick yield_at = w.since + policy_.queue.yield_after;
  if (now_ < yield_at)
    return;
  LoadQuery with_eviction = query;
  with_eviction.may_evict = true;
  const std::vector<ModelId> leaving = planner().models_to_drain(with_eviction, plan);
  if (leaving.empty())
    return;
  round.claimed = true;
  promise(plan, leaving, round);
  for (const ModelId id : leaving) {
    ModelRecord& other = models_[id.value];
    if (other.state != ResidencyState::ready)
      continue;
    if (planner().is_idle_victim(other, model.id))
      continue;
    move(other, ResidencyState::draining);
    other.drain_cause = DrainCause::yielding;
    other.yielding_to = model.id;
    Decision d = decision(DecisionKind::yield, ReasonCode::waited_too_long, other);
    d.other = model.id;
    d.waited = now_ - w.since;
    d.pool = plan.pool;
    d.need = plan.need;
    decide(std::move(d));
  }
}

// Who yields to a model that no longer waits goes on admitting.
void Governor::Impl::end_pointless_yields() {
  for (ModelRecord& model : models_) {
    if (model.drain_cause != DrainCause::yielding || !model.yielding_to)
      continue;
    if (model.state != ResidencyState::draining)
      continue;
    const ModelRecord& other = models_[model.yielding_to->value];
    const bool still = wanted(other).has_value() || other.state == ResidencyState::profiling;
    if (still && !shutting_down_)
      continue;
    model.drain_cause = DrainCause::none;
    model.yielding_to.reset();
    move(model, ResidencyState::ready);
  }
}

// Everybody who asked for it has left. A pin, an operator's load and what is loaded again after it
// had to leave are wishes as well.
bool Governor::Impl::is_unwanted_load(const ModelRecord& model) const {
  return model.state == ResidencyState::loading && model.queue.empty() &&
         model.load_commands.empty() && !model.reload_for && !model.pinned;
}

// While nobody waits for anything else such a load goes on: who left often comes back. Here
// `waiting` waits, for its turn or for its room.
void Governor::Impl::give_up_unwanted_loads(const ModelRecord& waiting) {
  if (waiting.queue.empty() && waiting.load_commands.empty())
    return;
  for (ModelRecord& model : models_) {
    if (!is_unwanted_load(model))
      continue;
    Decision d = decision(DecisionKind::unload, ReasonCode::nobody_waits, model);
    d.other = waiting.id;
    d.waited = now_ - model.loading_since;
    decide(std::move(d));
    stop_server(model, true);
  }
}

void Governor::Impl::start_server(ModelRecord& model, const LoadPlan& plan) {
  const Generation generation(next_generation_++);
  model.charged = ledger_.charge(generation, plan.charge);
  move(model, ResidencyState::loading);
  model.generation = generation;
  model.row = plan.row;
  model.placement = model.rows[plan.row].placement;
  model.devices = plan.devices;
  model.degraded = plan.degraded;
  model.context_asked = 0;
  model.pressed_at.reset();
  model.loading_since = now_;
  model.stalled = false;
  model.wait_noted = false;
  ++model.loads;
  const bool asked = model.queue.empty() && !model.load_commands.empty();
  ReasonCode reason = plan.reason;
  if (std::exchange(model.room_made, false) && reason == ReasonCode::fits_headroom)
    reason = ReasonCode::made_room;
  if (model.reload_for)
    reason = *model.reload_for;
  if (asked)
    reason = ReasonCode::operator_asked;
  Decision d = decision(plan.degraded ? DecisionKind::degrade : DecisionKind::load, reason, model);
  d.pool = plan.pool;
  d.need = plan.need;
  d.headroom = plan.headroom;
  d.usable = plan.usable;
  if (const auto oldest = model.queue.oldest()) {
    d.request = oldest->request;
    d.waited = now_ - oldest->since;
  }
  decide(std::move(d));
  emit(StartServer{model.id, generation, model.placement, model.devices});
}

void Governor::Impl::stop_server(ModelRecord& model, bool kill_at_once) {
  move(model, ResidencyState::stopping);
  model.drain_cause = DrainCause::none;
  model.yielding_to.reset();
  model.stopping_since = now_;
  emit(StopServer{model.id, *model.generation, kill_at_once});
}

// Whether who waits first asks for more context than the server has, and may have it stopped for
// that. For a wish it is stopped once, whatever becomes of it.
bool Governor::Impl::must_grow(ModelRecord& model) {
  const Request* first = first_in_line(model);
  if (first == nullptr || model.pinned)
    return false;
  if (first->context_needed > model.placement.context)
    return true;
  if (admission_stopped(model.charged->charge) || !waits_to_grow(model, *first))
    return false;
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    Request& request = requests_.at(w.request);
    request.wish_tried = request.wish_tried || request.context_wished > model.placement.context;
  });
  return true;
}

// A degraded model that idles while nobody waits for memory is reloaded at a better placement. A
// request that asks for more context than the running placement has makes it so at once.
void Governor::Impl::move_up_degraded() {
  for (ModelRecord& model : models_) {
    if (model.state != ResidencyState::ready || !model.leased.empty())
      continue;
    // A pin holds a model against others; a better placement of its own is no loss. It is not made
    // to wait for room, though.
    const bool asked = must_grow(model);
    if (!asked) {
      if (!model.degraded || waiting_ > 0 || load_in_progress())
        continue;
      if (now_ - model.last_used < policy_.residency.grace)
        continue;
      if (!planner().better_row_fits(model.id))
        continue;
    }
    const ReasonCode reason = asked ? ReasonCode::more_context : ReasonCode::memory_returned;
    decide(decision(DecisionKind::upgrade, reason, model));
    model.reload_for = reason;
    stop_server(model, false);
  }
}

}  // namespace tonnage
