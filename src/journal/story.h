// Story: what happened to one request or one model, in sentences, told from a journal's steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/policy.h"
#include "journal/codec.h"

namespace tonnage::journal {

struct StoryLine {
  Tick at;
  std::string text;  // one or two sentences

  friend bool operator==(const StoryLine&, const StoryLine&) = default;
};

// Takes a journal's steps in their order and keeps what belongs to its subject.
class Story {
 public:
  // `policy` gives models their names; steps that change it are understood.
  static Story of_request(RequestId request, Policy policy);
  static Story of_model(ModelId model, Policy policy);

  void take(const Step& step);

  // Another segment begins: the same run goes on, or another one.
  void use(const Policy& policy) { policy_ = policy; }

  // Empty when the subject never occurred.
  const std::vector<StoryLine>& lines() const { return lines_; }

 private:
  explicit Story(Policy policy) : policy_(std::move(policy)) {}

  void on_event(const Step& step);
  void on_action(const Step& step, const Action& action);
  void on_decision(Tick at, const Decision& decision);
  bool concerns(const Decision& decision) const;
  void say(Tick at, std::string text);
  std::string name(const std::optional<ModelId>& model) const;

  Policy policy_;
  std::optional<RequestId> request_;
  std::optional<ModelId> model_;  // of a model's story; of a request's, while it waits

  std::vector<StoryLine> lines_;
  std::optional<Tick> arrived_;
  std::optional<Tick> admitted_;
};

}  // namespace tonnage::journal
