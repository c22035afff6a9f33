// What the Governor shows: snapshot, plan, places in the queue.
#include <algorithm>

#include "core/governor_impl.h"

namespace tonnage {
namespace {

// A stop that takes longer than this is shown by health: SIGKILL should have ended it.
constexpr Duration kStopOverdue = 10s;
// A pool that was not sampled for this long is shown by health.
constexpr Duration kProbeStale = 30s;

}  // namespace

ModelSnapshot Governor::Impl::model_snapshot(const ModelRecord& m, Tick now) const {
  const ModelPolicy& policy = policy_.models[m.id.value];
  ModelSnapshot out;
  out.model = m.id;
  out.id = policy.id;
  out.type = policy.type;
  out.state = m.state;
  out.tier = !m.generation ? Tier::disk : m.devices.empty() ? Tier::host : Tier::gpu;
  out.generation = m.generation;
  out.pinned = m.pinned;
  out.stalled = m.stalled;
  out.degraded = m.degraded;
  out.leases = static_cast<std::int32_t>(m.leased.size());
  out.waiting = static_cast<std::int32_t>(m.queue.size());
  if (m.generation) {
    out.placement = m.placement;
    out.reserved = m.charged->charge.own[kHostPool.value];
    out.devices = m.devices;
    const auto& own = m.charged->charge.own;
    for (std::size_t i = 1; i < ledger_.pool_count(); ++i)
      out.device_reserved.push_back(own[i]);
    out.device_predicted.resize(out.device_reserved.size());
    for (std::size_t i = 0; i < m.devices.size() && i < m.rows[m.row].device_bytes.size(); ++i) {
      if (m.devices[i] != kHostPool)
        out.device_predicted[m.devices[i].value - 1] += m.rows[m.row].device_bytes[i];
    }
    out.device_measured = m.device_measured;
  }
  const LedgerEntry* dry_run = ledger_.find(dry_run_of(m.id));
  if (dry_run != nullptr) {
    const PoolAmounts& own = dry_run->charge.own;
    out.reserved = own[kHostPool.value];
    for (std::size_t i = 1; i < ledger_.pool_count(); ++i)
      out.device_reserved.push_back(own[i]);
  }
  const auto target = planner().target_row(m.id, 0);
  if (target)
    out.target = m.rows[*target].placement;
  if (!m.rows.empty()) {
    const PlacementRow& row = m.rows[m.generation ? m.row : target.value_or(0)];
    out.predicted = row.host_anon + size_of(row.weights);
    out.weights = size_of(row.weights);
    out.source = row.source;
  }
  out.measured = m.measured;
  out.uses = m.uses;
  out.loads = m.loads;
  out.evictions = m.evictions;
  out.failures = m.failures;
  if (m.used && m.leased.empty())
    out.idle_for = now - m.last_used;
  out.load_time = m.load_time;
  if (m.state == ResidencyState::loading)
    out.loading_for = now - m.loading_since;
  if (m.state == ResidencyState::failed)
    out.retry_in = std::max(Duration{0}, m.retry_at - now);
  out.failure = m.failure.text;
  if (m.failures > 0)
    out.failure_kind = m.failure.kind;
  out.device_failures = static_cast<std::int32_t>(m.memory_failures.size());
  out.cpu_only = m.cpu_since.has_value();
  if (m.cpu_since && policy_.recovery.cooldown)
    out.cpu_for = std::max(Duration{0}, *m.cpu_since + *policy_.recovery.cooldown - now);
  out.taken_by_pressure = m.pressed_at.has_value();
  return out;
}

// What keeps the scheduler from moving as it should.
void Governor::Impl::add_problems(const ModelRecord& m, Tick now, Snapshot& s) const {
  const std::string& name = policy_.models[m.id.value].id;
  if (m.state == ResidencyState::loading && now - m.loading_since >= policy_.load.stall_after) {
    s.problems.push_back({"load_stalled", "the load of " + name + " has taken " +
                                              rounded_text(now - m.loading_since) + " so far"});
  }
  if (m.state == ResidencyState::stopping && now - m.stopping_since >= kStopOverdue) {
    s.problems.push_back(
        {"stop_overdue", "the server of " + name + " was told to stop and has not ended"});
  }
}

PoolSnapshot Governor::Impl::pool_snapshot(PoolId pool, Tick now) const {
  const PoolSample& seen = ledger_.seen(pool);
  const PoolPressure& pressure = pressure_[pool.value];
  PoolSnapshot out;
  out.pool = pool;
  out.name = policy_.pools[pool.value].name;
  out.unified = pool == kHostPool && policy_.unified_devices > 0;
  out.lost = seen.lost;
  out.capacity = seen.capacity;
  out.budget = ledger_.budget(pool);
  out.foreign = seen.foreign;
  out.reserved = ledger_.reserved(pool);
  if (pool == kHostPool)
    out.reserved_weights = ledger_.reserved_weights();
  out.headroom = ledger_.headroom(pool);
  out.used = std::max(seen.used, seen.foreign);
  out.ours = out.used - seen.foreign;
  out.orphaned = seen.orphaned;
  out.expected = seen.expected;
  out.releasing = ledger_.releasing(pool);
  if (const PressureLevel* level = level_of(pool))
    out.level = level->name;
  out.level_for = now - pressure.since;
  if (pool == kHostPool) {
    out.stall_some_permille = stall_.some_permille;
    out.stall_full_permille = stall_.full_permille;
  }
  if (seen.sampled_at)
    out.sample_age = now - *seen.sampled_at;
  return out;
}

bool Governor::Impl::awaits_release(PoolId pool) const {
  return pool.value < ledger_.pool_count() && ledger_.releasing(pool) > Bytes{0};
}

Snapshot Governor::Impl::snapshot(Tick now) const {
  Snapshot s;
  s.at = now;
  s.waiting = waiting_;
  s.shutting_down = shutting_down_;
  PoolAmounts measured{};
  measured[kHostPool.value] = ledger_.reserved_weights();
  for (const ModelRecord& m : models_) {
    // A model that is no longer configured is shown for as long as its server is there.
    if (policy_.models[m.id.value].removed && !m.generation)
      continue;
    s.models.push_back(model_snapshot(m, now));
    const ModelSnapshot& shown = s.models.back();
    s.leases += shown.leases;
    if (m.generation) {
      measured[kHostPool.value] += shown.measured.value_or(shown.reserved);
      for (std::size_t i = 0; i + 1 < ledger_.pool_count(); ++i) {
        measured[i + 1] +=
            i < shown.device_measured.size() ? shown.device_measured[i] : shown.device_reserved[i];
      }
    }
    add_problems(m, now, s);
  }
  s.preset = policy_.pressure.preset;
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i) {
    PoolSnapshot out = pool_snapshot(PoolId(i), now);
    out.measured = measured[i];
    if (out.lost) {
      s.problems.push_back({"device_lost", "the device of " + out.name + " is no longer visible"});
    } else if (!out.sample_age || *out.sample_age > kProbeStale) {
      s.problems.push_back({"probe_stale", out.name + " has no recent sample"});
    }
    s.pools.push_back(std::move(out));
  }
  return s;
}

PlanAnswer Governor::Impl::plan(const PlanQuery& query, Tick now) const {
  PlanAnswer answer;
  if (query.model.value >= models_.size())
    return answer;
  const ModelRecord& m = models_[query.model.value];
  if (m.rows.empty())
    return answer;
  const Planner planner(policy_, ledger_, models_, *eviction_, now);
  if (m.state == ResidencyState::ready && query.context_needed <= m.placement.context) {
    answer.verdict = PlanVerdict::ready;
    answer.placement = m.placement;
    return answer;
  }
  LoadQuery load;
  load.model = query.model;
  load.context_needed = query.context_needed;
  const LoadPlan plan = planner.plan_load(load);
  answer.need = plan.need;
  answer.headroom = plan.headroom;
  answer.usable = plan.usable;
  answer.victims = plan.victims;
  answer.tried = plan.tried;
  if (plan.verdict != LoadVerdict::refused)
    answer.placement = m.rows[plan.row].placement;
  switch (plan.verdict) {
    case LoadVerdict::fits:
    case LoadVerdict::pending:
      answer.verdict = PlanVerdict::fits;
      break;
    case LoadVerdict::evicts:
      answer.verdict = PlanVerdict::evicts;
      break;
    case LoadVerdict::waits:
      answer.verdict = PlanVerdict::waits;
      answer.victims = planner.models_to_drain(load, plan);
      break;
    case LoadVerdict::refused:
      answer.verdict = PlanVerdict::refused;
      break;
  }
  return answer;
}

std::optional<std::int32_t> Governor::Impl::queue_place(RequestId request) const {
  const auto found = requests_.find(request);
  if (found == requests_.end() || found->second.admitted)
    return std::nullopt;
  const ModelRecord& model = models_[found->second.model.value];
  const auto own = model.queue.place(request);
  if (!own)
    return std::nullopt;
  std::size_t ahead = *own;
  if (model.state == ResidencyState::absent) {
    for (const Wanted& w : wanted_models()) {
      if (w.model == model.id)
        break;
      ahead += models_[w.model.value].queue.size();
    }
  }
  return static_cast<std::int32_t>(ahead);
}

}  // namespace tonnage
