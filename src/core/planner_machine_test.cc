// A machine for tests of the planner, with models placed by hand. It defines no tests; the files of
// tests of the planner include it.
#ifndef TONNAGE_CORE_PLANNER_MACHINE
#define TONNAGE_CORE_PLANNER_MACHINE

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/ledger_fixture.h"
#include "core/planner.h"

namespace tonnage {

inline constexpr Tick kNow{Duration{10h}};
inline constexpr ModelId kAsked{0};

// A machine whose models were placed by hand; model 0 is the one that asks.
struct Machine {
  Policy policy;
  std::unique_ptr<Ledger> ledger;
  std::unique_ptr<EvictionPolicy> eviction;
  std::vector<ModelRecord> models;

  Machine(std::size_t count, Bytes capacity, EvictionKind kind = EvictionKind::value) {
    policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
    policy.residency.eviction = kind;
    policy.models.resize(count);
    models.resize(count);
    for (std::uint32_t i = 0; i < count; ++i)
      models[i].id = ModelId(i);
    ledger = std::make_unique<Ledger>(policy.pools);
    ledger->sample(kHostPool, seen(capacity, 0_B, kNow));
    eviction = make_eviction_policy(kind);
  }

  Planner planner() const { return {policy, *ledger, models, *eviction, kNow}; }

  void ladder(ModelId id, std::vector<Bytes> needs) {
    for (const Bytes need : needs) {
      PlacementRow row;
      row.placement = {.gpu_layers = 0, .context = 1024, .slots = 1, .kv = KvType::f16};
      row.host_anon = need;
      row.source = FootprintSource::declared;
      models[id.value].rows.push_back(row);
    }
  }

  void run(std::uint32_t id, Bytes own, FileId file = {}, Bytes weights = {},
           WeightFile draft = {}) {
    ModelRecord& m = models[id];
    m.state = ResidencyState::ready;
    m.generation = Generation(100 + id);
    m.last_used = kNow - std::chrono::seconds(60 * (id + 1));
    Charge charge;
    charge.own[0] = own;
    charge.weights = {WeightFile{file, weights}, draft};
    m.charged = ledger->charge(*m.generation, charge);
  }
  void lease(std::uint32_t id) { models[id].leased.insert(RequestId(1'000 + id)); }

  LoadPlan plan() const { return planner().plan_load({.model = kAsked}); }
};

// What each running model would give back if all of `mask` went together, files counted exactly.
inline Bytes freed_together(const Machine& m, unsigned mask) {
  Bytes freed;
  for (std::uint32_t file = 1; file <= 3; ++file) {
    bool mapped = false;
    bool kept = false;
    Bytes size;
    for (std::uint32_t i = 1; i < m.models.size(); ++i) {
      for (const WeightFile& weights : m.models[i].charged->charge.weights) {
        if (weights.file != FileId(file) || weights.size == 0_B)
          continue;
        mapped = true;
        size = weights.size;
        kept = kept || ((mask >> i) & 1U) == 0;
      }
    }
    if (mapped && !kept)
      freed += size;
  }
  for (std::uint32_t i = 1; i < m.models.size(); ++i) {
    if ((mask >> i) & 1U)
      freed += m.models[i].charged->charge.own[0];
  }
  return freed;
}

}  // namespace tonnage

#endif
