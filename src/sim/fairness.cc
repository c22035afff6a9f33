#include "sim/fairness.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "core/governor.h"
#include "sim/fifo.h"
#include "sim/world.h"

namespace tonnage::sim {
namespace {

// Six models of 25 GiB in all on a machine of 12 GiB, the two largest not beside each other. They
// load at 1 GiB a second and answer in some two seconds, two requests at a time.
Knobs machine(Pattern pattern, Discipline discipline, std::uint64_t seed) {
  Knobs knobs;
  knobs.seed = seed;
  knobs.policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  knobs.capacity = 12_GiB;
  for (const std::int64_t size : {7, 6, 4, 4, 2, 2}) {
    const auto index = knobs.models.size();
    PlacementRow row;
    row.placement = {.context = 4096, .slots = 2};
    row.host_anon = 1_GiB;
    row.weights[0].file = FileId(100 + index);
    row.weights[0].size = Bytes((size - 1) * kGiB);
    row.source = FootprintSource::declared;
    ModelTruth truth;
    truth.rows = {row};
    truth.load_time = std::chrono::seconds(size);
    truth.profile_time = 20ms;
    truth.serve_time = 2s;
    truth.stop_time = 100ms;
    knobs.models.push_back(truth);
    ModelPolicy model;
    model.id = std::string(1, static_cast<char>('A' + index));
    model.in_flight_max = 2;
    knobs.policy.models.push_back(model);
  }
  knobs.policy.residency.eviction =
      discipline == Discipline::lru ? EvictionKind::lru : EvictionKind::value;
  knobs.workload.pattern = pattern;
  knobs.workload.requests = 400;
  knobs.workload.clients = 4;
  knobs.sample_every = 5s;
  // As much as the machine can do when it switches rarely, and more than it can when it always
  // does.
  const std::array<Duration, kPatterns> gaps = {3s, 12s, 8s, 6s, 5s};
  knobs.workload.gap = gaps[static_cast<std::size_t>(pattern)];
  return knobs;
}

// One run; everything that it has to know of who waits is in the events and the actions.
template <typename Decider>
class FairnessRun {
 public:
  FairnessRun(const Knobs& knobs, Decider decider, Fairness& result)
      : knobs_(knobs), world_(knobs), decider_(std::move(decider)), result_(result) {}

  void run() {
    Actions actions;
    Tick now{};
    while (!(world_.calm() && arrived_.empty() && at_work_ == 0)) {
      const auto happening = world_.next(decider_.next_deadline());
      if (!happening)
        break;
      now = happening->at;
      note(*happening);
      actions.clear();
      decider_.step(now, happening->event, actions);
      for (const Action& action : actions)
        note(now, action);
      world_.apply(now, actions);
    }
    result_.took += now.time_since_epoch();
  }

 private:
  struct Arrived {
    Tick at;
    ModelId model;
  };

  void note(const Happening& happening) {
    if (const auto* arrived = std::get_if<RequestArrived>(&happening.event))
      arrived_[arrived->request] = {happening.at, *arrived->model};
    if (std::holds_alternative<RequestEnded>(happening.event))
      --at_work_;
  }

  void note(Tick now, const Action& action) {
    if (std::holds_alternative<StartServer>(action))
      ++result_.switches;
    if (const auto* refuse = std::get_if<Refuse>(&action)) {
      ++result_.refused;
      arrived_.erase(refuse->request);
    }
    const auto* admit = std::get_if<Admit>(&action);
    if (admit == nullptr)
      return;
    ++at_work_;
    const Arrived arrived = arrived_.at(admit->request);
    arrived_.erase(admit->request);
    const Duration wait = now - arrived.at;
    result_.all.add(wait);
    result_.by_model[knobs_.policy.models[arrived.model.value].id].add(wait);
    if (knobs_.workload.pattern == Pattern::greedy)
      result_.by_client[world_.is_greedy(admit->request) ? "greedy" : "others"].add(wait);
  }

  const Knobs& knobs_;
  World world_;
  Decider decider_;
  Fairness& result_;
  std::map<RequestId, Arrived> arrived_;  // and not yet admitted
  std::int64_t at_work_ = 0;
};

std::string figures(const Waits& waits) {
  const auto ms = [](Duration duration) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
  };
  return "{\"requests\": " + std::to_string(waits.count()) + ", \"mean_ms\": " + ms(waits.mean()) +
         ", \"p50_ms\": " + ms(waits.permille(500)) + ", \"p95_ms\": " + ms(waits.permille(950)) +
         ", \"p99_ms\": " + ms(waits.permille(990)) + "}";
}

std::string figures(const std::map<std::string, Waits>& groups) {
  std::string text;
  for (const auto& [name, waits] : groups)
    text += (text.empty() ? "\"" : ", \"") + name + "\": " + figures(waits);
  return "{" + text + "}";
}

std::string figures(const Fairness& fairness) {
  return "{\"workload\": \"" + std::string(to_text(fairness.pattern)) + "\", \"policy\": \"" +
         std::string(to_text(fairness.discipline)) +
         "\", \"refused\": " + std::to_string(fairness.refused) +
         ", \"switches_per_hour\": " + std::to_string(fairness.switches_per_hour()) +
         ", \"worst_model_permille\": " + std::to_string(fairness.worst_model_permille()) +
         ",\n  \"wait\": " + figures(fairness.all) +
         ",\n  \"models\": " + figures(fairness.by_model) +
         ",\n  \"clients\": " + figures(fairness.by_client) + "}";
}

}  // namespace

std::string_view to_text(Discipline discipline) {
  constexpr std::array<std::string_view, kDisciplines> names = {"fifo", "lru", "value"};
  return names[static_cast<std::size_t>(discipline)];
}

Duration Waits::mean() const {
  Duration sum{};
  for (const Duration wait : waits_)
    sum += wait;
  return waits_.empty() ? sum : sum / static_cast<std::int64_t>(waits_.size());
}

Duration Waits::permille(std::int64_t permille) const {
  if (waits_.empty())
    return {};
  std::vector<Duration> sorted = waits_;
  std::sort(sorted.begin(), sorted.end());
  const auto count = static_cast<std::int64_t>(sorted.size());
  const std::int64_t rank = std::max<std::int64_t>(1, (count * permille + 999) / 1000);
  return sorted[static_cast<std::size_t>(rank - 1)];
}

std::int64_t Fairness::switches_per_hour() const {
  constexpr std::int64_t kHourUs = 3'600'000'000;
  return static_cast<std::int64_t>(switches) * kHourUs / std::max<std::int64_t>(1, took.count());
}

std::int64_t Fairness::worst_model_permille() const {
  Duration worst{};
  for (const auto& [name, waits] : by_model)
    worst = std::max(worst, waits.mean());
  return worst.count() * 1000 / std::max<std::int64_t>(1, all.mean().count());
}

Fairness measure_fairness(Pattern pattern, Discipline discipline, std::uint64_t seeds) {
  Fairness result;
  result.pattern = pattern;
  result.discipline = discipline;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const Knobs knobs = machine(pattern, discipline, seed);
    if (discipline == Discipline::fifo) {
      FairnessRun(knobs, Fifo(knobs.policy), result).run();
    } else {
      FairnessRun(knobs, Governor(knobs.policy, Tick{}), result).run();
    }
  }
  return result;
}

std::string fairness_json(std::uint64_t seeds) {
  std::string text;
  for (std::size_t pattern = 0; pattern < kPatterns; ++pattern) {
    for (std::size_t discipline = 0; discipline < kDisciplines; ++discipline) {
      text += (text.empty() ? " " : ",\n ") +
              figures(measure_fairness(static_cast<Pattern>(pattern),
                                       static_cast<Discipline>(discipline), seeds));
    }
  }
  return "{\"seeds\": " + std::to_string(seeds) + ", \"runs\": [\n" + text + "\n]}\n";
}

}  // namespace tonnage::sim
