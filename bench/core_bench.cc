// What one decision of the core costs: a request for a ready model, and a plan over many models.
#include <time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "core/governor.h"

namespace tonnage {
namespace {

constexpr Tick kStart{Duration{1h}};

// `count` models on one host pool. The last one is the model that plans ask about.
Policy policy_of(std::uint32_t count) {
  Policy policy;
  policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  for (std::uint32_t i = 0; i < count; ++i) {
    ModelPolicy model;
    model.id = "model-" + std::to_string(i);
    model.in_flight_max = 1'000'000;
    policy.models.push_back(model);
  }
  policy.queue.waiting_max = 1'000'000;
  return policy;
}

// A ladder as a GPU machine has it: layer splits, one more costly than the next, all nearly as fast
// as the first, so that a plan that cannot have the best has to look at every one.
std::vector<PlacementRow> ladder_of(std::uint32_t model, Bytes best, int rows) {
  std::vector<PlacementRow> ladder;
  for (int i = 0; i < rows; ++i) {
    PlacementRow row;
    row.placement = {.gpu_layers = rows - i, .context = 4096, .slots = 2, .kv = KvType::f16};
    row.host_anon = Bytes(best.count - i * kMiB);
    row.weights[0] = {FileId(model + 1), 256_MiB};
    row.speed_permille = 1000 - 5 * i;
    row.source = FootprintSource::dry_run;
    ladder.push_back(row);
  }
  return ladder;
}

// A Governor whose first `ready` models run.
class Machine {
 public:
  Machine(std::uint32_t count, std::uint32_t ready, int rows, Bytes capacity)
      : governor_(policy_of(count), now_) {
    tell(PoolSampled{kHostPool, capacity, 0_B});
    for (std::uint32_t i = 0; i < count; ++i)
      tell(ModelProfiled{ModelId(i), ladder_of(i, 768_MiB, rows)});
    for (std::uint32_t i = 0; i < ready; ++i) {
      tell(LoadModel{CommandId(i + 1), ModelId(i)});
      if (profiling_)
        tell(ModelProfiled{ModelId(i), ladder_of(i, 768_MiB, rows)});
      TONNAGE_CHECK(started_.has_value(), "an empty machine starts what it is told to");
      tell(ServerReady{*std::exchange(started_, std::nullopt)});
    }
  }

  const Actions& tell(const Event& event) {
    actions_.clear();
    now_ += Duration{10};
    governor_.step(now_, event, actions_);
    for (const Action& action : actions_) {
      profiling_ = std::holds_alternative<Profile>(action);
      if (const auto* start = std::get_if<StartServer>(&action))
        started_ = start->generation;
      if (const auto* admit = std::get_if<Admit>(&action))
        admitted_to_ = admit->generation;
    }
    return actions_;
  }

  // The same without looking at the actions: what is measured is the core alone.
  void step(const Event& event) {
    actions_.clear();
    now_ += Duration{10};
    governor_.step(now_, event, actions_);
  }

  // A lease on each of the first `count` models.
  void make_busy(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i)
      tell(RequestArrived{RequestId(1'000'000 + i), ModelId(i)});
  }
  // A history of use, so that values differ.
  void use(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      now_ += Duration{1'000'000};
      const RequestId request(2'000'000 + i);
      tell(RequestArrived{request, ModelId(i)});
      tell(RequestEnded{request, admitted_to_, RequestOutcome::answered});
    }
  }

  PlanAnswer plan(ModelId model) const { return governor_.plan({.model = model}, now_); }
  Generation admitted_to() const { return admitted_to_; }

 private:
  Tick now_ = kStart;
  Governor governor_;
  Actions actions_;
  std::optional<Generation> started_;
  bool profiling_ = false;
  Generation admitted_to_;
};

// Processor time of this thread, so that a busy machine changes a figure little.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Arrival and end of a request for a model that is ready.
void ready_arrive_and_end(benchmark::State& state) {
  Machine machine(20, 3, 4, 64_GiB);
  machine.use(3);
  const Generation generation = machine.admitted_to();
  std::uint64_t id = 10'000'000;
  for (auto unused : state) {
    ++id;
    machine.step(RequestArrived{RequestId(id), ModelId(2)});
    machine.step(RequestEnded{RequestId(id), generation, RequestOutcome::answered});
  }
}
BENCHMARK(ready_arrive_and_end);

// The arrival alone, with as many requests in flight as a busy machine has.
void ready_arrive(benchmark::State& state) {
  constexpr int kBatch = 256;
  Machine machine(20, 3, 4, 64_GiB);
  machine.use(3);
  const Generation generation = machine.admitted_to();
  std::uint64_t id = 10'000'000;
  for (auto unused : state) {
    const double start = cpu_seconds();
    for (int i = 1; i <= kBatch; ++i)
      machine.step(RequestArrived{RequestId(id + static_cast<std::uint64_t>(i)), ModelId(2)});
    state.SetIterationTime(cpu_seconds() - start);
    for (int i = 1; i <= kBatch; ++i) {
      ++id;
      machine.step(RequestEnded{RequestId(id), generation, RequestOutcome::answered});
    }
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
// The ends are not timed, so the number of turns is given: a time to reach would never come.
BENCHMARK(ready_arrive)->UseManualTime()->Iterations(2000);

constexpr std::uint32_t kModels = 1000;
constexpr int kPlacements = 24;
constexpr ModelId kAsked{kModels - 1};

void measure_plan(benchmark::State& state, const Machine& machine, PlanVerdict expected) {
  TONNAGE_CHECK(machine.plan(kAsked).verdict == expected, "the machine is as the benchmark says");
  for (auto unused : state)
    benchmark::DoNotOptimize(machine.plan(kAsked));
}

void plan_fits(benchmark::State& state) {
  Machine machine(kModels, kModels - 1, kPlacements, 4096_GiB);
  machine.use(kModels - 1);
  measure_plan(state, machine, PlanVerdict::fits);
}
BENCHMARK(plan_fits)->Unit(benchmark::kMicrosecond);

// A full pool in which every other model is idle: a thousand candidates.
void plan_evicts(benchmark::State& state) {
  Machine machine(kModels, kModels - 1, kPlacements, 4096_GiB);
  machine.use(kModels - 1);
  // Half a model is free now.
  machine.tell(PoolSampled{kHostPool, Bytes((kModels - 1) * 1047 * kMiB + 512 * kMiB), 0_B});
  measure_plan(state, machine, PlanVerdict::evicts);
}
BENCHMARK(plan_evicts)->Unit(benchmark::kMicrosecond);

// The same with a request in every model.
void plan_waits(benchmark::State& state) {
  Machine machine(kModels, kModels - 1, kPlacements, 4096_GiB);
  machine.use(kModels - 1);
  machine.tell(PoolSampled{kHostPool, Bytes((kModels - 1) * 1047 * kMiB + 512 * kMiB), 0_B});
  machine.make_busy(kModels - 1);
  measure_plan(state, machine, PlanVerdict::waits);
}
BENCHMARK(plan_waits)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace tonnage

BENCHMARK_MAIN();
