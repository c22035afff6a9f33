// residency: what the core shows of each model agrees with what is known from outside, and moves
// only along legal edges.
#include <array>

#include "sim/checker.h"

namespace tonnage::sim {
namespace {

constexpr std::size_t kStates = 7;

// Rows: from; columns: to; in the order absent, profiling, loading, ready, draining, stopping,
// failed. A step may pass several edges of the machine, so edges that one event can join are legal:
// a profile that comes in and starts the load at once, an exit that makes room for the next start
// of the same model, a ready server that must give way as soon as it is ready.
constexpr std::array<std::array<bool, kStates>, kStates> kLegal = {{
    // absent: a server comes by way of loading only
    {true, true, true, false, false, false, true},
    // profiling: ends in rows (absent, or straight to loading), or in a failure
    {true, true, true, false, false, false, true},
    // loading: ready, told to stop, or ended; an ended one may be tried again at once
    {true, true, true, true, true, true, true},
    // ready: an exit ends it at once, and its replays may start the next server
    {true, false, true, true, true, true, true},
    // draining: may be called off; one that is being replaced may crash, and is looked at anew
    {true, true, true, true, true, true, true},
    // stopping: only an exit ends it
    {true, true, true, false, false, true, true},
    // failed: after its rest; a server comes by way of loading only
    {true, true, true, false, false, false, true},
}};

class ResidencyChecker final : public Checker {
 public:
  void after_step(const Step& step, const Snapshot& snapshot) override {
    if (last_.empty())
      last_.resize(snapshot.models.size(), ResidencyState::absent);
    for (std::size_t i = 0; i < snapshot.models.size(); ++i) {
      const ModelSnapshot& shown = snapshot.models[i];
      check_edge(step, shown, last_[i]);
      check_truth(step, shown);
      last_[i] = shown.state;
    }
  }

 private:
  static constexpr std::string_view kRule = "residency";

  static void check_edge(const Step& step, const ModelSnapshot& shown, ResidencyState from) {
    if (kLegal[static_cast<std::size_t>(from)][static_cast<std::size_t>(shown.state)])
      return;
    step.findings.add(kRule, name_of(step.books.policy(), shown.model) + " went from " +
                                 std::string(to_text(from)) + " to " +
                                 std::string(to_text(shown.state)));
  }

  static void check_truth(const Step& step, const ModelSnapshot& shown) {
    const Books::Model& model = step.books.model(shown.model);
    const Books::Server* server = model.server ? step.books.server(*model.server) : nullptr;
    if (const std::string why = untrue(shown, model, server); !why.empty()) {
      step.findings.add(kRule, name_of(step.books.policy(), shown.model) + " is shown as " +
                                   std::string(to_text(shown.state)) + ", but " + why);
    }
    if (shown.pinned != model.pinned) {
      step.findings.add(kRule, name_of(step.books.policy(), shown.model) + " shows a wrong pin");
    }
    const std::int32_t leases = server != nullptr ? server->leases : 0;
    if (server != nullptr && shown.leases != leases) {
      step.findings.add(kRule, name_of(step.books.policy(), shown.model) + " shows " +
                                   std::to_string(shown.leases) + " leases of " +
                                   std::to_string(leases));
    }
  }

  static std::string untrue(const ModelSnapshot& shown, const Books::Model& model,
                            const Books::Server* server) {
    const bool ready = server != nullptr && server->ready_at && !server->stop_at;
    switch (shown.state) {
      case ResidencyState::absent:
      case ResidencyState::failed:
        if (server != nullptr)
          return "its server lives";
        return model.profiling || model.between_dry_runs ? "its dry run works" : "";
      case ResidencyState::profiling:
        if (server != nullptr)
          return "its server lives";
        return model.profiling || model.between_dry_runs ? "" : "no dry run works";
      case ResidencyState::loading:
        if (server == nullptr)
          return "it has no server";
        if (server->stop_at)
          return "its server was told to stop";
        return server->ready_at ? "its server is ready" : "";
      case ResidencyState::ready:
        if (!ready)
          return "it has no ready server";
        return server->useless ? "its server is of no use" : "";
      case ResidencyState::draining:
        return ready ? "" : "it has no ready server";
      case ResidencyState::stopping:
        if (server == nullptr)
          return "it has no server";
        return server->stop_at ? "" : "its server was not told to stop";
    }
    return "that is no state";
  }

  std::vector<ResidencyState> last_;
};

}  // namespace

std::unique_ptr<Checker> make_residency_checker() {
  return std::make_unique<ResidencyChecker>();
}

std::vector<std::unique_ptr<Checker>> make_all_checkers(bool nothing_may_fail) {
  std::vector<std::unique_ptr<Checker>> checkers;
  checkers.push_back(make_bytes_checker());
  checkers.push_back(make_start_checker());
  checkers.push_back(make_stop_checker());
  checkers.push_back(make_request_checker());
  checkers.push_back(make_refusal_checker(nothing_may_fail));
  checkers.push_back(make_command_checker());
  checkers.push_back(make_decision_checker());
  checkers.push_back(make_residency_checker());
  checkers.push_back(make_ledger_checker());
  checkers.push_back(make_times_checker());
  checkers.push_back(make_idle_checker());
  checkers.push_back(make_pressure_checker());
  return checkers;
}

std::string name_of(const Policy& policy, ModelId model) {
  if (model.value >= policy.models.size())
    return "model " + std::to_string(model.value);
  return policy.models[model.value].id;
}

}  // namespace tonnage::sim
