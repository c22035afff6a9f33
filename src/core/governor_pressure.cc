// Pressure: levels of pools, what each asks for, and what comes back when it is over.
#include <algorithm>
#include <utility>

#include "core/governor_impl.h"

namespace tonnage {
namespace {

std::int64_t permille_of_whole(Bytes part, Bytes whole) {
  if (whole <= Bytes{0})
    return part > Bytes{0} ? 1000 : 0;
  // Bytes up to 2^53 leave room for the factor.
  return part.count * 1000 / whole.count;
}

// Takes models that idle whatever they idled for, so that a load must not cross it.
bool evicts_at_once(const PressureLevel& level) {
  return std::ranges::any_of(level.steps, [](const PressureStep& step) {
    const bool takes = step.kind == PressureStepKind::park_idle ||
                       step.kind == PressureStepKind::unload_idle ||
                       step.kind == PressureStepKind::relieve;
    return takes && step.after == Duration{0};
  });
}

}  // namespace

PressureReading Governor::Impl::reading_of(PoolId pool) const {
  PressureReading reading;
  reading.host = pool == kHostPool;
  const PoolSample& seen = ledger_.seen(pool);
  if (seen.lost || !seen.sampled_at)
    return reading;
  reading.use_permille = permille_of_whole(std::max(seen.used, seen.foreign), seen.capacity);
  reading.overrun_permille =
      permille_of_whole(ledger_.overrun(pool), std::max(Bytes{1}, ledger_.kept_free(pool)));
  reading.stall_some_permille = stall_.some_permille;
  reading.stall_full_permille = stall_.full_permille;
  return reading;
}

const PressureLevel* Governor::Impl::level_of(PoolId pool) const {
  const auto& level = pressure_[pool.value].level;
  return level && *level < policy_.pressure.levels.size() ? &policy_.pressure.levels[*level]
                                                          : nullptr;
}

const PressureStep* Governor::Impl::pressure_step(PoolId pool, PressureStepKind kind) const {
  const PressureLevel* level = level_of(pool);
  if (level == nullptr)
    return nullptr;
  const auto found = std::ranges::find(level->steps, kind, &PressureStep::kind);
  return found == level->steps.end() ? nullptr : &*found;
}

bool Governor::Impl::any_pool_at(PressureStepKind kind) const {
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    if (pressure_step(PoolId(i), kind) != nullptr)
      return true;
  }
  return false;
}

// Whether the level of a pool that the server uses stops new work.
bool Governor::Impl::admission_stopped(const Charge& charge) const {
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    const bool uses = i == kHostPool.value || charge.own[i] > Bytes{0};
    if (uses && pressure_step(PoolId(i), PressureStepKind::stop_admission) != nullptr)
      return true;
  }
  return false;
}

void Governor::Impl::judge_pressure() {
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i)
    judge_pressure(PoolId(i));
}

void Governor::Impl::judge_pressure(PoolId pool) {
  PoolPressure& state = pressure_[pool.value];
  const PressureLevel* before = level_of(pool);
  const std::string name_before = before == nullptr ? std::string{} : before->name;
  const auto level = next_level(policy_.pressure, reading_of(pool), state, now_);
  if (level != state.level) {
    const bool worse = level && (!state.level || *level > *state.level);
    state.level = level;
    state.since = now_;
    enter_level(pool, name_before, worse);
  }
  hold_back(pool);
}

void Governor::Impl::enter_level(PoolId pool, const std::string& before, bool worse) {
  dirty_ = true;
  const PoolSample& seen = ledger_.seen(pool);
  const PressureLevel* level = level_of(pool);
  Decision d;
  d.kind = DecisionKind::level;
  d.at = now_;
  d.pool = pool;
  d.used = seen.used;
  d.capacity = seen.capacity;
  d.foreign = seen.foreign;
  d.text = level == nullptr ? std::string{} : level->name;
  const bool others = level != nullptr && level->basis == PressureBasis::overrun &&
                      value_of(*level, reading_of(pool)) > level->above_permille;
  d.reason = level == nullptr ? ReasonCode::pressure_over
             : others         ? ReasonCode::foreign_growth
                              : ReasonCode::pressure;
  std::string words = d.text;
  if (level != nullptr && stalls(*level, reading_of(pool))) {
    words += " (tasks waited for memory " +
             std::to_string(std::max(stall_.some_permille, stall_.full_permille) / 10) +
             " % of the time)";
  }
  const bool told = before.empty() ? pressure_step(pool, PressureStepKind::notify) != nullptr
                                   : level == nullptr || worse;
  emit(LevelChanged{pool, d.text, before, seen.used, seen.capacity, told});
  d.text = std::move(words);
  decide(std::move(d));
  if (!worse)
    return;
  if (pressure_step(pool, PressureStepKind::trim) != nullptr)
    emit(Trim{pool, false});
  if (pressure_step(pool, PressureStepKind::trim_hard) != nullptr)
    emit(Trim{pool, true});
  if (pressure_step(pool, PressureStepKind::reset_peaks) != nullptr)
    reset_peaks();
}

// Reservations go back to what is held now, or to the prediction where that is more.
void Governor::Impl::reset_peaks() {
  for (const ModelRecord& model : models_) {
    if (!model.generation || model.row >= model.rows.size())
      continue;
    PoolAmounts own = planner().charge_of(model, model.rows[model.row], model.devices).own;
    own[kHostPool.value] = std::max(own[kHostPool.value], model.measured.value_or(Bytes{0}));
    for (std::size_t i = 0; i < model.device_measured.size() && i + 1 < own.size(); ++i)
      own[i + 1] = std::max(own[i + 1], model.device_measured[i]);
    ledger_.lower(*model.generation, own);
  }
}

// What a new load must not count on: the level's derating, and what lies beyond a watermark at
// which idle models are taken at once.
void Governor::Impl::hold_back(PoolId pool) {
  Bytes held{0};
  if (const PressureStep* step = pressure_step(pool, PressureStepKind::derate))
    held = permille_of(ledger_.capacity(pool), step->permille);
  for (const PressureLevel& level : policy_.pressure.levels) {
    const bool applies = pool == kHostPool ? level.host : level.devices;
    if (!applies || level.basis != PressureBasis::use || !evicts_at_once(level))
      continue;
    const PoolSample& seen = ledger_.seen(pool);
    const Bytes below_it =
        permille_of(seen.capacity, level.above_permille) - seen.foreign - seen.expected;
    held = std::max(held, ledger_.empty_now(pool) - below_it);
  }
  // No more than there is.
  held = std::clamp(held, Bytes{0}, std::max(Bytes{0}, ledger_.empty_now(pool)));
  if (held != ledger_.held_back(pool)) {
    ledger_.hold_back(pool, held);
    dirty_ = true;
  }
}

void Governor::Impl::apply_pressure() {
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    const PoolId pool(i);
    const PressureLevel* level = level_of(pool);
    if (level == nullptr)
      continue;
    for (const PressureStep& step : level->steps) {
      switch (step.kind) {
        case PressureStepKind::park_idle:
        case PressureStepKind::unload_idle:
          for (const ModelId id : planner().idle_in(pool, step.after)) {
            const bool kept =
                id == policy_.pressure.fallback && any_pool_at(PressureStepKind::fallback);
            if (!kept)
              press_out(models_[id.value], pool, *level, ReasonCode::pressure);
          }
          break;
        case PressureStepKind::relieve:
          relieve(pool, *level);
          break;
        case PressureStepKind::park_busy:
          press_busy(pool, step);
          break;
        default:
          break;
      }
    }
  }
  for (ModelRecord& model : models_) {
    if (model.drain_cause != DrainCause::pressing || model.state != ResidencyState::draining)
      continue;
    if (any_pool_at(PressureStepKind::park_busy) && !shutting_down_)
      continue;
    model.drain_cause = DrainCause::none;
    move(model, ResidencyState::ready);
  }
}

void Governor::Impl::press_out(ModelRecord& model, PoolId pool, const PressureLevel& level,
                               ReasonCode reason) {
  Decision d = decision(DecisionKind::unload, reason, model);
  d.pool = pool;
  d.need = reason == ReasonCode::foreign_growth ? ledger_.overrun(pool) : ledger_.seen(pool).used;
  d.waited = now_ - model.last_used;
  d.text = level.name;
  decide(std::move(d));
  ++model.evictions;
  model.pressed_at = now_;
  stop_server(model, false);
}

// As many idle models as bring the pool below the level. Where only the kernel says that memory is
// short, one model for each dwell, because its word lags.
void Governor::Impl::relieve(PoolId pool, const PressureLevel& level) {
  const bool by_use = level.basis == PressureBasis::use;
  const Bytes whole = by_use ? ledger_.capacity(pool) : ledger_.kept_free(pool);
  const Bytes value = by_use ? ledger_.seen(pool).used : ledger_.overrun(pool);
  const Bytes lacking = value - permille_of(whole, level.below_permille);
  if (lacking > Bytes{0}) {
    const ReasonCode reason = by_use ? ReasonCode::pressure : ReasonCode::foreign_growth;
    for (const ModelId id : planner().relief(pool, lacking))
      press_out(models_[id.value], pool, level, reason);
    return;
  }
  PoolPressure& state = pressure_[pool.value];
  if (!stalls(level, reading_of(pool)) ||
      now_ < std::max(state.relieved_at, state.since) + level.dwell)
    return;
  const std::vector<ModelId> idle = planner().idle_in(pool, Duration{0});
  if (idle.empty())
    return;
  state.relieved_at = now_;
  press_out(models_[idle.front().value], pool, level, ReasonCode::pressure);
}

// After the level has lasted, busy models are let go one after the other.
void Governor::Impl::press_busy(PoolId pool, const PressureStep& step) {
  if (now_ < pressure_[pool.value].since + step.after)
    return;
  ModelRecord* chosen = nullptr;
  for (ModelRecord& model : models_) {
    const bool leaves =
        model.state == ResidencyState::stopping || model.drain_cause == DrainCause::pressing;
    if (leaves)
      return;
    if (model.state != ResidencyState::ready || model.pinned || model.leased.empty())
      continue;
    if (model.charged->freed(pool) == Bytes{0})
      continue;
    if (chosen == nullptr || model.ready_since < chosen->ready_since)
      chosen = &model;
  }
  if (chosen == nullptr)
    return;
  move(*chosen, ResidencyState::draining);
  chosen->drain_cause = DrainCause::pressing;
  chosen->pressed_at = now_;
  Decision d = decision(DecisionKind::yield, ReasonCode::pressure, *chosen);
  d.pool = pool;
  d.text = level_of(pool)->name;
  decide(std::move(d));
}

// The pool whose level lets busy models go.
void Governor::Impl::name_pressure(Decision& d) const {
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    if (pressure_step(PoolId(i), PressureStepKind::park_busy) == nullptr)
      continue;
    d.pool = PoolId(i);
    d.text = level_of(PoolId(i))->name;
    return;
  }
}

// What pressure took comes back, most recently used first and one at a time, where it makes nobody
// leave and nobody waits.
void Governor::Impl::restore_pressed() {
  const auto mark = policy_.pressure.restore_below_permille;
  if (!mark || waiting_ > 0 || load_in_progress())
    return;
  Duration dwell{};
  for (const PressureLevel& level : policy_.pressure.levels)
    dwell = std::max(dwell, level.dwell);
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    const PoolId pool(i);
    if (pressure_[i].level || reading_of(pool).use_permille >= *mark)
      return;
    const auto sampled = ledger_.sampled_at(pool);
    const bool seen = std::ranges::all_of(models_, [&](const ModelRecord& m) {
      return m.state != ResidencyState::stopping && (!m.generation || m.ready_since <= sampled);
    });
    if (!sampled || !seen)
      return;
  }
  ModelRecord* best = nullptr;
  for (ModelRecord& model : models_) {
    if (!model.pressed_at || model.state != ResidencyState::absent || model.rows.empty())
      continue;
    if (now_ < *model.pressed_at + dwell || policy_.models[model.id.value].removed)
      continue;
    const LoadQuery query{.model = model.id, .may_evict = false};
    if (planner().plan_load(query).verdict != LoadVerdict::fits)
      continue;
    if (best == nullptr || model.last_used > best->last_used)
      best = &model;
  }
  if (best == nullptr)
    return;
  best->reload_for = ReasonCode::pressure_over;
  dirty_ = true;
}

void Governor::Impl::pressure_deadlines() {
  const auto at = [this](Tick tick) {
    if (tick > now_)
      deadline_at(tick);
  };
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    const PressureLevel* level = level_of(PoolId(i));
    if (level == nullptr)
      continue;
    const PoolPressure& state = pressure_[i];
    at(std::max(state.since, state.exceeded_at) + level->dwell);
    at(std::max(state.since, state.relieved_at) + level->dwell);
    for (const PressureStep& step : level->steps) {
      if (step.kind == PressureStepKind::park_busy)
        at(state.since + step.after);
      const bool takes = step.kind == PressureStepKind::park_idle ||
                         step.kind == PressureStepKind::unload_idle ||
                         step.kind == PressureStepKind::relieve;
      if (!takes)
        continue;
      for (const ModelRecord& model : models_) {
        if (model.state == ResidencyState::ready && model.leased.empty() && !model.pinned)
          at(model.last_used + std::max(step.after, policy_.residency.grace));
      }
    }
  }
  if (!policy_.pressure.restore_below_permille)
    return;
  Duration dwell{};
  for (const PressureLevel& level : policy_.pressure.levels)
    dwell = std::max(dwell, level.dwell);
  for (const ModelRecord& model : models_) {
    if (model.pressed_at && model.state == ResidencyState::absent)
      at(*model.pressed_at + dwell);
  }
}

}  // namespace tonnage
