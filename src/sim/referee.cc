#include "sim/referee.h"

namespace tonnage::sim {

Referee::Referee(const Policy& policy, bool nothing_may_fail)
    : books_(policy),
      checkers_(make_all_checkers(nothing_may_fail)),
      states_(policy.models.size(), ResidencyState::absent) {}

void Referee::watch(const Governor& governor, Tick now, const Event& event, const Actions& actions,
                    Findings& findings) {
  const Step step{now, books_, findings};
  coverage_.count(event);
  books_.apply(now, event);
  for (const auto& checker : checkers_)
    checker->on_event(step, event);
  for (const Action& action : actions) {
    coverage_.count(action);
    for (const auto& checker : checkers_)
      checker->on_action(step, action);
    books_.apply(now, action);
  }
  Snapshot snapshot = governor.snapshot(now);
  if (snapshot.models.size() < states_.size())
    show_removed(snapshot);
  for (const auto& checker : checkers_)
    checker->after_step(step, snapshot);
  for (std::size_t i = 0; i < states_.size(); ++i) {
    coverage_.count_edge(states_[i], snapshot.models[i].state);
    states_[i] = snapshot.models[i].state;
  }
  for (const Violation& violation : governor.violations()) {
    findings.add("the core's own invariants", violation.text);
  }
  check_clock(governor, now, event, findings);
}

// What is no longer configured and has no server is not shown: it is absent, once a dry run that
// may be under way has ended.
void Referee::show_removed(Snapshot& snapshot) const {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    const ModelId id(static_cast<std::uint32_t>(i));
    if (i < snapshot.models.size() && snapshot.models[i].model == id)
      continue;
    ModelSnapshot absent;
    absent.model = id;
    if (books_.model(id).profiling || books_.model(id).between_dry_runs)
      absent.state = ResidencyState::profiling;
    absent.pinned = books_.model(id).pinned;
    snapshot.models.insert(snapshot.models.begin() + static_cast<std::ptrdiff_t>(i), absent);
  }
}

// A Timer that changes nothing and asks for another one at once would keep a daemon busy for ever.
void Referee::check_clock(const Governor& governor, Tick now, const Event& event,
                          Findings& findings) {
  constexpr std::int32_t kTimersAtOneTickMax = 3;
  const bool timer = std::holds_alternative<Timer>(event);
  timers_in_a_row_ = timer && now == last_now_ ? timers_in_a_row_ + 1 : 0;
  last_now_ = now;
  const auto deadline = governor.next_deadline();
  if (timers_in_a_row_ > kTimersAtOneTickMax && deadline && *deadline <= now) {
    findings.add("clock", "the deadline stays in the past however often Timer comes");
  }
}

}  // namespace tonnage::sim
