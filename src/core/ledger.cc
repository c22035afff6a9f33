#include "core/ledger.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tonnage {

Ledger::Ledger(std::vector<PoolPolicy> pools) {
  TONNAGE_CHECK(!pools.empty() && pools.size() <= kPoolsMax, "1 to kPoolsMax pools");
  for (PoolPolicy& policy : pools) {
    Pool pool;
    pool.policy = std::move(policy);
    pools_.push_back(std::move(pool));
  }
}

Ledger::Ledger(std::vector<PoolPolicy> pools, const LedgerState& state) : Ledger(std::move(pools)) {
  TONNAGE_CHECK(state.pools.size() == pools_.size(), "a sample for each pool");
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    pools_[i].seen = state.pools[i];
    for (const auto& [generation, held] : state.pools[i].release.held)
      pools_[i].releasing += held;
    pools_[i].reserved += pools_[i].releasing;
  }
  for (const auto& [generation, charged] : state.charges)
    charge(generation, charged);
}

LedgerState Ledger::state() const {
  LedgerState state;
  for (const Pool& pool : pools_)
    state.pools.push_back(pool.seen);
  for (const auto& [generation, entry] : charges_)
    state.charges.emplace(generation, entry.charge);
  return state;
}

void Ledger::set_policies(const std::vector<PoolPolicy>& pools) {
  TONNAGE_CHECK(pools.size() == pools_.size(), "a policy for each pool");
  for (std::size_t i = 0; i < pools_.size(); ++i)
    pools_[i].policy = pools[i];
}

const Ledger::Pool& Ledger::at(PoolId pool) const {
  TONNAGE_CHECK(pool.value < pools_.size(), "pool exists");
  return pools_[pool.value];
}

Ledger::Pool& Ledger::at(PoolId pool) {
  TONNAGE_CHECK(pool.value < pools_.size(), "pool exists");
  return pools_[pool.value];
}

void Ledger::sample(PoolId pool, const PoolSample& sample, std::int64_t release_permille) {
  Pool& p = at(pool);
  Release release = std::move(p.seen.release);
  const Bytes held_back = p.seen.held_back;
  p.seen = sample;
  p.seen.held_back = held_back;
  p.seen.capacity = std::max(Bytes{0}, sample.capacity);
  p.seen.foreign = std::max(Bytes{0}, sample.foreign);
  p.seen.lost = false;
  p.seen.release = std::move(release);
  if (p.releasing == Bytes{0})
    return;
  // The parts of one release are told apart by nobody, so they end together.
  if (not_returned(p) <= permille_of(p.releasing, 1000 - release_permille))
    end_release(p);
}

void Ledger::lose(PoolId pool) {
  Pool& p = at(pool);
  p.seen.lost = true;
  end_release(p);
}

// Of what is being released, what a sample still shows in use.
Bytes Ledger::not_returned(const Pool& pool) {
  const Bytes more = unowned(pool.seen) - pool.seen.release.unowned_before;
  return std::clamp(more, Bytes{0}, pool.releasing);
}

void Ledger::end_release(Pool& pool) {
  pool.reserved -= pool.releasing;
  pool.releasing = Bytes{0};
  pool.seen.release = Release{};
}

const LedgerEntry* Ledger::charge(Generation generation, const Charge& charge) {
  LedgerEntry entry{charge, {}};
  TONNAGE_CHECK(!charges_.contains(generation), "a generation is charged once");
  for (std::size_t i = 0; i < pools_.size(); ++i)
    pools_[i].reserved += charge.own[i];
  for (std::size_t i = 0; i < kWeightFilesMax; ++i) {
    const WeightFile& weights = charge.weights[i];
    if (weights.size == Bytes{0})
      continue;
    ChargedFile& file = files_[weights.file];
    if (file.users == 0) {
      file.size = weights.size;
      weights_ += file.size;
      pools_[kHostPool.value].reserved += file.size;
    }
    ++file.users;
    entry.files[i] = &file;
  }
  return &charges_.emplace(generation, entry).first->second;
}

void Ledger::release(Generation generation) {
  const auto found = charges_.find(generation);
  if (found == charges_.end())
    return;
  const Charge& charge = found->second.charge;
  pools_[kHostPool.value].reserved -= charge.own[kHostPool.value];
  for (std::size_t i = 1; i < pools_.size(); ++i) {
    if (charge.own[i] == Bytes{0})
      continue;
    Pool& pool = pools_[i];
    if (pool.seen.lost) {
      pool.reserved -= charge.own[i];
      continue;
    }
    if (pool.releasing == Bytes{0})
      pool.seen.release.unowned_before = unowned(pool.seen);
    pool.seen.release.held.emplace(generation, charge.own[i]);
    pool.releasing += charge.own[i];
  }
  for (const WeightFile& weights : charge.weights) {
    if (weights.size == Bytes{0})
      continue;
    const auto file = files_.find(weights.file);
    TONNAGE_CHECK(file != files_.end() && file->second.users > 0, "a charged file has users");
    if (--file->second.users == 0) {
      weights_ -= file->second.size;
      pools_[kHostPool.value].reserved -= file->second.size;
      files_.erase(file);
    }
  }
  charges_.erase(found);
  for (const Pool& pool : pools_)
    TONNAGE_CHECK(pool.reserved >= Bytes{0} && pool.releasing >= Bytes{0},
                  "bytes are not negative");
}

std::optional<Ledger::Missing> Ledger::missing(Generation generation, PoolId pool) const {
  const Pool& p = at(pool);
  const auto found = p.seen.release.held.find(generation);
  if (found == p.seen.release.held.end())
    return std::nullopt;
  return Missing{found->second, std::max(Bytes{0}, found->second - not_returned(p))};
}

void Ledger::write_off(Generation generation) {
  for (Pool& pool : pools_) {
    const auto found = pool.seen.release.held.find(generation);
    if (found == pool.seen.release.held.end())
      continue;
    const Bytes lost = std::min(found->second, not_returned(pool));
    pool.reserved -= found->second;
    pool.releasing -= found->second;
    pool.seen.release.unowned_before += lost;
    pool.seen.release.held.erase(found);
    if (pool.seen.release.held.empty())
      pool.seen.release = Release{};
  }
}

bool Ledger::measured(Generation generation, const PoolAmounts& measured) {
  const auto found = charges_.find(generation);
  if (found == charges_.end())
    return false;
  bool raised = false;
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    Bytes& own = found->second.charge.own[i];
    if (measured[i] <= own)
      continue;
    pools_[i].reserved += measured[i] - own;
    own = measured[i];
    raised = true;
  }
  return raised;
}

void Ledger::lower(Generation generation, const PoolAmounts& amounts) {
  const auto found = charges_.find(generation);
  if (found == charges_.end())
    return;
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    Bytes& own = found->second.charge.own[i];
    if (amounts[i] >= own)
      continue;
    TONNAGE_CHECK(amounts[i] >= Bytes{0}, "a charge is not negative");
    pools_[i].reserved -= own - amounts[i];
    own = amounts[i];
  }
}

const LedgerEntry* Ledger::find(Generation generation) const {
  const auto found = charges_.find(generation);
  return found == charges_.end() ? nullptr : &found->second;
}

Bytes Ledger::budget(PoolId pool) const {
  const Pool& p = at(pool);
  return p.seen.lost ? Bytes{0} : budget_of(p.policy, p.seen.capacity);
}

Bytes Ledger::empty(PoolId pool) const {
  const Pool& p = at(pool);
  return p.seen.lost ? Bytes{0} : budget(pool) + p.policy.deficit_tolerance;
}

Bytes Ledger::headroom(PoolId pool) const {
  const Pool& p = at(pool);
  if (p.seen.lost)
    return Bytes{0};
  return empty_now(pool) - p.reserved - p.seen.held_back;
}

Bytes Ledger::empty_now(PoolId pool) const {
  const Pool& p = at(pool);
  if (p.seen.lost)
    return Bytes{0};
  // What is being released is reserved still.
  const Bytes others = p.seen.foreign - not_returned(p) + p.seen.expected;
  return std::min(budget_of(p.policy, p.seen.capacity),
                  usable_of(p.policy, p.seen.capacity) - others) +
         p.policy.deficit_tolerance;
}

bool Ledger::over_budget() const {
  return std::ranges::any_of(pools_, [](const Pool& p) {
    if (p.seen.lost)
      return false;
    return p.reserved - p.releasing >
           budget_of(p.policy, p.seen.capacity) + p.policy.deficit_tolerance;
  });
}

Bytes Ledger::overrun(PoolId pool) const {
  const Pool& p = at(pool);
  if (p.seen.lost || !p.seen.sampled_at)
    return Bytes{0};
  // What is being released shows up as foreign use until it is back.
  return p.seen.foreign + p.reserved - p.releasing - usable_of(p.policy, p.seen.capacity) -
         p.policy.deficit_tolerance;
}

Bytes Ledger::kept_free(PoolId pool) const {
  const Pool& p = at(pool);
  return p.seen.capacity - usable_of(p.policy, p.seen.capacity);
}

Bytes Ledger::added(const Charge& charge, PoolId pool) const {
  Bytes bytes = charge.own[pool.value];
  for (const WeightFile& weights : charge.weights) {
    if (pool == kHostPool && weights.size > Bytes{0} && !files_.contains(weights.file))
      bytes += weights.size;
  }
  return bytes;
}

std::vector<std::string> Ledger::verify() const {
  std::vector<std::string> broken;
  std::map<FileId, std::int32_t> users;
  PoolAmounts totals{};
  for (const auto& [generation, entry] : charges_) {
    const Charge& charge = entry.charge;
    for (std::size_t i = 0; i < pools_.size(); ++i)
      totals[i] += charge.own[i];
    for (const WeightFile& weights : charge.weights) {
      if (weights.size > Bytes{0})
        ++users[weights.file];
    }
  }
  Bytes weights{0};
  for (const auto& [id, file] : files_) {
    weights += file.size;
    const auto counted = users.find(id);
    if (counted == users.end() || counted->second != file.users) {
      broken.push_back("weight file " + std::to_string(id.value) + " has a wrong count of users");
    }
  }
  if (users.size() != files_.size())
    broken.push_back("a charged weight file is not recorded");
  if (weights != weights_)
    broken.push_back("the sum of weight files is wrong");
  totals[kHostPool.value] += weights;
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    Bytes releasing{0};
    for (const auto& [generation, held] : pools_[i].seen.release.held)
      releasing += held;
    if (releasing != pools_[i].releasing)
      broken.push_back("pool " + pools_[i].policy.name + " has a wrong sum of releases");
    totals[i] += releasing;
  }
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    if (totals[i] != pools_[i].reserved) {
      broken.push_back("pool " + pools_[i].policy.name + " reserves " +
                       to_text(pools_[i].reserved) + ", its parts sum to " + to_text(totals[i]));
    }
  }
  return broken;
}

}  // namespace tonnage
