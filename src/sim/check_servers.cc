// start, stop: which servers may be started and stopped, and when.
#include <algorithm>

#include "sim/checker.h"

namespace tonnage::sim {
namespace {

// A load that the others wait for.
bool is_loading(const Books::Server& server) {
  return !server.ready_at && !server.stop_at && !server.stalled;
}

// Where a load has to be alone among loads and dry runs: on the devices that it uses, or in the
// host where it uses none. Index is PoolId.
using Turn = std::vector<bool>;

Turn turn_of_load(const Policy& policy, const std::vector<PoolId>& devices) {
  Turn turn(policy.pools.size());
  for (const PoolId device : devices)
    turn[device.value] = true;
  turn[0] = turn[0] || devices.empty();
  return turn;
}

Turn turn_of_dry_run(const Policy& policy, ModelId model) {
  const bool devices = !policy.models[model.value].host_only;
  Turn turn(policy.pools.size(), devices);
  turn[0] = devices && policy.pools.size() == 1 && policy.unified_devices > 0;
  return turn;
}

bool meet(const Turn& a, const Turn& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] && b[i])
      return true;
  }
  return false;
}

// Of another model, that has not worked for so long that nobody waits for it.
std::optional<ModelId> dry_run_in_turn(const Step& step, const Turn& turn, ModelId beside) {
  const Policy& policy = step.books.policy();
  for (std::uint32_t i = 0; i < policy.models.size(); ++i) {
    const Books::Model& model = step.books.model(ModelId(i));
    if (!model.profiling || ModelId(i) == beside ||
        step.now - model.profiling_since >= policy.load.profile_stall_after)
      continue;
    if (meet(turn, turn_of_dry_run(policy, ModelId(i))))
      return ModelId(i);
  }
  return std::nullopt;
}

// One live process per model, generations that only grow, one load at a time on a device and in the
// host, the heavy slot and the single-model option: a new server starts only after the old one's
// exit was seen.
class StartChecker final : public Checker {
 public:
  void on_action(const Step& step, const Action& action) override {
    if (const auto* profile = std::get_if<Profile>(&action))
      check_profile(step, *profile);
    const auto* start = std::get_if<StartServer>(&action);
    if (start == nullptr)
      return;
    const Books& books = step.books;
    if (start->model.value >= books.models().size()) {
      step.findings.add(kRule, "unknown model " + std::to_string(start->model.value));
      return;
    }
    const std::string name = name_of(books.policy(), start->model);
    const Books::Model& model = books.model(start->model);
    const bool announced =
        std::any_of(model.rows.begin(), model.rows.end(),
                    [&](const PlacementRow& row) { return row.placement == start->placement; });
    if (!announced)
      step.findings.add(kRule, name + " with a placement that no profile named");
    if (model.server)
      step.findings.add(kRule, name + " while its last server still lives");
    const auto dry_run =
        dry_run_in_turn(step, turn_of_load(books.policy(), start->devices), start->model);
    if (dry_run) {
      step.findings.add(
          kRule, name + " while the dry run of " + name_of(books.policy(), *dry_run) + " works");
    }
    if (books.shutdown_at())
      step.findings.add(kRule, name + " after shutdown began");
    if (books.policy().models[start->model.value].removed)
      step.findings.add(kRule, name + ", which is no longer configured");
    if (start->generation <= books.last_generation()) {
      step.findings.add(kRule, name + " as generation " + std::to_string(start->generation.value) +
                                   " after " + std::to_string(books.last_generation().value));
    }
    check_others(step, *start, name);
  }

 private:
  static constexpr std::string_view kRule = "start";

  static void check_profile(const Step& step, const Profile& profile) {
    const Books& books = step.books;
    if (profile.model.value >= books.models().size()) {
      step.findings.add(kRule, "a dry run of an unknown model");
      return;
    }
    const Books::Model& model = books.model(profile.model);
    const std::string name = name_of(books.policy(), profile.model);
    const Policy& policy = books.policy();
    if (dry_run_in_turn(step, turn_of_dry_run(policy, profile.model), profile.model))
      step.findings.add(kRule, "a second dry run, of " + name);
    const auto profiles =
        std::count_if(books.models().begin(), books.models().end(),
                      [](const Books::Model& m) { return m.profiling || m.between_dry_runs; });
    if (!profile.next && profiles >= policy.load.profiles_max)
      step.findings.add(kRule, "a dry run of " + name + " beside as many as may be");
    if (profile.next != model.between_dry_runs)
      step.findings.add(kRule, "a dry run of " + name + " that is not the one that is next");
    if (model.server)
      step.findings.add(kRule, "a dry run of " + name + " beside its server");
    if (books.shutdown_at())
      step.findings.add(kRule, "a dry run after shutdown began");
    if (books.policy().models[profile.model.value].removed)
      step.findings.add(kRule, "a dry run of " + name + ", which is no longer configured");
  }

  static void check_others(const Step& step, const StartServer& start, const std::string& name) {
    const Policy& policy = step.books.policy();
    const bool heavy = policy.models[start.model.value].heavy;
    const Turn turn = turn_of_load(policy, start.devices);
    for (const auto& [generation, server] : step.books.servers()) {
      const std::string other = name_of(policy, server.model);
      if (is_loading(server) && meet(turn, turn_of_load(policy, server.devices))) {
        step.findings.add(kRule, name + " while the load of " + other + " is in progress");
      }
      if (policy.residency.single_model) {
        step.findings.add(kRule, name + " beside " + other + " under single_model");
      }
      if (policy.residency.heavy_slot && heavy && policy.models[server.model.value].heavy) {
        step.findings.add(kRule, name + " beside " + other + ", both heavy");
      }
    }
  }
};

// No server that holds a lease or whose model is pinned is stopped, but where the rules allow it:
// its load took too long, an operator asked (after it drained), the daemon ends, or it hangs or ran
// out of memory, and then it is stopped at once. A victim has no queue, unless it was told to
// yield.
class StopChecker final : public Checker {
 public:
  void on_event(const Step&, const Event&) override { moved_up_.reset(); }

  void on_action(const Step& step, const Action& action) override {
    if (const auto* decided = std::get_if<Decided>(&action)) {
      if (decided->decision.kind == DecisionKind::upgrade)
        moved_up_ = decided->decision.model;
      check_victim(step, decided->decision);
      check_yield(step, decided->decision);
      check_given_up(step, decided->decision);
    }
    const auto* stop = std::get_if<StopServer>(&action);
    if (stop == nullptr)
      return;
    const Books& books = step.books;
    const Books::Server* server = books.server(stop->generation);
    if (server == nullptr || server->model != stop->model) {
      step.findings.add(kRule, "unknown server g" + std::to_string(stop->generation.value));
      return;
    }
    const std::string name =
        name_of(books.policy(), stop->model) + " g" + std::to_string(stop->generation.value);
    if (server->stop_at && !stop->kill_at_once)
      step.findings.add(kRule, name + " twice");
    const LoadPolicy& load = books.policy().load;
    const bool load_timed_out = !server->ready_at && step.now - server->started >= load.timeout;
    const bool drain_timed_out =
        books.shutdown_at() && step.now - *books.shutdown_at() >= load.drain_timeout;
    if (server->useless || load_timed_out || drain_timed_out)
      return;
    if (stop->kill_at_once && server->ready_at && !server->stop_at) {
      step.findings.add(kRule, name + " was killed although it could leave by itself");
    }
    if (server->leases > 0) {
      step.findings.add(kRule, name + " holds " + std::to_string(server->leases) + " leases");
    }
    const Books::Model& model = books.model(stop->model);
    if (model.pinned && model.unloads_pending == 0 && !model.replaced && !books.shutdown_at() &&
        moved_up_ != stop->model) {
      step.findings.add(kRule, name + " is pinned");
    }
  }

  void after_step(const Step& step, const Snapshot&) override {
    for (const auto& [generation, server] : step.books.servers()) {
      if (server.useless && !server.stop_at) {
        step.findings.add(kRule, name_of(step.books.policy(), server.model) + " g" +
                                     std::to_string(generation.value) +
                                     " is of no use and goes on");
      }
    }
  }

 private:
  std::optional<ModelId> moved_up_;  // in this step

  static constexpr std::string_view kRule = "stop";
  static constexpr std::string_view kVictimRule = "victim";
  static constexpr std::string_view kGivenUpRule = "given up";

  static void check_victim(const Step& step, const Decision& decision) {
    if (decision.kind != DecisionKind::evict || !decision.model)
      return;
    const Books& books = step.books;
    const Books::Model& model = books.model(*decision.model);
    const std::string name = name_of(books.policy(), *decision.model);
    if (!model.server) {
      step.findings.add(kVictimRule, name + " has no server");
      return;
    }
    const Books::Server& server = *books.server(*model.server);
    if (server.leases > 0)
      step.findings.add(kVictimRule, name + " holds leases");
    if (model.pinned)
      step.findings.add(kVictimRule, name + " is pinned");
    if (model.waiting > 0 && !model.yielded) {
      step.findings.add(kVictimRule, name + " has " + std::to_string(model.waiting) +
                                         " requests waiting and was not told to yield");
    }
  }

  // A load is given up only where everybody has left it and somebody waits for another.
  static void check_given_up(const Step& step, const Decision& decision) {
    if (decision.reason != ReasonCode::nobody_waits || !decision.model || !decision.other)
      return;
    const Books& books = step.books;
    const Books::Model& model = books.model(*decision.model);
    const Books::Model& other = books.model(*decision.other);
    const std::string name = name_of(books.policy(), *decision.model);
    if (model.waiting > 0 || model.loads_pending > 0)
      step.findings.add(kGivenUpRule, name + " is given up although somebody waits for it");
    if (model.pinned)
      step.findings.add(kGivenUpRule, name + " is given up although it is pinned");
    if (other.waiting + other.loads_pending + books.waiting_residents() == 0)
      step.findings.add(kGivenUpRule, name + " is given up for nobody");
  }

  // A busy model is safe for twice its load time, within the bounds of the policy.
  static void check_yield(const Step& step, const Decision& decision) {
    // Pressure waits for no residency.
    if (decision.kind != DecisionKind::yield || decision.reason == ReasonCode::pressure ||
        !decision.model)
      return;
    const Books& books = step.books;
    const Books::Model& model = books.model(*decision.model);
    if (model.pinned)
      step.findings.add("yield", name_of(books.policy(), *decision.model) + " is pinned");
    if (!model.server || model.waiting == 0)
      return;
    const Books::Server& server = *books.server(*model.server);
    if (!server.ready_at)
      return;
    const ResidencyPolicy& rules = books.policy().residency;
    const Duration safe = std::clamp<Duration>(2 * (*server.ready_at - server.started),
                                               rules.min_residency_min, rules.min_residency_max);
    if (step.now - *server.ready_at < safe) {
      step.findings.add("yield", name_of(books.policy(), *decision.model) + " was ready for " +
                                     to_text(step.now - *server.ready_at) + " of " + to_text(safe) +
                                     " and has requests waiting");
    }
  }
};

}  // namespace

std::unique_ptr<Checker> make_start_checker() {
  return std::make_unique<StartChecker>();
}
std::unique_ptr<Checker> make_stop_checker() {
  return std::make_unique<StopChecker>();
}

}  // namespace tonnage::sim
