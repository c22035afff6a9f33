#include "sim/knobs.h"

#include <algorithm>
#include <string>

#include "base/prng.h"
#include "sim/budget.h"

namespace tonnage::sim {
namespace {

Duration draw_duration(Prng& prng, Duration low, Duration high) {
  return Duration(prng.between(low.count(), high.count()));
}

// Picks one of a list, each as likely as the other. Repeating an entry makes it more likely.
template <typename T, std::size_t N>
T pick(Prng& prng, const T (&choices)[N]) {
  return choices[prng.below(N)];
}

Bytes draw_bytes(Prng& prng, Bytes low, Bytes high) {
  return Bytes(prng.between(low.count, high.count));
}

// Sizes as they occur: many small, some large. Each class is as likely as the others.
Bytes draw_size(Prng& prng) {
  switch (prng.below(4)) {
    case 0:
      return Bytes(prng.between(1, 64) * kMiB);
    case 1:
      return Bytes(prng.between(64, 512) * kMiB);
    case 2:
      return draw_bytes(prng, 512_MiB, 4_GiB);
    default:
      return draw_bytes(prng, 4_GiB, 20_GiB);
  }
}

std::vector<PlacementRow> draw_rows(Prng& prng, std::uint64_t file) {
  PlacementRow row;
  row.weights[0].file = FileId(file);
  // Some engines map nothing: everything is anonymous.
  row.weights[0].size = prng.chance(100) ? Bytes(0) : draw_size(prng);
  row.host_anon = draw_bytes(prng, 1_MiB, 1_GiB);
  row.placement.context = static_cast<std::int32_t>(512 << prng.below(6));
  row.placement.slots = static_cast<std::int32_t>(prng.between(1, 4));
  row.source = pick(prng, {FootprintSource::analytic, FootprintSource::dry_run,
                           FootprintSource::learned, FootprintSource::declared});

  std::vector<PlacementRow> rows{row};
  const auto rungs = prng.chance(400) ? prng.between(2, 6) : 1;
  for (std::int64_t i = 1; i < rungs; ++i) {
    // Each row below asks for less: half of the context, or one slot fewer, or a cheaper kv type.
    if (row.placement.context > 128 && prng.chance(600)) {
      row.placement.context /= 2;
    } else if (row.placement.slots > 1) {
      --row.placement.slots;
    } else if (row.placement.kv == KvType::f16) {
      row.placement.kv = KvType::q8_0;
    } else {
      break;  // nothing less to ask for: every row is another placement
    }
    row.host_anon = Bytes(
        std::max<std::int64_t>(row.host_anon.count * prng.between(400, 900) / 1000, kMiB / 2));
    row.speed_permille =
        static_cast<std::int32_t>(row.speed_permille * prng.between(500, 1000) / 1000);
    rows.push_back(row);
  }
  return rows;
}

Bytes bare_need(const PlacementRow& row) {
  return row.host_anon + size_of(row.weights);
}

void draw_models(Prng& prng, Knobs& knobs) {
  const auto count = static_cast<std::size_t>(prng.between(1, 12));
  const bool fast = prng.chance(300);
  for (std::size_t i = 0; i < count; ++i) {
    ModelTruth truth;
    // Two models may map one file, and a model may run with a draft: a file of its own, or one that
    // another model maps.
    truth.rows = draw_rows(prng, 100 + i);
    if (i > 0 && prng.chance(120)) {
      const ModelTruth& sibling = knobs.models[prng.below(i)];
      for (PlacementRow& row : truth.rows)
        row.weights = sibling.rows[0].weights;
    } else if (prng.chance(120)) {
      const WeightFile draft = i > 0 && prng.chance(500)
                                   ? knobs.models[prng.below(i)].rows[0].weights[0]
                                   : WeightFile{FileId(200 + i), draw_size(prng)};
      for (PlacementRow& row : truth.rows)
        row.weights[1] = draft;
    }
    truth.load_time = fast ? draw_duration(prng, 5ms, 200ms) : draw_duration(prng, 50ms, 12s);
    truth.profile_time = draw_duration(prng, 1ms, fast ? 50ms : 900ms);
    truth.serve_time = fast ? draw_duration(prng, 1ms, 100ms) : draw_duration(prng, 10ms, 6s);
    truth.stop_time = draw_duration(prng, 1ms, 400ms);
    knobs.models.push_back(std::move(truth));
  }
}

void draw_pool(Prng& prng, Knobs& knobs) {
  Bytes largest;
  Bytes sum;
  for (const ModelTruth& truth : knobs.models) {
    const Bytes need = bare_need(truth.rows[0]);
    largest = std::max(largest, need);
    sum += need;
  }
  Bytes budget;
  switch (prng.below(6)) {
    case 0:  // only the largest fits, and that alone
      budget = largest + permille_of(largest, prng.chance(300) ? 0 : prng.between(0, 100));
      break;
    case 1:  // some model fits only below its best, or not at all
      budget = permille_of(largest, prng.between(500, 999));
      break;
    case 2:  // everything fits at once
      budget = permille_of(sum, 1300) + 512_MiB;
      break;
    default:
      budget = Bytes(prng.between(largest.count, std::max(largest, sum).count));
  }

  PoolPolicy pool;
  pool.name = "host";
  knobs.foreign = prng.chance(500) ? Bytes(0) : permille_of(budget, prng.between(0, 150));
  switch (prng.below(4)) {
    case 0:  // an absolute limit, on a machine with room for everybody
      pool.limit = budget;
      knobs.capacity = permille_of(budget, prng.between(1300, 2500)) + knobs.foreign;
      break;
    case 1:
      pool.reserve.permille = prng.between(0, 250);
      knobs.capacity = Bytes(budget.count / (1000 - *pool.reserve.permille) * 1000 + 1000);
      break;
    case 2:
      pool.reserve.permille = 200;
      pool.reserve.size = 8_GiB;
      pool.max_permille = prng.between(700, 1000);
      knobs.capacity = permille_of(budget, 1300) + 1_MiB;
      break;
    default:
      pool.reserve.size = Bytes(prng.between(0, kGiB));
      knobs.capacity = budget + *pool.reserve.size;
  }
  knobs.policy.pools.push_back(pool);
}

void draw_model_policies(Prng& prng, Knobs& knobs) {
  const bool pins = prng.chance(150);
  const bool heavies = prng.chance(300);
  const bool ttls = prng.chance(300);
  for (std::size_t i = 0; i < knobs.models.size(); ++i) {
    ModelPolicy model;
    model.id = std::string(1, static_cast<char>('A' + i));
    model.type = prng.chance(800) ? ModelType::llm : ModelType::embedding;
    model.priority = pick(prng, {Priority::normal, Priority::normal, Priority::normal,
                                 Priority::low, Priority::high});
    model.pinned = pins && prng.chance(300);
    model.heavy = heavies && prng.chance(400);
    if (ttls && prng.chance(600))
      model.ttl = draw_duration(prng, 0ms, 20s);
    model.in_flight_max = knobs.models[i].rows[0].placement.slots;
    if (prng.chance(200))
      model.in_flight_max = static_cast<std::int32_t>(prng.between(1, 6));
    knobs.policy.models.push_back(std::move(model));
  }
}

void draw_rules(Prng& prng, Policy& policy) {
  QueuePolicy& queue = policy.queue;
  queue.waiting_max = pick(prng, {1, 2, 8, 64, 512, 512, 512, 512, 512, 512});
  queue.waiting_per_model_max = pick(prng, {1, 4, 32, 512, 512, 512, 512, 512});
  queue.queue_timeout =
      pick<Duration>(prng, {1ms, 50ms, 2s, 20s, 2min, 10min, 10min, 10min, 10min, 10min, 10min});
  queue.yield_after = pick<Duration>(prng, {0ms, 1ms, 10ms, 500ms, 5s, 30s, 30s});
  queue.degrade_after = pick<Duration>(prng, {0ms, 1ms, 200ms, 5s, 60s, 60s});
  queue.replays_max = static_cast<std::int32_t>(prng.between(0, 3));
  queue.lost_hold = pick<Duration>(prng, {0ms, 1ms, 1s, 1s, 1s, 5s});

  ResidencyPolicy& residency = policy.residency;
  residency.grace = pick<Duration>(prng, {0ms, 100ms, 5s, 5s});
  if (prng.chance(250))
    residency.grace_on_demand = pick<Duration>(prng, {0ms, 300ms, 5s});
  residency.min_residency_min = pick<Duration>(prng, {0ms, 500ms, 500ms});
  residency.min_residency_max = pick<Duration>(prng, {0ms, 1s, 10s, 10s});
  residency.min_residency_max = std::max(residency.min_residency_max, residency.min_residency_min);
  residency.heavy_slot = prng.chance(350);
  residency.single_model = prng.chance(150);
  residency.eviction = prng.chance(400) ? EvictionKind::lru : EvictionKind::value;

  LoadPolicy& load = policy.load;
  load.stall_after = pick<Duration>(prng, {1ms, 50ms, 1s, 5s, 20s, 20s, 20s, 20s});
  load.timeout =
      pick<Duration>(prng, {1ms, 100ms, 10s, 40s, 40s, 40s, 10min, 10min, 10min, 10min, 10min});
  load.timeout = std::max(load.timeout, load.stall_after);
  load.retry_backoff_min = pick<Duration>(prng, {1ms, 200ms, 1s, 1s});
  load.retry_backoff_max = pick<Duration>(prng, {1s, 10s, 5min});
  load.attempts_max = static_cast<std::int32_t>(prng.between(1, 4));
  load.bandwidth_prior_mib_per_s = prng.between(50, 5000);
  load.profile_reservation = pick<Bytes>(prng, {0_MiB, 16_MiB, 128_MiB, 512_MiB, 512_MiB});
  load.profile_stall_after = pick<Duration>(prng, {1ms, 50ms, 200ms, 2s, 2s});
  load.profiles_max = static_cast<std::int32_t>(prng.between(1, 4));
  load.profile_ahead = prng.chance(300);
  load.stop_timeout = pick<Duration>(prng, {1ms, 500ms, 500ms});
  load.drain_timeout = pick<Duration>(prng, {0ms, 1ms, 1s, 30s});

  policy.margin.analytic_permille = pick<std::int64_t>(prng, {0, 200, 200, 1000});
  policy.margin.dry_run_permille = pick<std::int64_t>(prng, {0, 30, 30});
  policy.margin.learned_permille = pick<std::int64_t>(prng, {0, 30, 30});
}

// A quarter of the seeds is faultless; in the others each fault exists or not, rare or frequent.
void draw_faults(Prng& prng, Knobs& knobs) {
  if (prng.chance(250))
    return;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (prng.chance(450))
      knobs.fault_permille[i] = prng.chance(700) ? prng.between(1, 60) : prng.between(60, 400);
  }
  const bool wrong = knobs.rate(Fault::wrong_footprint) > 0;
  for (ModelTruth& truth : knobs.models) {
    if (wrong)
      truth.anon_permille = prng.between(600, 1500);
    truth.broken = prng.chance(15);
  }
}

void draw_workload(Prng& prng, Knobs& knobs) {
  WorkloadKnobs& work = knobs.workload;
  work.pattern = static_cast<Pattern>(prng.below(kPatterns));
  work.requests = static_cast<std::int32_t>(prng.between(60, 420));
  Duration typical{};
  for (const ModelTruth& truth : knobs.models)
    typical += truth.serve_time + truth.load_time / 4;
  typical /= static_cast<std::int64_t>(knobs.models.size());
  // From far more than the machine can do to mostly idle.
  work.gap =
      std::max<Duration>(1us, typical * pick<std::int64_t>(prng, {100, 400, 1000, 3000}) / 1000);
  work.clients = static_cast<std::int32_t>(prng.between(1, 8));
  work.uncounted_permille = prng.chance(300) ? prng.between(1, 200) : 0;
  work.resident_permille = prng.chance(300) ? prng.between(1, 200) : 0;
  work.context_permille = prng.chance(400) ? prng.between(1, 600) : 0;
  work.wish_permille = prng.chance(500) ? prng.between(1, 900) : 0;
  work.priority_permille = prng.chance(300) ? prng.between(1, 500) : 0;
  work.weighty_permille = prng.chance(300) ? prng.between(1, 500) : 0;
  work.commands = static_cast<std::int32_t>(prng.chance(500) ? prng.between(1, 25) : 0);
  work.waves = static_cast<std::int32_t>(prng.between(1, 4));
}

}  // namespace

void edit_policy(Prng& prng, const Knobs& knobs, Policy& policy, std::vector<ModelId>& changed) {
  const auto index = static_cast<std::uint32_t>(prng.below(policy.models.size()));
  ModelPolicy& model = policy.models[index];
  switch (prng.below(8)) {
    case 0:
      draw_rules(prng, policy);
      break;
    case 1:
    case 2:
      policy.pools[kHostPool.value].limit =
          permille_of(knobs.capacity, prng.chance(300) ? 1000 : prng.between(200, 1000));
      break;
    case 3:
      policy.pools[kHostPool.value] = knobs.policy.pools[kHostPool.value];
      break;
    case 4:
      model.pinned = prng.chance(300);
      model.heavy = prng.chance(300);
      model.ttl = prng.chance(500) ? std::optional(draw_duration(prng, 0ms, 20s)) : std::nullopt;
      model.in_flight_max = static_cast<std::int32_t>(prng.between(1, 6));
      break;
    case 5:
      model.removed = !model.removed;
      break;
    default:
      changed.emplace_back(index);
  }
}

bool Knobs::faultless() const {
  return std::all_of(fault_permille.begin(), fault_permille.end(),
                     [](std::int64_t permille) { return permille == 0; });
}

Knobs draw_knobs(std::uint64_t seed) {
  Prng prng(seed * 0x9e3779b97f4a7c15ULL + 1);
  Knobs knobs;
  knobs.seed = seed;
  draw_models(prng, knobs);
  draw_pool(prng, knobs);
  draw_model_policies(prng, knobs);
  draw_rules(prng, knobs.policy);
  draw_faults(prng, knobs);
  draw_workload(prng, knobs);
  // As often as requests come, so that samples never drown what they are to disturb.
  knobs.sample_every =
      std::clamp<Duration>(knobs.workload.gap * pick<std::int64_t>(prng, {1, 4, 16}), 100ms, 60s);
  knobs.first_sample_after = prng.chance(900) ? Duration(0) : draw_duration(prng, 1us, 2s);
  knobs.shutdown = prng.chance(150)   ? ShutdownKind::in_the_middle
                   : prng.chance(400) ? ShutdownKind::at_end
                                      : ShutdownKind::never;
  knobs.timer_first = prng.chance(500);
  knobs.unpin_when_calm = prng.chance(500);
  draw_situation(knobs);
  draw_devices(knobs);
  return knobs;
}

std::string_view to_text(Fault fault) {
  constexpr std::array<std::string_view, kFaults> names = {
      "crash",         "hang",         "refused_start", "failed_load",
      "endless_load",  "slow_load",    "ready_race",    "failed_profile",
      "stale_profile", "relearned",    "cancel",        "missing_sample",
      "stale_sample",  "wrong_sample", "foreign",       "release_lag",
      "oom_at_load",   "oom_in_use",   "late_timer",    "clock_stall",
      "echo",          "reload",       "reorder",       "wrong_footprint",
      "lost_device",   "stalls",       "memory_answer", "kill"};
  return names[static_cast<std::size_t>(fault)];
}

std::string_view to_text(Situation situation) {
  constexpr std::array<std::string_view, kSituations> names = {
      "any", "ladders", "crash_loops", "tight_rests", "kill_storms", "contexts"};
  return names[static_cast<std::size_t>(situation)];
}

std::string_view to_text(Pattern pattern) {
  constexpr std::array<std::string_view, kPatterns> names = {"zipf", "bursts", "alternate",
                                                             "greedy", "scan"};
  return names[static_cast<std::size_t>(pattern)];
}

}  // namespace tonnage::sim
