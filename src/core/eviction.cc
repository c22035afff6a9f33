#include "core/eviction.h"

#include <algorithm>
#include <limits>

namespace tonnage {
namespace {

// A candidate with its value per byte worked out once, so that ordering compares integers.
struct Priced {
  std::uint64_t density;  // value x 2^20 / bytes, saturating
  std::size_t index;      // into the candidates
};

std::uint64_t density_of(const Candidate& candidate) {
  const auto scaled = static_cast<unsigned __int128>(candidate.value) << 20;
  const auto density = scaled / static_cast<std::uint64_t>(candidate.frees.count);
  return static_cast<std::uint64_t>(
      std::min<unsigned __int128>(density, std::numeric_limits<std::uint64_t>::max()));
}

// Takes from the front until `need` is met; returns how many were taken, 0 when all are not enough.
template <typename Range, typename Frees>
std::size_t take_until(const Range& ordered, Bytes need, Bytes& sum, Frees frees) {
  sum = Bytes{0};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    sum += frees(ordered[i]);
    if (sum >= need)
      return i + 1;
  }
  return 0;
}

class LeastRecentlyUsed final : public EvictionPolicy {
 public:
  std::vector<ModelId> choose(std::vector<Candidate>& candidates, Bytes need) const override {
    std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
      return a.last_used != b.last_used ? a.last_used < b.last_used : a.model < b.model;
    });
    Bytes sum;
    std::size_t taken =
        take_until(candidates, need, sum, [](const Candidate& c) { return c.frees; });
    std::vector<Candidate> victims(candidates.begin(),
                                   candidates.begin() + static_cast<std::ptrdiff_t>(taken));
    // Spare the most recently used first.
    for (std::size_t i = victims.size(); i-- > 0;) {
      if (sum - victims[i].frees < need)
        continue;
      sum -= victims[i].frees;
      victims.erase(victims.begin() + static_cast<std::ptrdiff_t>(i));
    }
    std::vector<ModelId> models;
    models.reserve(victims.size());
    for (const Candidate& victim : victims)
      models.push_back(victim.model);
    return models;
  }
};

// The value rule: lowest value per byte until enough, spare what is not needed (largest value
// first), and compare with the cheapest single model that is large enough alone.
class LeastValue final : public EvictionPolicy {
 public:
  std::vector<ModelId> choose(std::vector<Candidate>& candidates, Bytes need) const override {
    std::vector<Priced> order;
    order.reserve(candidates.size());
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      order.push_back({density_of(candidates[i]), i});
    }
    const auto dearer = [&](const Priced& a, const Priced& b) {
      if (a.density != b.density)
        return a.density > b.density;
      const Candidate& x = candidates[a.index];
      const Candidate& y = candidates[b.index];
      return x.last_used != y.last_used ? x.last_used > y.last_used : x.model > y.model;
    };
    // A heap, because a few of a thousand candidates are usually enough.
    std::ranges::make_heap(order, dearer);
    std::vector<const Candidate*> victims;
    Bytes sum{0};
    while (!order.empty() && sum < need) {
      std::ranges::pop_heap(order, dearer);
      victims.push_back(&candidates[order.back().index]);
      sum += victims.back()->frees;
      order.pop_back();
    }
    if (sum < need)
      return {};
    spare_unneeded(victims, sum, need);
    return cheaper_of(victims, cheapest_single(candidates, need));
  }

 private:
  static void spare_unneeded(std::vector<const Candidate*>& victims, Bytes sum, Bytes need) {
    std::vector<const Candidate*> by_value = victims;
    std::ranges::sort(by_value, [](const Candidate* a, const Candidate* b) {
      return a->value != b->value ? a->value > b->value : a->model < b->model;
    });
    for (const Candidate* victim : by_value) {
      if (sum - victim->frees < need)
        continue;
      sum -= victim->frees;
      std::erase(victims, victim);
    }
  }

  static const Candidate* cheapest_single(const std::vector<Candidate>& candidates, Bytes need) {
    const Candidate* best = nullptr;
    for (const Candidate& candidate : candidates) {
      if (candidate.frees < need)
        continue;
      if (best == nullptr || candidate.value < best->value ||
          (candidate.value == best->value && candidate.model < best->model)) {
        best = &candidate;
      }
    }
    return best;
  }

  static std::vector<ModelId> cheaper_of(const std::vector<const Candidate*>& set,
                                         const Candidate* single) {
    unsigned __int128 total = 0;
    for (const Candidate* victim : set)
      total += victim->value;
    // On equal value one restart is better than several.
    if (single != nullptr &&
        (single->value < total || (single->value == total && set.size() > 1))) {
      return {single->model};
    }
    std::vector<ModelId> models;
    models.reserve(set.size());
    for (const Candidate* victim : set)
      models.push_back(victim->model);
    return models;
  }
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_policy(EvictionKind kind) {
  switch (kind) {
    case EvictionKind::lru:
      return std::make_unique<LeastRecentlyUsed>();
    case EvictionKind::value:
      return std::make_unique<LeastValue>();
  }
  return std::make_unique<LeastValue>();
}

std::uint64_t keep_value(std::uint64_t rate, Duration cost) {
  const std::int64_t cost_ms = std::max<std::int64_t>(1, cost.count() / 1'000);
  const auto value = static_cast<unsigned __int128>(rate) * static_cast<std::uint64_t>(cost_ms);
  return static_cast<std::uint64_t>(
      std::min<unsigned __int128>(value, std::numeric_limits<std::uint64_t>::max()));
}

}  // namespace tonnage
