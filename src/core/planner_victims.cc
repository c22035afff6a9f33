// Who gives way: the choice among models that may be stopped.
#include <algorithm>
#include <map>

#include "core/planner.h"

namespace tonnage {

Candidate Planner::candidate(const ModelRecord& m, PoolId pool, const Charge& kept) const {
  const Bytes frees = freed_of(m, pool, kept);
  const Duration prior =
      1s +
      Duration{frees.count / std::max<std::int64_t>(1, policy_.load.bandwidth_prior_mib_per_s) *
               1'000'000 / kMiB};
  return {m.id, frees, m.last_used, keep_value(m.usage.rate(now_), m.load_time.value_or(prior))};
}

// Whether a server maps the file that neither stops already nor is among `leaving`.
bool Planner::stays_mapped(FileId file, std::span<const ModelId> leaving) const {
  return std::ranges::any_of(models_, [&](const ModelRecord& m) {
    return m.generation && m.state != ResidencyState::stopping &&
           names(m.charged->charge.weights, file) &&
           std::ranges::find(leaving, m.id) == leaving.end();
  });
}

// Beside what stops already: a file that `leaving` shares with that alone is given back as well.
PoolAmounts Planner::freed_by(std::span<const ModelId> leaving, const Charge& kept) const {
  PoolAmounts amounts{};
  std::map<FileId, Bytes> files;
  for (const ModelId id : leaving) {
    const Charge& charge = model(id).charged->charge;
    for (std::size_t i = 0; i < pools(); ++i)
      amounts[i] += charge.own[i];
    for (const WeightFile& weights : charge.weights) {
      if (weights.size > Bytes{0} && !names(kept.weights, weights.file))
        files.emplace(weights.file, weights.size);
    }
  }
  for (const auto& [file, size] : files) {
    if (!stays_mapped(file, leaving))
      amounts[kHostPool.value] += size;
  }
  return amounts;
}

Bytes Planner::freed_of(const ModelRecord& m, PoolId pool, const Charge& kept) const {
  if (!m.charged->shares_a_file())
    return m.charged->freed(pool, kept.weights);
  return freed_by({&m.id, 1}, kept)[pool.value];
}

// Gives back victims that are not needed, most valuable first, counting shared files exactly.
std::vector<ModelId> Planner::prune_exactly(std::vector<ModelId> victims,
                                            const PoolAmounts& lacking, const Charge& kept) const {
  const auto enough = [&](const std::vector<ModelId>& set) {
    const PoolAmounts freed = freed_by(set, kept);
    for (std::size_t i = 0; i < pools(); ++i) {
      if (freed[i] < lacking[i])
        return false;
    }
    return true;
  };
  if (!enough(victims))
    return {};
  std::vector<ModelId> by_value = victims;
  std::ranges::sort(by_value, [&](ModelId a, ModelId b) {
    const auto value_a = candidate(model(a), kHostPool, kept).value;
    const auto value_b = candidate(model(b), kHostPool, kept).value;
    return value_a != value_b ? value_a > value_b : a < b;
  });
  for (const ModelId id : by_value) {
    std::vector<ModelId> without = victims;
    std::erase(without, id);
    if (enough(without))
      victims = std::move(without);
  }
  return victims;
}

std::vector<ModelId> Planner::choose_victims(const std::vector<ModelId>& usable,
                                             PoolAmounts lacking, const Charge& kept) const {
  std::vector<ModelId> chosen;
  PoolAmounts still = lacking;
  for (std::uint32_t i = 0; i < pools(); ++i) {
    if (still[i] <= Bytes{0})
      continue;
    std::vector<Candidate> candidates;
    candidates.reserve(usable.size());
    for (const ModelId id : usable) {
      if (std::ranges::find(chosen, id) != chosen.end())
        continue;
      Candidate c = candidate(model(id), PoolId(i), kept);
      if (c.frees > Bytes{0})
        candidates.push_back(c);
    }
    const std::vector<ModelId> victims = eviction_.choose(candidates, still[i]);
    // Models that share a file free it only together: ask exactly before giving up.
    if (victims.empty())
      return prune_exactly(usable, lacking, kept);
    for (const ModelId id : victims) {
      chosen.push_back(id);
      for (std::uint32_t k = 0; k < pools(); ++k) {
        still[k] -= freed_of(model(id), PoolId(k), kept);
      }
    }
  }
  // Counted one by one, a file that all its users leave was counted for none of them.
  const bool shared =
      std::ranges::any_of(chosen, [&](ModelId id) { return model(id).charged->shares_a_file(); });
  return shared ? prune_exactly(std::move(chosen), lacking, kept) : chosen;
}

// What servers that are stopping, and those that have just gone, will give back. A file of `kept`
// is mapped again by what is loaded then.
PoolAmounts Planner::returning(const Charge& kept) const {
  std::vector<ModelId> stopping;
  for (const ModelRecord& m : models_) {
    if (m.state == ResidencyState::stopping)
      stopping.push_back(m.id);
  }
  PoolAmounts amounts = freed_by(stopping, kept);
  for (std::uint32_t i = 0; i < pools(); ++i)
    amounts[i] += ledger_.releasing(PoolId(i));
  return amounts;
}

std::vector<ModelId> Planner::idle_in(PoolId pool, Duration idle_for) const {
  const Duration least = std::max(idle_for, policy_.residency.grace);
  std::vector<Candidate> idle;
  for (const ModelRecord& m : models_) {
    if (!is_idle_victim(m, std::nullopt) || now_ - m.last_used < least)
      continue;
    const Candidate c = candidate(m, pool, Charge{});
    if (c.frees > Bytes{0})
      idle.push_back(c);
  }
  std::ranges::sort(idle, [](const Candidate& a, const Candidate& b) {
    return a.value != b.value ? a.value < b.value : a.model < b.model;
  });
  std::vector<ModelId> models;
  models.reserve(idle.size());
  for (const Candidate& c : idle)
    models.push_back(c.model);
  return models;
}

std::vector<ModelId> Planner::relief(PoolId pool, Bytes lacking) const {
  const std::vector<ModelId> usable = idle_in(pool, Duration{0});
  PoolAmounts wanted{};
  wanted[pool.value] = lacking - returning(Charge{})[pool.value];
  if (wanted[pool.value] <= Bytes{0})
    return {};
  std::vector<ModelId> chosen = choose_victims(usable, wanted, Charge{});
  return chosen.empty() ? usable : chosen;
}

bool Planner::is_kept_alone(const ModelRecord& m) const {
  if (!m.generation || m.row >= m.rows.size())
    return false;
  const PoolAmounts empty = empty_amounts(false);
  return !fits_within(m.charged->charge, empty) &&
         fits_within(bare_charge(m.rows[m.row], m.devices), empty);
}

std::vector<ModelId> Planner::victims_over_budget() const {
  if (!ledger_.over_budget())
    return {};
  const PoolAmounts coming = returning(Charge{});
  PoolAmounts lacking{};
  for (std::uint32_t i = 0; i < pools(); ++i) {
    if (ledger_.seen(PoolId(i)).lost)
      continue;
    lacking[i] = ledger_.reserved(PoolId(i)) - ledger_.releasing(PoolId(i)) -
                 ledger_.empty(PoolId(i)) - coming[i];
  }
  if (std::ranges::all_of(lacking, [](Bytes bytes) { return bytes <= Bytes{0}; }))
    return {};
  std::vector<ModelId> usable;
  for (const ModelRecord& m : models_) {
    if (is_idle_victim(m, std::nullopt) && !is_kept_alone(m))
      usable.push_back(m.id);
  }
  std::vector<ModelId> chosen = choose_victims(usable, lacking, Charge{});
  return chosen.empty() ? usable : chosen;
}

}  // namespace tonnage
