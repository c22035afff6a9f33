// idle: where one model alone waits to be loaded, nothing else is going on, and its best placement
// fits into what is free, it is being loaded: no event may be forgotten that makes this so.
#include <algorithm>
#include <optional>

#include "sim/budget.h"
#include "sim/checker.h"

namespace tonnage::sim {
namespace {

class IdleChecker final : public Checker {
 public:
  void after_step(const Step& step, const Snapshot& snapshot) override {
    const Books& books = step.books;
    if (books.waiting() == 0 || books.waiting_residents() > 0 || !books.pool_seen())
      return;
    // Levels on plain use hold room back that only the core knows.
    const PressurePolicy& pressure = books.policy().pressure;
    if (books.admission_may_stop() || (!pressure.levels.empty() && pressure.preset != "demand"))
      return;
    // Somebody waits for device memory that is on its way back, and others wait for that load.
    for (const PoolSnapshot& pool : snapshot.pools) {
      if (pool.releasing > Bytes(0))
        return;
    }
    if (books.shutdown_at() || books.profiles_running() > 0 || is_busy(step))
      return;
    const auto model = who_waits_alone(books, snapshot);
    if (!model || !fits_now(step, *model) || dry_run_waits(step, snapshot, *model))
      return;
    step.findings.add("idle", name_of(books.policy(), *model) + " waits, " +
                                  to_text(books.host_headroom()) + " is free and nothing goes on");
  }

 private:
  // A server that starts or stops may hold up everything else.
  static bool is_busy(const Step& step) {
    const auto& servers = step.books.servers();
    return std::any_of(servers.begin(), servers.end(), [](const auto& entry) {
      return !entry.second.ready_at || entry.second.stop_at;
    });
  }

  // The one model that rests nowhere and has requests; nobody when there are several.
  static std::optional<ModelId> who_waits_alone(const Books& books, const Snapshot& snapshot) {
    std::optional<ModelId> alone;
    for (const ModelSnapshot& shown : snapshot.models) {
      const Books::Model& model = books.model(shown.model);
      if (shown.state != ResidencyState::absent)
        continue;
      if (model.waiting == 0 && model.loads_pending == 0)
        continue;
      if (alone || model.waiting == 0)
        return std::nullopt;
      alone = shown.model;
    }
    return alone;
  }

  // Its dry run may need room on a device that servers hold.
  static bool dry_run_waits(const Step& step, const Snapshot& snapshot, ModelId id) {
    const Books& books = step.books;
    if (books.policy().models[id.value].host_only)
      return false;
    for (std::size_t i = 1; i < snapshot.pools.size(); ++i) {
      const bool held =
          std::any_of(books.servers().begin(), books.servers().end(), [&](const auto& entry) {
            const std::vector<Bytes>& own = entry.second.device_own;
            return i - 1 < own.size() && own[i - 1] > Bytes(0) &&
                   !books.model(entry.second.model).pinned;
          });
      if (held && snapshot.pools[i].headroom < books.policy().load.profile_device_reservation)
        return true;
    }
    return false;
  }

  // Counted carefully: whatever shares a file is taken to need it once more.
  static bool fits_now(const Step& step, ModelId id) {
    const Books& books = step.books;
    const Policy& policy = books.policy();
    const Books::Model& model = books.model(id);
    if (model.rows.empty())
      return false;
    // What ran out of memory waits for more room than it was predicted to need.
    if (model.recovered)
      return false;
    const PlacementRow& best = model.rows.front();
    if (!best.device_bytes.empty())
      return false;  // whose devices they would be is the core's choice
    const bool context = std::all_of(model.queue.begin(), model.queue.end(), [&](RequestId r) {
      return books.request(r)->context_needed <= best.placement.context &&
             books.request(r)->context_wished <= best.placement.context;
    });
    if (!context)
      return false;
    if (policy.residency.single_model && !books.servers().empty())
      return false;
    if (policy.residency.heavy_slot && policy.models[id.value].heavy)
      return false;
    const Bytes own = std::max(with_margin(best, policy.margin), model.sampled_most);
    const Bytes need = own + size_of(best.weights);
    return std::max(need, policy.load.profile_reservation) <= books.host_headroom();
  }
};

}  // namespace

std::unique_ptr<Checker> make_idle_checker() {
  return std::make_unique<IdleChecker>();
}

}  // namespace tonnage::sim
