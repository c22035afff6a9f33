#include "core/ledger.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace vramd {

Ledger::Ledger(std::vector<PoolPolicy> pools) {
  VRAMD_CHECK(!pools.empty() && pools.size() <= kPoolsMax, "1 to kPoolsMax pools");
  for (PoolPolicy& policy : pools) {
    Pool pool;
    pool.policy = std::move(policy);
    pools_.push_back(std::move(pool));
  }
}

Ledger::Ledger(std::vector<PoolPolicy> pools, const LedgerState& state) : Ledger(std::move(pools)) {
  VRAMD_CHECK(state.pools.size() == pools_.size(), "a sample for each pool");
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    pools_[i].capacity = state.pools[i].capacity;
    pools_[i].foreign = state.pools[i].foreign;
    pools_[i].sampled_at = state.pools[i].sampled_at;
  }
  for (const auto& [generation, charged] : state.charges)
    charge(generation, charged);
  hold_for_profile(state.profile_hold);
}

LedgerState Ledger::state() const {
  LedgerState state;
  for (const Pool& pool : pools_)
    state.pools.push_back({pool.capacity, pool.foreign, pool.sampled_at});
  for (const auto& [generation, entry] : charges_)
    state.charges.emplace(generation, entry.charge);
  state.profile_hold = profile_hold_;
  return state;
}

void Ledger::set_policies(const std::vector<PoolPolicy>& pools) {
  VRAMD_CHECK(pools.size() == pools_.size(), "a policy for each pool");
  for (std::size_t i = 0; i < pools_.size(); ++i)
    pools_[i].policy = pools[i];
}

const Ledger::Pool& Ledger::at(PoolId pool) const {
  VRAMD_CHECK(pool.value < pools_.size(), "pool exists");
  return pools_[pool.value];
}

Ledger::Pool& Ledger::at(PoolId pool) {
  VRAMD_CHECK(pool.value < pools_.size(), "pool exists");
  return pools_[pool.value];
}

void Ledger::sample(PoolId pool, Bytes capacity, Bytes foreign, Tick at_tick) {
  Pool& p = at(pool);
  p.capacity = std::max(Bytes{0}, capacity);
  p.foreign = std::max(Bytes{0}, foreign);
  p.sampled_at = at_tick;
}

const LedgerEntry* Ledger::charge(Generation generation, const Charge& charge) {
  LedgerEntry entry{charge, nullptr};
  VRAMD_CHECK(!charges_.contains(generation), "a generation is charged once");
  for (std::size_t i = 0; i < pools_.size(); ++i)
    pools_[i].reserved += charge.own[i];
  if (charge.weights_size > Bytes{0}) {
    ChargedFile& file = files_[charge.weights];
    if (file.users == 0) {
      file.size = charge.weights_size;
      weights_ += file.size;
      pools_[kHostPool.value].reserved += file.size;
    }
    ++file.users;
    entry.file = &file;
  }
  return &charges_.emplace(generation, entry).first->second;
}

void Ledger::release(Generation generation) {
  const auto found = charges_.find(generation);
  if (found == charges_.end())
    return;
  const Charge& charge = found->second.charge;
  for (std::size_t i = 0; i < pools_.size(); ++i)
    pools_[i].reserved -= charge.own[i];
  if (charge.weights_size > Bytes{0}) {
    const auto file = files_.find(charge.weights);
    VRAMD_CHECK(file != files_.end() && file->second.users > 0, "a charged file has users");
    if (--file->second.users == 0) {
      weights_ -= file->second.size;
      pools_[kHostPool.value].reserved -= file->second.size;
      files_.erase(file);
    }
  }
  charges_.erase(found);
}

void Ledger::measured(Generation generation, Bytes host_own) {
  const auto found = charges_.find(generation);
  if (found == charges_.end())
    return;
  Bytes& own = found->second.charge.own[kHostPool.value];
  if (host_own <= own)
    return;
  pools_[kHostPool.value].reserved += host_own - own;
  own = host_own;
}

void Ledger::hold_for_profile(Bytes amount) {
  release_profile();
  profile_hold_ = amount;
  pools_[kHostPool.value].reserved += amount;
}

void Ledger::release_profile() {
  pools_[kHostPool.value].reserved -= profile_hold_;
  profile_hold_ = Bytes{0};
}

const LedgerEntry* Ledger::find(Generation generation) const {
  const auto found = charges_.find(generation);
  return found == charges_.end() ? nullptr : &found->second;
}

Bytes Ledger::budget(PoolId pool) const {
  const Pool& p = at(pool);
  return budget_of(p.policy, p.capacity);
}

Bytes Ledger::headroom(PoolId pool) const {
  return empty_now(pool) - at(pool).reserved;
}

Bytes Ledger::empty_now(PoolId pool) const {
  const Pool& p = at(pool);
  return std::min(budget_of(p.policy, p.capacity), usable_of(p.policy, p.capacity) - p.foreign);
}

bool Ledger::over_budget() const {
  return std::ranges::any_of(
      pools_, [](const Pool& p) { return p.reserved > budget_of(p.policy, p.capacity); });
}

Bytes Ledger::added(const Charge& charge, PoolId pool) const {
  Bytes bytes = charge.own[pool.value];
  if (pool == kHostPool && charge.weights_size > Bytes{0} && !files_.contains(charge.weights)) {
    bytes += charge.weights_size;
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
    if (charge.weights_size > Bytes{0})
      ++users[charge.weights];
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
  totals[kHostPool.value] += weights + profile_hold_;
  for (std::size_t i = 0; i < pools_.size(); ++i) {
    if (totals[i] != pools_[i].reserved) {
      broken.push_back("pool " + pools_[i].policy.name + " reserves " +
                       to_text(pools_[i].reserved) + ", its parts sum to " + to_text(totals[i]));
    }
  }
  return broken;
}

}  // namespace vramd
