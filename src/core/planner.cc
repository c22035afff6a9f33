#include "core/planner.h"

#include <algorithm>

namespace tonnage {
namespace {

// A lesser placement may be taken at once when it has at least this share of the target's speed.
constexpr std::int64_t kGoodEnoughPermille = 700;

bool holds_memory(const ModelRecord& model) {
  return model.generation.has_value();
}

}  // namespace

bool Planner::fits_within(const Charge& charge, const PoolAmounts& room) const {
  for (std::size_t i = 0; i < pools(); ++i) {
    if (!touches(charge, i))
      continue;
    const Bytes mapped = i == kHostPool.value ? size_of(charge.weights) : Bytes{0};
    if (charge.own[i] + mapped > room[i])
      return false;
  }
  return true;
}

PoolAmounts Planner::empty_amounts(bool minus_foreign) const {
  PoolAmounts amounts{};
  for (std::uint32_t i = 0; i < pools(); ++i) {
    amounts[i] = minus_foreign ? ledger_.empty_now(PoolId(i)) : ledger_.empty(PoolId(i));
  }
  return amounts;
}

// What pinned models hold beside `except`, each mapped file once. Files that `except` maps as well
// are left out, because its own need counts them.
PoolAmounts Planner::pinned_amounts(ModelId except) const {
  PoolAmounts amounts{};
  const auto& rows = model(except).rows;
  std::vector<FileId> counted;
  if (!rows.empty()) {
    for (const WeightFile& weights : rows.front().weights)
      counted.push_back(weights.file);
  }
  for (const ModelRecord& m : models_) {
    if (!m.pinned || m.id == except || !holds_memory(m))
      continue;
    const Charge* charge = &m.charged->charge;
    for (std::uint32_t i = 0; i < pools(); ++i)
      amounts[i] += charge->own[i];
    for (const WeightFile& weights : charge->weights) {
      if (weights.size == Bytes{0})
        continue;
      if (std::ranges::find(counted, weights.file) != counted.end())
        continue;
      counted.push_back(weights.file);
      amounts[kHostPool.value] += weights.size;
    }
  }
  return amounts;
}

Duration Planner::min_residency(const ModelRecord& m) const {
  const Duration twice = m.load_time.value_or(Duration{0}) * 2;
  return std::clamp(
      twice, std::min(policy_.residency.min_residency_min, policy_.residency.min_residency_max),
      policy_.residency.min_residency_max);
}

bool Planner::is_idle_victim(const ModelRecord& m, std::optional<ModelId> for_model) const {
  if (m.id == for_model || m.pinned || !m.leased.empty())
    return false;
  const bool yielding =
      m.state == ResidencyState::draining && m.drain_cause == DrainCause::yielding;
  if (!yielding && (m.state != ResidencyState::ready || !m.queue.empty()))
    return false;
  const auto grace = policy_.residency.grace_on_demand;
  return yielding || !grace || now_ - m.last_used >= *grace;
}

bool Planner::is_busy_victim(const ModelRecord& m, ModelId for_model) const {
  if (m.id == for_model || m.pinned)
    return false;
  if (m.state != ResidencyState::ready && m.state != ResidencyState::draining)
    return false;
  if (m.drain_cause == DrainCause::holding)
    return false;
  return m.queue.empty() || now_ - m.ready_since >= min_residency(m);
}

// Models that the single-model or heavy-slot option does not allow beside this one.
std::vector<ModelId> Planner::must_leave(ModelId id) const {
  std::vector<ModelId> leaving;
  const bool heavy = policy_.residency.heavy_slot && policy_.models[id.value].heavy;
  if (!policy_.residency.single_model && !heavy)
    return leaving;
  for (const ModelRecord& m : models_) {
    if (m.id == id || !holds_memory(m))
      continue;
    if (policy_.residency.single_model || policy_.models[m.id.value].heavy) {
      leaving.push_back(m.id);
    }
  }
  return leaving;
}

// Whether nobody else would have a server once `victims` have gone.
bool Planner::leaves_alone(const LoadQuery& query, std::span<const ModelId> victims) const {
  return std::ranges::none_of(models_, [&](const ModelRecord& m) {
    return m.id != query.model && holds_memory(m) && m.state != ResidencyState::stopping &&
           std::ranges::find(victims, m.id) == victims.end();
  });
}

// What is held back under pressure is no reason not to run at all: a model may have it alone.
Planner::Room Planner::room_for(const LoadQuery& query, const Charge& charge, bool with_busy,
                                std::span<const ModelId> leaving) const {
  Room room = room_within(query, charge, with_busy, leaving, false);
  bool held_back = false;
  for (std::uint32_t i = 0; i < pools(); ++i)
    held_back = held_back || (touches(charge, i) && ledger_.held_back(PoolId(i)) > Bytes{0});
  if (room.enough || !held_back)
    return room;
  const Room all = room_within(query, charge, with_busy, leaving, true);
  return all.enough && leaves_alone(query, all.victims) ? all : room;
}

Planner::Room Planner::room_within(const LoadQuery& query, const Charge& charge, bool with_busy,
                                   std::span<const ModelId> leaving, bool all_of_it) const {
  Room room;
  PoolAmounts lacking{};
  const PoolAmounts coming = returning(charge);
  const auto victim = [&](const ModelRecord& m) {
    return is_idle_victim(m, query.model) || (with_busy && is_busy_victim(m, query.model));
  };
  bool forced_gone = true;
  for (const ModelId id : leaving) {
    if (model(id).state == ResidencyState::stopping) {
      forced_gone = false;
      continue;
    }
    if (!victim(model(id)) || !query.may_evict)
      return room;
    room.victims.push_back(id);
  }
  room.forced = room.victims.size();
  const PoolAmounts forced_freed = freed_by(room.victims, charge);
  bool now = true;
  bool after_stops = true;
  for (std::uint32_t i = 0; i < pools(); ++i) {
    if (!touches(charge, i))
      continue;
    const Bytes held_back = all_of_it ? ledger_.held_back(PoolId(i)) : Bytes{0};
    lacking[i] = ledger_.added(charge, PoolId(i)) -
                 (ledger_.headroom(PoolId(i)) + held_back - query.claimed[i]) - forced_freed[i];
    now = now && lacking[i] <= Bytes{0};
    lacking[i] -= coming[i];
    after_stops = after_stops && lacking[i] <= Bytes{0};
  }
  if (after_stops) {
    room.enough = true;
    room.pending = room.victims.empty() && (!now || !forced_gone);
    return room;
  }
  if (!query.may_evict)
    return room;
  std::vector<ModelId> usable;
  for (const ModelRecord& m : models_) {
    if (victim(m) && std::ranges::find(room.victims, m.id) == room.victims.end()) {
      usable.push_back(m.id);
    }
  }
  const std::vector<ModelId> chosen = choose_victims(usable, lacking, charge);
  room.enough = !chosen.empty();
  room.victims.insert(room.victims.end(), chosen.begin(), chosen.end());
  return room;
}

LoadPlan Planner::finish(LoadPlan plan, const LoadQuery& query, const Way& way,
                         const Room& room) const {
  plan.charge = way.charge;
  plan.devices = way.devices;
  Bytes tightest{0};
  for (std::uint32_t i = 0; i < pools(); ++i) {
    const PoolId pool(i);
    const Bytes lack = ledger_.added(plan.charge, pool) - ledger_.headroom(pool);
    if (i > 0 && (!touches(plan.charge, i) || lack <= tightest))
      continue;
    tightest = lack;
    plan.pool = pool;
    plan.need = ledger_.added(plan.charge, pool);
    plan.headroom = ledger_.headroom(pool) - query.claimed[i];
    plan.usable = ledger_.empty(pool);
  }
  if (!room.enough) {
    plan.verdict = LoadVerdict::waits;
    return plan;
  }
  plan.victims = room.victims;
  plan.forced = room.forced;
  plan.verdict = room.pending           ? LoadVerdict::pending
                 : room.victims.empty() ? LoadVerdict::fits
                                        : LoadVerdict::evicts;
  return plan;
}

LoadPlan Planner::refuse(ReasonCode reason, const LoadQuery& query) const {
  LoadPlan plan;
  plan.verdict = LoadVerdict::refused;
  plan.reason = reason;
  const ModelRecord& m = model(query.model);
  for (const PlacementRow& row : m.rows) {
    const auto maps = mappings(row.device_bytes.size());
    const std::vector<PoolId> devices = maps.empty() ? std::vector<PoolId>{} : maps.front();
    const Charge charge = charge_of(m, row, devices);
    PlacementNeed tried{row.placement, charge.own[kHostPool.value] + size_of(charge.weights),
                        kHostPool};
    for (std::uint32_t i = 1; i < pools(); ++i) {
      const Bytes lack = charge.own[i] - ledger_.empty(PoolId(i));
      if (lack > Bytes{0} && lack > tried.need - ledger_.empty(tried.pool)) {
        tried.need = charge.own[i];
        tried.pool = PoolId(i);
      }
    }
    plan.tried.push_back(tried);
    if (plan.tried.size() > 1 && tried.need >= plan.need)
      continue;
    plan.need = tried.need;
    plan.pool = tried.pool;
  }
  plan.usable = ledger_.empty(plan.pool);
  plan.headroom = ledger_.headroom(plan.pool);
  return plan;
}

std::optional<std::size_t> Planner::target_row(ModelId id, std::int32_t context_needed) const {
  const PoolAmounts empty = empty_amounts(false);
  const ModelRecord& m = model(id);
  for (std::size_t i = 0; i < m.rows.size(); ++i) {
    if (m.rows[i].placement.context >= context_needed && row_fits(m, m.rows[i], empty, false))
      return i;
  }
  return std::nullopt;
}

// An upper bound of the room that stopping every idle model could give: what is beyond it need not
// be tried, row by row, over all models.
PoolAmounts Planner::reach_of(const LoadQuery& query) const {
  PoolAmounts reach{};
  for (std::uint32_t i = 0; i < pools(); ++i) {
    reach[i] = ledger_.headroom(PoolId(i)) + ledger_.held_back(PoolId(i)) +
               ledger_.releasing(PoolId(i)) - query.claimed[i];
  }
  for (const ModelRecord& m : models_) {
    if (!m.generation)
      continue;
    const bool leaves = m.state == ResidencyState::stopping || is_idle_victim(m, query.model);
    if (!leaves)
      continue;
    const Charge& charge = m.charged->charge;
    for (std::size_t i = 0; i < pools(); ++i)
      reach[i] += charge.own[i];
    reach[kHostPool.value] += size_of(charge.weights);
  }
  return reach;
}

// What recovery asks for beyond the footprint makes others give way. Where nobody can, it is no
// reason to wait.
LoadPlan Planner::plan_load(const LoadQuery& query) const {
  LoadPlan plan = plan_as_asked(query);
  const bool extra = asks_extra_ && model(query.model).retry_extra_permille > 0;
  if (!extra || plan.verdict != LoadVerdict::waits || !models_to_drain(query, plan).empty())
    return plan;
  Planner plain = *this;
  plain.asks_extra_ = false;
  return plain.plan_as_asked(query);
}

std::int32_t Planner::attainable(ModelId id, std::int32_t context_wished) const {
  if (context_wished <= 0)
    return 0;
  const ModelRecord& m = model(id);
  PoolAmounts now = empty_amounts(true);
  const PoolAmounts pinned = pinned_amounts(id);
  for (std::size_t i = 0; i < pools(); ++i)
    now[i] -= pinned[i];
  std::int32_t most = 0;
  for (std::size_t i = 0; i < m.rows.size(); ++i) {
    if (m.rows[i].placement.context > most && is_allowed(m, i) && row_fits(m, m.rows[i], now, true))
      most = m.rows[i].placement.context;
  }
  return std::min(context_wished, most);
}

std::size_t Planner::preferred_row(const LoadQuery& query, std::size_t least) const {
  const auto whole = target_row(query.model, std::max(query.context_needed, query.context_wished));
  if (whole)
    return *whole;
  const ModelRecord& m = model(query.model);
  const PoolAmounts empty = empty_amounts(false);
  std::size_t best = least;
  for (std::size_t i = least + 1; i < m.rows.size(); ++i) {
    if (m.rows[i].placement.context > m.rows[best].placement.context &&
        row_fits(m, m.rows[i], empty, false))
      best = i;
  }
  return best;
}

LoadPlan Planner::plan_as_asked(const LoadQuery& query) const {
  const auto& rows = model(query.model).rows;
  const auto least = target_row(query.model, query.context_needed);
  if (!least) {
    const bool context = std::ranges::none_of(rows, [&](const PlacementRow& row) {
      return row.placement.context >= query.context_needed;
    });
    return refuse(context ? ReasonCode::context_too_small : ReasonCode::never_fits, query);
  }
  const std::vector<ModelId> leaving = must_leave(query.model);
  if (std::ranges::any_of(leaving, [&](ModelId id) { return model(id).pinned; })) {
    return refuse(ReasonCode::pinned_models, query);
  }
  const std::size_t best = preferred_row(query, *least);
  const std::int32_t wish = attainable(query.model, query.context_wished);
  // The best row that fits once everything that may go has gone: beside foreign use and pins.
  PoolAmounts now = empty_amounts(true);
  PoolAmounts unpinned = empty_amounts(false);
  const PoolAmounts pinned = pinned_amounts(query.model);
  for (std::size_t i = 0; i < pools(); ++i) {
    now[i] -= pinned[i];
    unpinned[i] -= pinned[i];
  }
  const ModelRecord& m = model(query.model);
  const auto gives_context = [&](std::size_t i) {
    return rows[i].placement.context >= query.context_needed;
  };
  // Where recovery left none that gives the context, its limits are no use.
  bool limited = false;
  for (std::size_t i = 0; i < rows.size(); ++i)
    limited = limited || (gives_context(i) && is_allowed(m, i));
  const auto usable_row = [&](std::size_t i) {
    return gives_context(i) && (!limited || is_allowed(m, i)) && rows[i].placement.context >= wish;
  };
  std::optional<std::size_t> target;
  bool fits_beside_pins = false;
  for (std::size_t i = *least; i < rows.size() && !target; ++i) {
    if (!usable_row(i))
      continue;
    if (row_fits(m, rows[i], now, true))
      target = i;
    fits_beside_pins = fits_beside_pins || row_fits(m, rows[i], unpinned, true);
  }
  if (!target) {
    // A margin alone is no reason to refuse; then it waits until everything else has gone.
    if (!fits_beside_pins && row_fits(m, rows[best], empty_amounts(true), true) &&
        pinned != PoolAmounts{}) {
      return refuse(ReasonCode::pinned_models, query);
    }
    LoadPlan plan;
    plan.row = best;
    plan.reason = ReasonCode::foreign_use;
    return finish(plan, query, ways(m, best).front(), Room{});
  }
  const PoolAmounts reach = reach_of(query);
  const auto attempt = [&](std::size_t row, ReasonCode reason) {
    LoadPlan plan = best_way(query, row, reach, leaving);
    plan.degraded = row != best;
    plan.reason =
        m.cpu_since && rows[row].device_bytes.empty() ? ReasonCode::device_failures : reason;
    return plan;
  };
  const ReasonCode below_best = limited && !is_allowed(m, best) ? ReasonCode::lesser_placement
                                                                : ReasonCode::never_fits_better;
  LoadPlan plan = attempt(*target, *target == best ? ReasonCode::fits_headroom : below_best);
  if (plan.verdict != LoadVerdict::waits) {
    if (plan.verdict == LoadVerdict::evicts && !plan.degraded)
      plan.reason = ReasonCode::made_room;
    return plan;
  }
  plan.reason = ReasonCode::busy_models;
  const bool waited_enough = query.waited >= policy_.queue.degrade_after;
  for (std::size_t i = *target + 1; i < rows.size(); ++i) {
    if (!usable_row(i))
      continue;
    const bool good_enough = rows[i].placement.context >= rows[*target].placement.context &&
                             std::int64_t{rows[i].speed_permille} * 1000 >=
                                 kGoodEnoughPermille * std::int64_t{rows[*target].speed_permille};
    if (!good_enough && !waited_enough)
      continue;
    LoadPlan lesser = attempt(i, good_enough ? ReasonCode::good_enough : ReasonCode::expected_wait);
    if (lesser.verdict != LoadVerdict::waits)
      return lesser;
  }
  return plan;
}

Charge Planner::profile_charge(ModelId id, const PoolAmounts& room) const {
  PoolAmounts own{};
  own[kHostPool.value] = policy_.load.profile_reservation;
  if (!policy_.models[id.value].host_only) {
    const Bytes context = policy_.load.profile_device_reservation;
    for (std::uint32_t i = 1; i < pools(); ++i)
      own[i] = context;
    for (std::int32_t i = 0; i < policy_.unified_devices && pools() == 1; ++i)
      own[kHostPool.value] += context;
  }
  Charge charge;
  for (std::uint32_t i = 0; i < pools(); ++i)
    charge.own[i] = std::clamp(room[i], Bytes{0}, own[i]);
  return charge;
}

LoadPlan Planner::plan_profile(const LoadQuery& query) const {
  PoolAmounts reachable = empty_amounts(true);
  const PoolAmounts pinned = pinned_amounts(query.model);
  for (std::uint32_t i = 0; i < pools(); ++i)
    reachable[i] -= pinned[i];
  const Charge charge = profile_charge(query.model, reachable);
  // What is held back under pressure is held back from models.
  const Room room = room_within(query, charge, false, {}, true);
  LoadPlan plan;
  plan.profile = true;
  plan.reason = room.victims.empty() ? ReasonCode::fits_headroom : ReasonCode::made_room;
  plan = finish(plan, query, {{}, charge}, room);
  if (plan.verdict == LoadVerdict::waits)
    plan.reason = ReasonCode::busy_models;
  return plan;
}

std::vector<ModelId> Planner::models_to_drain(const LoadQuery& query, const LoadPlan& plan) const {
  const Room room = room_for(query, plan.charge, true,
                             plan.profile ? std::vector<ModelId>{} : must_leave(query.model));
  return room.enough ? room.victims : std::vector<ModelId>{};
}

bool Planner::better_row_fits(ModelId id) const {
  const ModelRecord& m = model(id);
  const auto best = target_row(id, 0);
  if (!best || !m.generation)
    return false;
  PoolAmounts room{};
  for (std::uint32_t p = 0; p < pools(); ++p) {
    // Its own weights stay charged in `headroom`, and it maps them again: compare own bytes only.
    room[p] = ledger_.headroom(PoolId(p)) + m.charged->charge.own[p];
  }
  for (std::size_t i = *best; i < m.row; ++i) {
    if (!is_allowed(m, i) || m.rows[i].placement.context < m.context_asked)
      continue;
    for (const Way& way : ways(m, i)) {
      Charge own = way.charge;
      own.weights = {};
      if (fits_within(own, room))
        return true;
    }
  }
  return false;
}

bool Planner::can_grow(ModelId id, std::int32_t context_wished) const {
  const ModelRecord& m = model(id);
  const std::int32_t wish = attainable(id, context_wished);
  if (!m.generation || wish <= m.placement.context)
    return false;
  std::vector<ModelId> leaving{id};
  for (const ModelRecord& other : models_) {
    if (is_idle_victim(other, id))
      leaving.push_back(other.id);
  }
  const auto fits = [&](const Way& way) {
    const PoolAmounts freed = freed_by(leaving, way.charge);
    for (std::uint32_t i = 0; i < pools(); ++i) {
      const PoolId pool(i);
      if (touches(way.charge, i) &&
          ledger_.added(way.charge, pool) > ledger_.headroom(pool) + freed[i])
        return false;
    }
    return true;
  };
  for (std::size_t i = 0; i < m.rows.size(); ++i) {
    if (m.rows[i].placement.context >= wish && is_allowed(m, i) &&
        std::ranges::any_of(ways(m, i), fits))
      return true;
  }
  return false;
}

}  // namespace tonnage
