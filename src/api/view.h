// View: what one caller may see of the models.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/auth.h"
#include "api/memory_api.h"
#include "core/decision.h"
#include "core/policy.h"
#include "core/snapshot.h"

namespace tonnage::api {

// A key that is limited to models sees these and nothing that tells of others: no rows, no
// decisions about them, and no names in those about its own. Everybody else sees all. Refers to the
// policy and the caller's key, which must outlive it.
class View {
 public:
  View(const Policy& policy, const Caller& caller);

  bool limited() const { return masked_.has_value(); }
  bool sees(ModelId model) const;
  // Decisions about no model are everybody's.
  bool shows(const Decision& decision) const;
  // What names of models are looked up in; those of others are "another model".
  const Policy& policy() const { return masked_ ? *masked_ : *policy_; }
  // Only rows, and sums over rows, that the caller may see.
  Snapshot of(Snapshot snapshot) const;
  // Whether a request's story is about a model that the caller may see; names of others go from it.
  bool shows_story(std::span<const StoryRow> rows) const;
  std::string without_others(std::string text) const;

 private:
  const Policy* policy_;
  Caller caller_;
  std::optional<Policy> masked_;
};

// What a caller without the right to see every model is told of problems: what, and not where.
void hide_problem_texts(std::vector<HealthProblem>& problems);

}  // namespace tonnage::api
