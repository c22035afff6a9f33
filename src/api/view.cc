#include "api/view.h"

#include <algorithm>
#include <cctype>

namespace tonnage::api {

View::View(const Policy& policy, const Caller& caller) : policy_(&policy), caller_(caller) {
  if (caller.rule == nullptr || caller.rule->models.empty())
    return;
  masked_ = policy;
  for (ModelPolicy& model : masked_->models) {
    if (!caller.may_use(model.id))
      model.id = "another model";
  }
}

bool View::sees(ModelId model) const {
  return !limited() ||
         (model.value < policy_->models.size() && caller_.may_use(policy_->models[model.value].id));
}

bool View::shows(const Decision& decision) const {
  return !decision.model || sees(*decision.model);
}

Snapshot View::of(Snapshot snapshot) const {
  if (!limited())
    return snapshot;
  std::erase_if(snapshot.models, [this](const ModelSnapshot& model) { return !sees(model.model); });
  snapshot.waiting = snapshot.leases = 0;
  for (const ModelSnapshot& model : snapshot.models) {
    snapshot.waiting += model.waiting;
    snapshot.leases += model.leases;
  }
  hide_problem_texts(snapshot.problems);
  return snapshot;
}

// The story's first sentence names the model, and so does the one that says where it was sent.
bool View::shows_story(std::span<const StoryRow> rows) const {
  if (!limited())
    return true;
  return std::ranges::any_of(policy_->models, [&](const ModelPolicy& model) {
    return caller_.may_use(model.id) && std::ranges::any_of(rows, [&](const StoryRow& row) {
             return row.text.contains(" asked for " + model.id + " ") ||
                    row.text.starts_with("It was sent to " + model.id);
           });
  });
}

std::string View::without_others(std::string text) const {
  constexpr std::string_view kOther = "another model";
  const auto in_word = [&text](std::size_t at) {
    return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0);
  };
  for (std::size_t i = 0; limited() && i < policy_->models.size(); ++i) {
    const std::string& id = policy_->models[i].id;
    if (sees(ModelId(static_cast<std::uint32_t>(i))))
      continue;
    for (std::size_t at = text.find(id); at != std::string::npos; at = text.find(id, at)) {
      if ((at > 0 && in_word(at - 1)) || in_word(at + id.size())) {
        at += id.size();
        continue;
      }
      text.replace(at, id.size(), kOther);
      at += kOther.size();
    }
  }
  return text;
}

void hide_problem_texts(std::vector<HealthProblem>& problems) {
  for (HealthProblem& problem : problems)
    problem.text = "a key with the scope 'read' and without a list of models sees the details";
}

}  // namespace tonnage::api
