// commands, decisions: operators are answered once and truthfully, and every act has a decision
// that explains it.
#include <algorithm>
#include <vector>

#include "sim/checker.h"

namespace tonnage::sim {
namespace {

class CommandChecker final : public Checker {
 public:
  void on_event(const Step&, const Event& event) override {
    pin_.reset();
    if (const auto* pin = std::get_if<PinModel>(&event))
      pin_ = pin->command;
  }

  void on_action(const Step& step, const Action& action) override {
    if (std::holds_alternative<Drained>(action))
      check_drained(step);
    const auto* done = std::get_if<CommandDone>(&action);
    if (done == nullptr)
      return;
    const Books& books = step.books;
    const auto found = books.commands().find(done->command);
    const std::string text = "command " + std::to_string(done->command.value);
    if (found == books.commands().end()) {
      step.findings.add(kRule, "an answer to unknown " + text);
      return;
    }
    const Books::Command& command = found->second;
    if (command.answered)
      step.findings.add(kRule, "a second answer to " + text);
    if (!done->ok && done->text.empty())
      step.findings.add(kRule, "a refusal without words of " + text);
    if (!done->ok || !command.model)
      return;
    const auto generation = books.model(*command.model).server;
    const Books::Server* server = generation ? books.server(*generation) : nullptr;
    if (command.kind == Books::CommandKind::unload && server != nullptr) {
      step.findings.add(kRule, text + " says unloaded while the server lives");
    }
    if (command.kind == Books::CommandKind::load && (server == nullptr || !server->ready_at)) {
      step.findings.add(kRule, text + " says loaded without a ready server");
    }
  }

  void after_step(const Step& step, const Snapshot&) override {
    if (!pin_)
      return;
    const auto found = step.books.commands().find(*pin_);
    if (found != step.books.commands().end() && !found->second.answered) {
      step.findings.add(kRule, "pinning was not answered at once");
    }
  }

 private:
  static constexpr std::string_view kRule = "commands";

  static void check_drained(const Step& step) {
    const Books& books = step.books;
    if (!books.shutdown_at())
      step.findings.add(kRule, "Drained without a shutdown");
    if (books.drained())
      step.findings.add(kRule, "Drained twice");
    if (!books.servers().empty())
      step.findings.add(kRule, "Drained while servers live");
    if (books.waiting() + books.leases() > 0) {
      step.findings.add(kRule, "Drained while requests are open");
    }
    if (books.commands_pending() > 0)
      step.findings.add(kRule, "Drained with a command open");
  }

  std::optional<CommandId> pin_;
};

class DecisionChecker final : public Checker {
 public:
  void on_event(const Step&, const Event&) override {
    explained_.clear();
    acted_.clear();
  }

  void on_action(const Step& step, const Action& action) override {
    if (const auto* start = std::get_if<StartServer>(&action))
      acted_.push_back(start->model);
    if (const auto* stop = std::get_if<StopServer>(&action))
      acted_.push_back(stop->model);
    const auto* decided = std::get_if<Decided>(&action);
    if (decided == nullptr)
      return;
    const Decision& decision = decided->decision;
    const Policy& policy = step.books.policy();
    const std::string text =
        std::string(to_text(decision.kind)) + "/" + std::string(to_text(decision.reason));
    if (decision.at != step.now)
      step.findings.add(kRule, text + " is dated to another time");
    if (!names_known(decision, policy)) {
      step.findings.add(kRule, text + " names an unknown model");
      return;
    }
    // A request for `resident` names no model, and may be refused before it is given one.
    const bool of_a_pool = decision.kind == DecisionKind::level;
    if (!decision.model && decision.kind != DecisionKind::refuse && !of_a_pool)
      step.findings.add(kRule, text + " names no model");
    if (decision.kind == DecisionKind::load && (!decision.placement || !decision.generation)) {
      step.findings.add(kRule, text + " names no placement or no generation");
    }
    if (explain(decision, policy).empty())
      step.findings.add(kRule, text + " explains nothing");
    if (decision.model)
      explained_.push_back(*decision.model);
  }

  void after_step(const Step& step, const Snapshot&) override {
    for (const ModelId model : acted_) {
      // The daemon's end explains itself, and an operator's unload was explained when it began.
      if (step.books.shutdown_at())
        continue;
      if (std::find(explained_.begin(), explained_.end(), model) != explained_.end())
        continue;
      step.findings.add(kRule, "a server of " + name_of(step.books.policy(), model) +
                                   " was started or stopped without a decision");
    }
  }

 private:
  static constexpr std::string_view kRule = "decisions";

  static bool names_known(const Decision& decision, const Policy& policy) {
    auto known = [&](ModelId model) { return model.value < policy.models.size(); };
    return (!decision.model || known(*decision.model)) &&
           (!decision.other || known(*decision.other)) &&
           std::all_of(decision.victims.begin(), decision.victims.end(), known);
  }

  std::vector<ModelId> explained_;
  std::vector<ModelId> acted_;
};

}  // namespace

std::unique_ptr<Checker> make_command_checker() {
  return std::make_unique<CommandChecker>();
}
std::unique_ptr<Checker> make_decision_checker() {
  return std::make_unique<DecisionChecker>();
}

}  // namespace tonnage::sim
