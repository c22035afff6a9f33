// Situations: what some seeds are about. Chance alone makes these too rarely to prove much.
#include <algorithm>

#include "base/prng.h"
#include "sim/knobs.h"

namespace tonnage::sim {
namespace {

Duration draw_duration(Prng& prng, Duration low, Duration high) {
  return Duration(prng.between(low.count(), high.count()));
}

void set_rate(Knobs& knobs, Fault fault, std::int64_t permille) {
  knobs.fault_permille[static_cast<std::size_t>(fault)] = permille;
}

void raise_rate(Knobs& knobs, Fault fault, std::int64_t permille) {
  set_rate(knobs, fault, std::max(knobs.rate(fault), permille));
}

// The same context and slots all the way down, for less memory and hardly less speed.
std::vector<PlacementRow> even_ladder(Prng& prng, const PlacementRow& best) {
  constexpr KvType kinds[] = {KvType::f16, KvType::q8_0, KvType::q5_1, KvType::q4_0};
  std::vector<PlacementRow> rows;
  PlacementRow row = best;
  row.weights = {WeightFile{row.weights[0].file, Bytes(prng.between(1, 64) * kMiB)}};
  row.host_anon = Bytes(prng.between(512, 1024) * kMiB);
  row.speed_permille = 1000;
  const auto rungs = static_cast<std::size_t>(prng.between(2, 4));
  for (std::size_t i = 0; i < rungs; ++i) {
    row.placement.kv = kinds[i];
    rows.push_back(row);
    row.host_anon = permille_of(row.host_anon, prng.between(300, 700));
    row.speed_permille =
        static_cast<std::int32_t>(row.speed_permille * prng.between(650, 1000) / 1000);
  }
  return rows;
}

// The best placement of one model fits beside a lesser one of another, and not beside its best.
// Models idle soon and leave soon, so that memory returns to those that were placed below.
void make_ladders(Prng& prng, Knobs& knobs) {
  knobs.models.resize(std::min<std::size_t>(knobs.models.size(), 4));
  knobs.policy.models.resize(knobs.models.size());
  Bytes largest;
  for (std::size_t i = 0; i < knobs.models.size(); ++i) {
    ModelTruth& truth = knobs.models[i];
    truth.rows = even_ladder(prng, truth.rows[0]);
    truth.rows[0].source = FootprintSource::declared;
    for (PlacementRow& row : truth.rows) {
      row.source = FootprintSource::declared;
      row.weights[0].file = FileId(100 + i);
    }
    truth.load_time = draw_duration(prng, 5ms, 400ms);
    truth.serve_time = draw_duration(prng, 200ms, 4s);
    truth.broken = false;
    ModelPolicy& model = knobs.policy.models[i];
    model.pinned = false;
    if (prng.chance(600))
      model.ttl = draw_duration(prng, 0ms, 2s);
    largest = std::max(largest, truth.rows[0].host_anon + size_of(truth.rows[0].weights));
  }
  PoolPolicy& pool = knobs.policy.pools[kHostPool.value];
  pool = PoolPolicy{.name = "host", .reserve = {}, .limit = {}};
  knobs.capacity = permille_of(largest, prng.between(1200, 1900));
  knobs.foreign = Bytes(0);
  knobs.policy.residency.grace = prng.chance(500) ? Duration(0) : Duration(100ms);
  knobs.policy.residency.single_model = false;
  knobs.policy.residency.heavy_slot = false;
  knobs.policy.queue.queue_timeout = 10min;
  knobs.policy.load.profile_reservation = Bytes(0);
  knobs.workload.gap = draw_duration(prng, 300ms, 3s);
  knobs.workload.requests = std::min(knobs.workload.requests, 200);
}

// The same with half of the context on each rung. Short requests take what they get soon, long ones
// wish for the best.
void make_contexts(Prng& prng, Knobs& knobs) {
  make_ladders(prng, knobs);
  for (ModelTruth& truth : knobs.models) {
    std::int32_t context = std::max(2048, truth.rows[0].placement.context);
    for (PlacementRow& row : truth.rows) {
      row.placement.context = context;
      context /= 2;
    }
  }
  knobs.policy.queue.degrade_after = draw_duration(prng, 0ms, 200ms);
  knobs.policy.queue.yield_after = draw_duration(prng, 1s, 60s);
  knobs.workload.wish_permille = prng.between(200, 600);
  knobs.workload.requests = 400;
  // Else samples of memory make such a run longer than any may be.
  knobs.workload.gap = std::min<Duration>(knobs.workload.gap, 1s);
}

// Servers die soon after they are ready, and a queue is waiting each time.
void make_crash_loops(Prng& prng, Knobs& knobs) {
  knobs.models.resize(std::min<std::size_t>(knobs.models.size(), 3));
  knobs.policy.models.resize(knobs.models.size());
  for (ModelTruth& truth : knobs.models) {
    truth.load_time = draw_duration(prng, 1ms, 200ms);
    truth.profile_time = draw_duration(prng, 1ms, 20ms);
    truth.serve_time = draw_duration(prng, 20ms, 500ms);
    truth.broken = false;
  }
  set_rate(knobs, Fault::crash, prng.between(200, 700));
  raise_rate(knobs, Fault::hang, prng.between(0, 100));
  raise_rate(knobs, Fault::cancel, prng.between(0, 150));
  knobs.policy.load.retry_backoff_min = draw_duration(prng, 1ms, 100ms);
  knobs.policy.load.retry_backoff_max = draw_duration(prng, 100ms, 2s);
  knobs.policy.queue.replays_max = static_cast<std::int32_t>(prng.between(1, 3));
  knobs.policy.queue.queue_timeout = std::max<Duration>(knobs.policy.queue.queue_timeout, 2s);
  knobs.workload.gap = draw_duration(prng, 5ms, 300ms);
  knobs.workload.commands = static_cast<std::int32_t>(prng.between(10, 60));
}

// Loads fail, hang and time out; whoever waits gives up soon.
void make_tight_rests(Prng& prng, Knobs& knobs) {
  raise_rate(knobs, Fault::failed_load, prng.between(50, 400));
  raise_rate(knobs, Fault::failed_profile, prng.between(20, 200));
  raise_rate(knobs, Fault::refused_start, prng.between(0, 100));
  raise_rate(knobs, Fault::endless_load, prng.between(20, 200));
  raise_rate(knobs, Fault::slow_load, prng.between(0, 100));
  raise_rate(knobs, Fault::oom_at_load, 500);
  raise_rate(knobs, Fault::oom_in_use, 500);
  raise_rate(knobs, Fault::foreign, prng.between(100, 600));
  knobs.policy.load.timeout = draw_duration(prng, 100ms, 5s);
  knobs.policy.load.stall_after = draw_duration(prng, 1ms, 2s);
  knobs.policy.load.timeout = std::max(knobs.policy.load.timeout, knobs.policy.load.stall_after);
  knobs.policy.load.retry_backoff_min = draw_duration(prng, 1ms, 500ms);
  knobs.policy.load.retry_backoff_max = draw_duration(prng, 500ms, 5s);
}

// Servers are killed while they load, work and idle, more often than their loads can bear.
void make_kill_storms(Prng& prng, Knobs& knobs) {
  knobs.models.resize(std::min<std::size_t>(knobs.models.size(), 3));
  knobs.policy.models.resize(knobs.models.size());
  for (ModelTruth& truth : knobs.models) {
    truth.load_time = draw_duration(prng, 1ms, 400ms);
    truth.profile_time = draw_duration(prng, 1ms, 20ms);
    truth.serve_time = draw_duration(prng, 20ms, 500ms);
    truth.broken = false;
  }
  set_rate(knobs, Fault::kill, prng.between(200, 950));
  raise_rate(knobs, Fault::crash, prng.between(0, 100));
  knobs.policy.recovery.kills_max = static_cast<std::int32_t>(prng.between(1, 16));
  knobs.policy.queue.replays_max = static_cast<std::int32_t>(prng.between(0, 2));
  knobs.policy.queue.queue_timeout = std::max<Duration>(knobs.policy.queue.queue_timeout, 30s);
  knobs.workload.gap = draw_duration(prng, 5ms, 300ms);
}

}  // namespace

void draw_situation(Knobs& knobs) {
  // A stream of its own: what a situation draws changes nothing of what the seed drew before.
  Prng prng(knobs.seed * 0x9e3779b97f4a7c15ULL + 2);
  switch (prng.below(12)) {
    case 0:
      knobs.situation = Situation::ladders;
      make_ladders(prng, knobs);
      break;
    case 1:
      knobs.situation = Situation::crash_loops;
      make_crash_loops(prng, knobs);
      break;
    case 2:
      knobs.situation = Situation::tight_rests;
      make_tight_rests(prng, knobs);
      break;
    case 3:
      knobs.situation = Situation::kill_storms;
      make_kill_storms(prng, knobs);
      break;
    case 4:
      knobs.situation = Situation::contexts;
      make_contexts(prng, knobs);
      break;
    default:
      break;
  }
}

}  // namespace tonnage::sim
