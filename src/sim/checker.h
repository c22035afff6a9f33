// Checker: one rule about what the core may do, checked from the outside after every step.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/tick.h"
#include "core/actions.h"
#include "core/events.h"
#include "core/snapshot.h"
#include "sim/books.h"

namespace tonnage::sim {

// What checkers found wrong in one step: "RULE: what happened".
class Findings {
 public:
  void add(std::string_view rule, std::string text) {
    list_.push_back(std::string(rule) + ": " + std::move(text));
  }
  bool empty() const { return list_.empty(); }
  const std::vector<std::string>& list() const { return list_; }

 private:
  std::vector<std::string> list_;
};

// The step that is being checked.
struct Step {
  Tick now;
  const Books& books;
  Findings& findings;
};

class Checker {
 public:
  virtual ~Checker() = default;

  // The books know the event already, and no action yet.
  virtual void on_event(const Step&, const Event&) {}
  // The books do not know the action yet.
  virtual void on_action(const Step&, const Action&) {}
  // The books know everything; the snapshot is what the core shows of itself.
  virtual void after_step(const Step&, const Snapshot&) {}
};

// The families of rules. Each says in its own file which rules it holds and where they come from.
std::unique_ptr<Checker> make_bytes_checker();
std::unique_ptr<Checker> make_start_checker();
std::unique_ptr<Checker> make_stop_checker();
std::unique_ptr<Checker> make_request_checker();
// nothing_may_fail: no server and no dry run of this run can fail, so no refusal may say so.
std::unique_ptr<Checker> make_refusal_checker(bool nothing_may_fail);
std::unique_ptr<Checker> make_command_checker();
std::unique_ptr<Checker> make_decision_checker();
std::unique_ptr<Checker> make_residency_checker();
std::unique_ptr<Checker> make_ledger_checker();
std::unique_ptr<Checker> make_times_checker();
std::unique_ptr<Checker> make_idle_checker();
std::unique_ptr<Checker> make_pressure_checker();

std::vector<std::unique_ptr<Checker>> make_all_checkers(bool nothing_may_fail);

// For texts: "model 3 (D)" and the like.
std::string name_of(const Policy& policy, ModelId model);

}  // namespace tonnage::sim
