// pressure: levels are left no sooner than their dwell allows, what they take was idle, and nothing
// is taken and brought back in turns faster than that.
#include <algorithm>
#include <map>

#include "sim/checker.h"

namespace tonnage::sim {
namespace {

constexpr std::string_view kPressureRule = "pressure";

class PressureChecker final : public Checker {
 public:
  void on_event(const Step&, const Event& event) override {
    // Other levels may hold from now on.
    if (std::holds_alternative<PolicyChanged>(event))
      entered_.clear();
  }

  void on_action(const Step& step, const Action& action) override {
    if (const auto* changed = std::get_if<LevelChanged>(&action))
      check_level(step, *changed);
    const auto* decided = std::get_if<Decided>(&action);
    if (decided == nullptr || !decided->decision.model)
      return;
    const Decision& d = decided->decision;
    const bool takes = d.kind == DecisionKind::unload &&
                       (d.reason == ReasonCode::pressure || d.reason == ReasonCode::foreign_growth);
    if (takes)
      check_taken(step, d);
    if (d.kind == DecisionKind::load && d.reason == ReasonCode::pressure_over)
      check_restored(step, *d.model);
  }

 private:
  static const PressureLevel* find(const Step& step, const std::string& name) {
    const auto& levels = step.books.policy().pressure.levels;
    const auto found = std::find_if(levels.begin(), levels.end(),
                                    [&](const PressureLevel& level) { return level.name == name; });
    return found == levels.end() ? nullptr : &*found;
  }

  static std::ptrdiff_t rank(const Step& step, const std::string& name) {
    const PressureLevel* level = find(step, name);
    return level == nullptr ? -1 : level - step.books.policy().pressure.levels.data();
  }

  void check_level(const Step& step, const LevelChanged& changed) {
    const PressureLevel* before = find(step, changed.before);
    const auto entered = entered_.find(changed.pool);
    const bool down = rank(step, changed.level) < rank(step, changed.before);
    if (down && before != nullptr && entered != entered_.end() &&
        step.now - entered->second < before->dwell) {
      step.findings.add(kPressureRule, before->name + " was left before its dwell had passed");
    }
    if (changed.level == changed.before)
      step.findings.add(kPressureRule, "a level that did not change is told");
    entered_[changed.pool] = step.now;
  }

  void check_taken(const Step& step, const Decision& d) {
    const auto generation = step.books.model(*d.model).server;
    const Books::Server* server = generation ? step.books.server(*generation) : nullptr;
    if (server == nullptr)
      return;
    const std::string name = name_of(step.books.policy(), *d.model);
    if (server->leases > 0)
      step.findings.add(kPressureRule, name + " is taken by pressure while it works");
    if (step.books.model(*d.model).pinned)
      step.findings.add(kPressureRule, name + " is taken by pressure though it is pinned");
    taken_[*d.model] = step.now;
  }

  void check_restored(const Step& step, ModelId model) {
    Duration dwell{};
    for (const PressureLevel& level : step.books.policy().pressure.levels)
      dwell = std::max(dwell, level.dwell);
    const auto taken = taken_.find(model);
    if (taken != taken_.end() && step.now - taken->second < dwell) {
      step.findings.add(kPressureRule, name_of(step.books.policy(), model) +
                                           " comes back before the dwell has passed");
    }
    if (step.books.waiting() > 0)
      step.findings.add(kPressureRule,
                        name_of(step.books.policy(), model) + " comes back while requests wait");
  }

  std::map<PoolId, Tick> entered_;  // when the level of a pool last changed
  std::map<ModelId, Tick> taken_;
};

}  // namespace

std::unique_ptr<Checker> make_pressure_checker() {
  return std::make_unique<PressureChecker>();
}

}  // namespace tonnage::sim
