// times: what the policy says must have lasted so long has lasted so long: grace and ttl before a
// model leaves, waits before others give way or less is taken, rests after crashes.
#include <algorithm>
#include <utility>

#include "sim/checker.h"

namespace tonnage::sim {
namespace {

constexpr std::string_view kTimesRule = "times";

// A lesser placement may be taken at once with at least this share of a better one's speed.
constexpr std::int64_t kGoodEnoughPermille = 700;

class TimesChecker final : public Checker {
 public:
  // Somebody else killed its server: that is no failure of the model, and nothing rests for it.
  void after_step(const Step& step, const Snapshot& snapshot) override {
    if (!std::exchange(killed_, false))
      return;
    for (const ModelSnapshot& shown : snapshot.models) {
      if (step.books.model(shown.model).killed && shown.state == ResidencyState::failed &&
          shown.failure_kind == FailureKind::killed)
        add(step, shown.model, "rests although somebody else killed its server");
    }
  }

  void on_event(const Step&, const Event& event) override {
    const auto* exited = std::get_if<ServerExited>(&event);
    killed_ = exited != nullptr && exited->failure && exited->failure->kind == FailureKind::killed;
  }

  void on_action(const Step& step, const Action& action) override {
    if (const auto* start = std::get_if<StartServer>(&action))
      check_rest(step, *start);
    if (const auto* decided = std::get_if<Decided>(&action))
      check_decision(step, decided->decision);
  }

 private:
  static void check_decision(const Step& step, const Decision& decision) {
    if (!decision.model || decision.model->value >= step.books.models().size())
      return;
    switch (decision.kind) {
      case DecisionKind::unload:
        check_unload(step, decision);
        break;
      case DecisionKind::evict:
        check_grace_on_demand(step, decision);
        break;
      case DecisionKind::upgrade:
        check_upgrade(step, decision);
        break;
      case DecisionKind::yield:
        if (decision.other && decision.other->value < step.books.models().size() &&
            !has_waited(step, *decision.other, step.books.policy().queue.yield_after)) {
          add(step, *decision.other, "made another yield before it had waited for yield_after");
        }
        break;
      case DecisionKind::degrade:
        check_degrade(step, decision);
        break;
      case DecisionKind::stall:
        check_load(step, decision, step.books.policy().load.stall_after, "stalls too early");
        break;
      default:
        break;
    }
  }

  static void add(const Step& step, ModelId model, const std::string& text) {
    step.findings.add(kTimesRule, name_of(step.books.policy(), model) + " " + text);
  }

  static const Books::Server* server_of(const Step& step, ModelId model) {
    const auto generation = step.books.model(model).server;
    return generation ? step.books.server(*generation) : nullptr;
  }

  static void check_load(const Step& step, const Decision& decision, Duration least,
                         const std::string& text) {
    const Books::Server* server = server_of(step, *decision.model);
    if (server == nullptr || server->ready_at || step.now - server->started < least)
      add(step, *decision.model, text);
  }

  static void check_unload(const Step& step, const Decision& decision) {
    const Policy& policy = step.books.policy();
    if (decision.reason == ReasonCode::load_timeout)
      check_load(step, decision, policy.load.timeout, "is killed before its load's time-out");
    if (decision.reason != ReasonCode::idle_ttl)
      return;
    const auto ttl = policy.models[decision.model->value].ttl;
    const Books::Server* server = server_of(step, *decision.model);
    if (!ttl || server == nullptr) {
      add(step, *decision.model, "leaves by a ttl that it does not have");
      return;
    }
    if (step.now - server->last_used < std::max(*ttl, policy.residency.grace))
      add(step, *decision.model, "leaves before its ttl or its grace is over");
    if (step.books.model(*decision.model).waiting > 0)
      add(step, *decision.model, "leaves by its ttl although requests wait for it");
  }

  static void check_grace_on_demand(const Step& step, const Decision& decision) {
    const auto grace = step.books.policy().residency.grace_on_demand;
    const Books::Server* server = server_of(step, *decision.model);
    if (!grace || server == nullptr || step.books.model(*decision.model).yielded)
      return;
    if (step.now - server->last_used < *grace)
      add(step, *decision.model, "gives way within its grace on demand");
  }

  // A degraded model moves up when it idles and nobody waits, or for a request that needs more.
  static void check_upgrade(const Step& step, const Decision& decision) {
    const Books& books = step.books;
    const Books::Server* server = server_of(step, *decision.model);
    if (server == nullptr)
      return;
    const std::vector<RequestId>& queue = books.model(*decision.model).queue;
    const bool asked = std::any_of(queue.begin(), queue.end(), [&](RequestId id) {
      const Books::Request& request = *books.request(id);
      return std::max(request.context_needed, request.context_wished) > server->placement.context;
    });
    if (asked)
      return;
    if (books.waiting() > 0)
      add(step, *decision.model, "is moved up while requests wait");
    if (step.now - server->last_used < books.policy().residency.grace)
      add(step, *decision.model, "is moved up within its grace");
  }

  // The longest wait for the model: of a request, or of an operator's load.
  static bool has_waited(const Step& step, ModelId model, Duration least) {
    const Books& books = step.books;
    // Requests for `resident` wait for a model that only the core knows.
    if (books.waiting_residents() > 0)
      return true;
    const std::vector<RequestId>& queue = books.model(model).queue;
    if (!queue.empty() && step.now - books.request(queue.front())->arrived >= least)
      return true;
    if (books.model(model).loads_pending == 0)
      return false;
    return std::any_of(books.commands().begin(), books.commands().end(), [&](const auto& entry) {
      const Books::Command& command = entry.second;
      return command.kind == Books::CommandKind::load && !command.answered &&
             command.model == model && step.now - command.at >= least;
    });
  }

  static void check_degrade(const Step& step, const Decision& decision) {
    const Policy& policy = step.books.policy();
    if (decision.reason == ReasonCode::expected_wait &&
        !has_waited(step, *decision.model, policy.queue.degrade_after)) {
      add(step, *decision.model, "takes less before it had waited for degrade_after");
    }
    if (decision.reason != ReasonCode::good_enough || !decision.placement)
      return;
    const std::vector<PlacementRow>& rows = step.books.model(*decision.model).rows;
    // Rows that differ only in their devices have one placement; the last of them is judged.
    const auto found = std::find_if(rows.rbegin(), rows.rend(), [&](const PlacementRow& row) {
      return row.placement == *decision.placement;
    });
    const auto taken = found == rows.rend() ? rows.end() : found.base() - 1;
    const bool enough = std::any_of(rows.begin(), taken, [&](const PlacementRow& better) {
      return taken != rows.end() && taken->placement.context >= better.placement.context &&
             taken->speed_permille * std::int64_t{1000} >=
                 better.speed_permille * kGoodEnoughPermille;
    });
    if (!enough)
      add(step, *decision.model, "takes at once what is not good enough");
  }

  static void check_rest(const Step& step, const StartServer& start) {
    if (start.model.value >= step.books.models().size())
      return;
    const auto rests_until = step.books.model(start.model).rests_until;
    if (rests_until && step.now < *rests_until)
      add(step, start.model, "is started before its rest after crashes is over");
  }

  bool killed_ = false;  // a server, in this step
};

}  // namespace

std::unique_ptr<Checker> make_times_checker() {
  return std::make_unique<TimesChecker>();
}

}  // namespace tonnage::sim
