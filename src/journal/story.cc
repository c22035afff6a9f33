#include "journal/story.h"

#include <algorithm>
#include <utility>

namespace tonnage::journal {
namespace {

constexpr std::size_t kLinesMax = 1'000;  // the newest

std::string_view how_it_ended(RequestOutcome outcome) {
  switch (outcome) {
    case RequestOutcome::answered:
      return "It was answered";
    case RequestOutcome::client_gone:
      return "Its client had left, and its server became idle";
    case RequestOutcome::lost:
      return "Its connection to the server broke before an answer began";
    case RequestOutcome::broken:
      return "Its connection to the server broke in the middle of the answer";
  }
  return "It ended";
}

std::string tokens_of(const RequestEnded& end) {
  if (end.prompt_tokens == 0)
    return {};
  return ": its prompt had " + std::to_string(end.prompt_tokens) + " tokens, of which " +
         std::to_string(end.kept_tokens) + " were kept from earlier requests and " +
         std::to_string(end.prompt_tokens - std::min(end.prompt_tokens, end.kept_tokens)) +
         " read, and its answer " + std::to_string(end.generated_tokens);
}

std::string size_of(const RequestArrived& request) {
  if (request.context_needed > 0)
    return " Its prompt has " + std::to_string(request.context_needed) + " tokens.";
  if (request.context_wished > 0)
    return " By estimate it takes " + std::to_string(request.context_wished) +
           " tokens, prompt and answer together.";
  return {};
}

}  // namespace

Story Story::of_request(RequestId request, Policy policy) {
  Story story(std::move(policy));
  story.request_ = request;
  return story;
}

Story Story::of_model(ModelId model, Policy policy) {
  Story story(std::move(policy));
  story.model_ = model;
  return story;
}

void Story::take(const Step& step) {
  if (const auto* changed = std::get_if<PolicyChanged>(&step.event))
    policy_ = changed->policy;
  on_event(step);
  for (const Action& action : step.actions)
    on_action(step, action);
}

void Story::on_event(const Step& step) {
  if (!request_)
    return;
  if (const auto* e = std::get_if<RequestArrived>(&step.event); e && e->request == *request_) {
    arrived_ = step.at;
    model_ = e->model;
    say(step.at, "Request " + std::to_string(request_->value) + " asked for " +
                     (e->model ? name(e->model) : std::string("the resident model")) + " with " +
                     std::string(to_text(e->priority)) + " priority." + size_of(*e));
  } else if (const auto* end = std::get_if<RequestEnded>(&step.event);
             end && end->request == *request_) {
    std::string text(how_it_ended(end->outcome));
    if (admitted_)
      text += " after " + rounded_text(step.at - *admitted_) + " at the server";
    text += tokens_of(*end);
    say(step.at, text + ".");
    admitted_.reset();
  } else if (const auto* gone = std::get_if<ClientGone>(&step.event);
             gone && gone->request == *request_) {
    say(step.at, "Its client left.");
    if (!admitted_)
      model_.reset();
  }
}

void Story::on_action(const Step& step, const Action& action) {
  if (const auto* decided = std::get_if<Decided>(&action)) {
    // A refusal comes twice: as a decision and as the answer.
    if (concerns(decided->decision))
      on_decision(step.at, decided->decision);
    return;
  }
  const auto* admit = std::get_if<Admit>(&action);
  if (!request_ || admit == nullptr || admit->request != *request_)
    return;
  model_ = admit->model;
  admitted_ = step.at;
  std::string text = "It was sent to " + name(admit->model);
  if (arrived_ && step.at > *arrived_)
    text += " after " + rounded_text(step.at - *arrived_) + " of waiting";
  say(step.at, text + ".");
}

// A request that waits shares the fate of its model.
bool Story::concerns(const Decision& d) const {
  if (request_ && d.request == *request_)
    return true;
  if (request_ &&
      (!arrived_ || admitted_ || d.kind == DecisionKind::refuse || d.kind == DecisionKind::replay))
    return false;
  if (!model_)
    return false;
  return d.model == *model_ || d.other == *model_ ||
         std::ranges::find(d.victims, *model_) != d.victims.end();
}

void Story::on_decision(Tick at, const Decision& decision) {
  say(at, explain(decision, policy_));
  if (request_ && decision.kind == DecisionKind::refuse)
    model_.reset();
}

void Story::say(Tick at, std::string text) {
  if (lines_.size() == kLinesMax)
    lines_.erase(lines_.begin());
  lines_.push_back({at, std::move(text)});
}

std::string Story::name(const std::optional<ModelId>& model) const {
  return model && model->value < policy_.models.size() ? policy_.models[model->value].id
                                                       : "a model";
}

}  // namespace tonnage::journal
