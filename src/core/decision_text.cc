// The sentences of a decision.
#include <algorithm>

#include "core/decision.h"

namespace tonnage {
namespace {

// Writes the sentences of one decision; a member per kind of phrase that several share.
class Sentence {
 public:
  Sentence(const Decision& decision, const Policy& policy) : d_(decision), policy_(policy) {}

  std::string write() const;

 private:
  std::string name(const std::optional<ModelId>& id) const {
    if (!id || id->value >= policy_.models.size())
      return "a model";
    return policy_.models[id->value].id;
  }
  std::string model() const { return name(d_.model); }
  std::string pool() const {
    return d_.pool.value < policy_.pools.size() ? policy_.pools[d_.pool.value].name : "the pool";
  }
  std::string placement() const { return d_.placement ? describe(*d_.placement) : "its placement"; }

  static std::string describe(const Placement& p) {
    std::string text = std::to_string(p.slots) + (p.slots == 1 ? " slot" : " slots") + " of " +
                       std::to_string(p.context) + " tokens";
    if (p.gpu_layers > 0)
      text += " and " + std::to_string(p.gpu_layers) + " layers on the GPU";
    return text;
  }

  // What is held back, or promised twice, makes less than nothing free.
  std::string free() const { return to_text(std::max(Bytes{0}, d_.headroom)); }

  std::string arithmetic() const {
    return "needs " + to_text(d_.need) + " of " + pool() + ", " + free() + " free";
  }

  std::string list(const std::vector<ModelId>& models) const {
    std::string text;
    for (std::size_t i = 0; i < models.size(); ++i) {
      if (i > 0)
        text += i + 1 == models.size() ? " and " : ", ";
      text += name(models[i]);
    }
    return text;
  }

  std::string load() const;
  std::string wait() const;
  std::string unload() const;
  std::string refuse() const;
  std::string never_fits() const;
  std::string fail() const;
  std::string level() const;
  std::string recover() const;

  const Decision& d_;
  const Policy& policy_;
};

std::string Sentence::load() const {
  std::string text = "Loading " + model() + " with " + placement() + ": it " + arithmetic() + ".";
  switch (d_.reason) {
    case ReasonCode::made_room:
      text += " Room was made for it.";
      break;
    case ReasonCode::operator_asked:
      text += " An operator asked for it.";
      break;
    case ReasonCode::memory_returned:
      text += " Memory for a better placement returned.";
      break;
    case ReasonCode::config_changed:
      text += " It comes back with its changed configuration.";
      break;
    case ReasonCode::pressure_over:
      text += " It had to leave under memory pressure, which is over.";
      break;
    case ReasonCode::device_failures:
      text += " The device failed it too often.";
      break;
    case ReasonCode::good_enough:
      text += " This is less than configured, but nearly as fast, and possible at once.";
      break;
    case ReasonCode::expected_wait:
      text += " This is less than configured, because the wait for more took longer than " +
              to_text(policy_.queue.degrade_after) + ".";
      break;
    case ReasonCode::never_fits_better:
      text +=
          " This is less than configured, because nothing better fits beside what other "
          "programs hold.";
      break;
    case ReasonCode::lesser_placement:
      text += " This is less than configured, because its server ran out of memory with more.";
      break;
    default:
      break;
  }
  if (d_.waited > Duration{0}) {
    text += " The first request for it has waited " + rounded_text(d_.waited) + ".";
  }
  return text;
}

std::string Sentence::wait() const {
  std::string text = model() + " waits: it " + arithmetic();
  if (d_.reason == ReasonCode::pressure)
    return text + ", and nothing is loaded while memory pressure lasts.";
  if (d_.reason == ReasonCode::foreign_use)
    return text + ", and other programs hold the rest.";
  if (d_.victims.empty())
    return text + ".";
  return text + ", and " + list(d_.victims) + " would have to finish first.";
}

std::string Sentence::unload() const {
  switch (d_.reason) {
    case ReasonCode::idle_ttl:
      return "Unloading " + model() + ": nobody used it for " + rounded_text(d_.waited) + ".";
    case ReasonCode::load_timeout:
    case ReasonCode::stopped_hung:
      return "Killing the server of " + model() + ": " + d_.text + ".";
    case ReasonCode::stopped_short:
      return "Killing the server of " + model() +
             ", which lives but ran out of memory: " + d_.text +
             (d_.text.ends_with('.') ? "" : ".");
    case ReasonCode::shutting_down:
      return "Unloading " + model() + ": tonnage is shutting down.";
    case ReasonCode::config_changed:
      return "Unloading " + model() + ": its configuration changed.";
    case ReasonCode::model_removed:
      return "Unloading " + model() + ": it is no longer configured.";
    case ReasonCode::pressure:
      return "Unloading " + model() + ": memory pressure of " + pool() + " is " + d_.text +
             (d_.waited > Duration{0} ? ", and nobody used it for " + rounded_text(d_.waited)
                                      : std::string{}) +
             ".";
    case ReasonCode::foreign_growth:
      return "Unloading " + model() + ": other programs hold " + to_text(d_.need) + " more of " +
             pool() + " than is left beside the models.";
    case ReasonCode::budget_shrunk:
      return "Unloading " + model() + ": models hold " + to_text(d_.need) +
             " more than the budget of " + pool() + " now allows.";
    default:
      return "Unloading " + model() + ": an operator asked for it.";
  }
}

std::string Sentence::never_fits() const {
  std::string text = model() + " cannot run here: it needs at least " + to_text(d_.need) + " of " +
                     pool() + ", and " + to_text(d_.usable) + " is all that models may use.";
  const auto smallest = std::ranges::min_element(
      d_.tried, [](const auto& a, const auto& b) { return a.need < b.need; });
  if (smallest != d_.tried.end()) {
    text += " The smallest placement tried was " + describe(smallest->placement) + ".";
  }
  return text;
}

std::string Sentence::refuse() const {
  switch (d_.reason) {
    case ReasonCode::never_fits:
      return never_fits();
    case ReasonCode::context_too_small:
      return "The request needs more context than " + model() + " can give: " + d_.text + ".";
    case ReasonCode::pinned_models:
      if (!d_.text.empty())
        return d_.text + ".";
      return model() + " has no room beside the pinned models: it " + arithmetic() +
             ". Unpin one of them, or raise the budget.";
    case ReasonCode::queue_full:
      return d_.text + ".";
    case ReasonCode::queue_timeout:
      return "The request waited " + rounded_text(d_.waited) + " for " + model() +
             " and gave up: it " + arithmetic() + ".";
    case ReasonCode::model_failed:
      return model() + " failed and is not tried again for " + rounded_text(d_.retry_after) + ": " +
             d_.text;
    case ReasonCode::load_failed:
    case ReasonCode::profile_failed:
      return model() + " cannot be loaded: " + d_.text;
    case ReasonCode::crash_suspect:
      return "The server of " + model() +
             " failed twice with this request in it, so it is not tried again.";
    case ReasonCode::server_lost:
      return "The server of " + model() + " was lost more often than the request may be replayed.";
    case ReasonCode::no_resident:
      return "No model is ready, and `resident` never loads one.";
    case ReasonCode::shutting_down:
      return "tonnage is shutting down.";
    case ReasonCode::model_removed:
      return model() + " is no longer configured.";
    default:
      return "The request for " + model() + " was refused: " + d_.text;
  }
}

std::string Sentence::fail() const {
  switch (d_.reason) {
    case ReasonCode::load_failed:
      return "Loading " + model() + " failed: " + d_.text;
    case ReasonCode::profile_failed:
      return "The footprint of " + model() + " cannot be worked out: " + d_.text;
    default:
      return "The server of " + model() + " failed: " + d_.text;
  }
}

std::string Sentence::level() const {
  if (d_.reason == ReasonCode::device_lost)
    return "The device of " + pool() + " can be seen no more: " + d_.text + ".";
  std::string text = "Memory pressure of " + pool() + " is " +
                     (d_.text.empty() ? std::string("back to normal") : d_.text);
  text += ": " + to_text(d_.need) + " in use of " + to_text(d_.usable);
  if (d_.reason == ReasonCode::foreign_growth)
    text += ", of which other programs hold " + to_text(d_.headroom);
  return text + ".";
}

std::string Sentence::recover() const {
  switch (d_.reason) {
    case ReasonCode::more_room:
      return model() + " is tried again with " + to_text(d_.need) +
             " more room, for which others may have to give way.";
    case ReasonCode::lesser_placement:
      return model() + " is tried again with less: " + placement() + ".";
    case ReasonCode::device_failures:
      return model() + " runs on the CPU from now on: " + d_.text + ". `tonnage clear " + model() +
             "` gives it the GPU back" +
             (d_.retry_after > Duration{0}
                  ? ", and so does " + rounded_text(d_.retry_after) + " without a failure."
                  : ".");
    case ReasonCode::cooled_down:
      return model() + " may use the GPU again: " + rounded_text(d_.waited) +
             " have passed since its last failure there.";
    case ReasonCode::cleared:
      return model() + " may use the GPU again: an operator cleared its failures.";
    default:
      return model() + " recovers: " + d_.text + ".";
  }
}

std::string Sentence::write() const {
  switch (d_.kind) {
    case DecisionKind::load:
    case DecisionKind::degrade:
      return load();
    case DecisionKind::ready:
      return model() + " is ready after " + rounded_text(d_.waited) + " with " + placement() + ".";
    case DecisionKind::evict: {
      std::string text = "Unloading " + model() + " to make room for " + name(d_.other) +
                         ", which needs " + to_text(d_.need) + " of " + pool() + " while " +
                         free() + " is free.";
      if (d_.reason == ReasonCode::single_model) {
        text = "Unloading " + model() + " for " + name(d_.other) +
               ": only one model is allowed at a time.";
      } else if (d_.reason == ReasonCode::heavy_slot) {
        text = "Unloading " + model() + " for " + name(d_.other) +
               ": only one heavy model is allowed at a time.";
      } else if (d_.reason == ReasonCode::room_for_profile) {
        text = "Unloading " + model() + " to make room for a dry run of " + name(d_.other) + ".";
      }
      return text + " It was last used " + rounded_text(d_.waited) + " ago.";
    }
    case DecisionKind::level:
      return level();
    case DecisionKind::recover:
      return recover();
    case DecisionKind::leak:
      return "The " + (d_.text.empty() ? "server" : d_.text) + " of " + model() + " ended, and " +
             to_text(d_.need) + " of " + pool() + " did not come back within " +
             rounded_text(d_.waited) + ". It counts as held by others until it is seen free.";
    case DecisionKind::unload:
      return unload();
    case DecisionKind::wait:
      return wait();
    case DecisionKind::yield:
      if (d_.reason == ReasonCode::pressure) {
        return model() + " stops taking requests until it can be unloaded: memory pressure of " +
               pool() + " is " + d_.text + ".";
      }
      return model() + " stops taking requests until it can give way to " + name(d_.other) +
             ", which has waited " + rounded_text(d_.waited) + " and needs " + to_text(d_.need) +
             ".";
    case DecisionKind::upgrade:
      return "Stopping " + model() + " with " + placement() + " to start it better placed.";
    case DecisionKind::refuse:
      return refuse();
    case DecisionKind::replay:
      return "The server of " + model() + " was lost; the request is sent again.";
    case DecisionKind::fail:
      return fail();
    case DecisionKind::stall:
      return "The load of " + model() + " has taken " + rounded_text(d_.waited) +
             " and is not ready; other loads no longer wait for it.";
    case DecisionKind::pin:
      return model() + " was " + (d_.text.empty() ? "pinned" : d_.text) + " by an operator.";
  }
  return {};
}

}  // namespace

std::string explain(const Decision& decision, const Policy& policy) {
  return Sentence(decision, policy).write();
}

}  // namespace tonnage
