// Referee: watches one governor from outside, step by step, and says what it did wrong.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/governor.h"
#include "sim/books.h"
#include "sim/checker.h"
#include "sim/coverage.h"

namespace tonnage::sim {

class Referee {
 public:
  Referee(const Policy& policy, bool nothing_may_fail);

  // To be called after each step with what went in and what came out. What is broken is appended
  // to `findings`.
  void watch(const Governor& governor, Tick now, const Event& event, const Actions& actions,
             Findings& findings);

  const Books& books() const { return books_; }
  const Coverage& coverage() const { return coverage_; }
  Coverage& coverage() { return coverage_; }

 private:
  void show_removed(Snapshot& snapshot) const;
  void check_clock(const Governor& governor, Tick now, const Event& event, Findings& findings);

  Books books_;
  Coverage coverage_;
  std::vector<std::unique_ptr<Checker>> checkers_;
  std::vector<ResidencyState> states_;
  std::int32_t timers_in_a_row_ = 0;
  Tick last_now_{};
};

}  // namespace tonnage::sim
