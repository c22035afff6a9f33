// ledger: what the core says it reserved is the sum of what each server is charged for, weights
// once per file and a dry run's hold; each charge lies between prediction and margin, or is what
// was measured; and what it says is free is what that leaves.
#include <algorithm>
#include <map>

#include "sim/budget.h"
#include "sim/checker.h"

namespace tonnage::sim {
namespace {

constexpr std::string_view kLedgerRule = "ledger";

class LedgerChecker final : public Checker {
 public:
  void after_step(const Step& step, const Snapshot& snapshot) override {
    if (snapshot.pools.empty())
      return;
    const Books& books = step.books;
    const PoolSnapshot& shown = snapshot.pools[kHostPool.value];
    Bytes own;
    std::map<FileId, Bytes> files;
    for (const auto& [generation, server] : books.servers()) {
      if (server.model.value >= snapshot.models.size())
        continue;
      const Bytes charged = snapshot.models[server.model.value].reserved;
      check_charge(step, server, charged);
      own += charged;
      for (const WeightFile& weights : server.weights) {
        if (weights.size > Bytes(0))
          files[weights.file] = weights.size;
      }
    }
    Bytes weights;
    for (const auto& [file, size] : files)
      weights += size;
    equal(step, "reserves for weights", shown.reserved_weights, weights);
    check_hold(step, shown.reserved - own - weights, kHostPool);
    const PoolPolicy& pool = books.policy().pools[kHostPool.value];
    const Bytes budget = budget_for(pool, books.capacity());
    equal(step, "gives as its budget", shown.budget, budget);
    if (books.policy().pressure.levels.empty()) {
      const Bytes room = room_of(pool, books.capacity()) - books.foreign();
      equal(step, "says is free", shown.headroom,
            std::min(budget, room) + pool.deficit_tolerance - shown.reserved);
    }
    for (std::uint32_t i = 1; i < snapshot.pools.size(); ++i)
      check_device(step, snapshot, PoolId(i));
  }

 private:
  // A device's reservations are those of its servers and dry run, and what is being released.
  static void check_device(const Step& step, const Snapshot& snapshot, PoolId id) {
    const Books& books = step.books;
    const PoolSnapshot& shown = snapshot.pools[id.value];
    const std::size_t i = id.value - 1;
    Bytes own;
    for (const auto& [generation, server] : books.servers()) {
      if (server.model.value >= snapshot.models.size() || i >= server.device_own.size())
        continue;
      const ModelSnapshot& model = snapshot.models[server.model.value];
      const Bytes charged = i < model.device_reserved.size() ? model.device_reserved[i] : Bytes(0);
      const Bytes sampled = i < server.device_sampled.size() ? server.device_sampled[i] : Bytes(0);
      if (charged < server.device_own[i] || charged > std::max(server.device_most[i], sampled)) {
        step.findings.add(kLedgerRule, name_of(books.policy(), server.model) + " is charged " +
                                           to_text(charged) + " of " + shown.name + ", predicted " +
                                           to_text(server.device_own[i]));
      }
      own += charged;
    }
    check_hold(step, shown.reserved - own - shown.releasing, id);
    const Books::Pool& pool = books.pool(id);
    const Bytes budget = budget_for(books.policy().pools[id.value], pool.capacity);
    equal(step, "gives as the budget of " + shown.name, shown.budget,
          pool.lost ? Bytes(0) : budget);
  }

  static void equal(const Step& step, std::string_view what, Bytes shown, Bytes expected) {
    if (shown == expected)
      return;
    step.findings.add(kLedgerRule, "the core " + std::string(what) + " " + to_text(shown) +
                                       ", the parts make " + to_text(expected));
  }

  static void check_charge(const Step& step, const Books::Server& server, Bytes charged) {
    if (!server.known_placement)
      return;
    const std::string name = name_of(step.books.policy(), server.model);
    if (charged < std::max(server.own, server.sampled)) {
      step.findings.add(kLedgerRule, name + " is charged " + to_text(charged) +
                                         ", it was predicted " + to_text(server.own) +
                                         " and measured " + to_text(server.sampled));
    }
    if (charged > std::max(server.own_most, server.sampled)) {
      step.findings.add(kLedgerRule, name + " is charged " + to_text(charged) + ", more than " +
                                         to_text(server.own_most) + " with its margin");
    }
  }

  // What is reserved for nobody's server is a dry run's.
  static void check_hold(const Step& step, Bytes hold, PoolId pool) {
    const Bytes most = step.books.profile_hold(pool);
    if (hold >= Bytes(0) && hold <= most)
      return;
    step.findings.add(kLedgerRule, "the core reserves " + to_text(hold) +
                                       " beside its servers, where " + to_text(most) +
                                       " is for dry runs");
  }
};

}  // namespace

std::unique_ptr<Checker> make_ledger_checker() {
  return std::make_unique<LedgerChecker>();
}

}  // namespace tonnage::sim
