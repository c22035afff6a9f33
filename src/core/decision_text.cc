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
    std::string text = std::to_string(p.slots) + (p.slots == 1 ? " slot" : " slots");
    if (p.context > 0)
      text += " of " + std::to_string(p.context) + " tokens";
    if (p.gpu_layers > 0)
      text += " and " + std::to_string(p.gpu_layers) + " layers on the GPU";
    return text;
  }

  // What is held back, or promised twice, makes less than nothing free.
  std::string free() const { return to_text(std::max(Bytes{0}, d_.headroom)); }

  std::string arithmetic() const {
    return "needs " + to_text(d_.need) + " in " + pool() + "; " + free() + " is free";
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
  std::string last_end() const;
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
      text += " There is memory for a better placement again.";
      break;
    case ReasonCode::more_context:
      text += " A request asks for more context than it had.";
      break;
    case ReasonCode::config_changed:
      text += " It is loaded again with its changed configuration.";
      break;
    case ReasonCode::pressure_over:
      text += " It was unloaded under memory pressure, which is over.";
      break;
    case ReasonCode::device_failures:
      text += " It failed too often on the device.";
      break;
    case ReasonCode::good_enough:
      text += " This is less than configured, but nearly as fast, and possible at once.";
      break;
    case ReasonCode::expected_wait:
      text += " This is less than configured, because more was not free within " +
              to_text(policy_.queue.degrade_after) + ".";
      break;
    case ReasonCode::never_fits_better:
      text +=
          " This is less than configured, because other programs use the memory that more would "
          "need.";
      break;
    case ReasonCode::lesser_placement:
      text += " This is less than configured, because its server ran out of memory with more.";
      break;
    default:
      break;
  }
  if (d_.waited > Duration{0}) {
    text += " Its first request has waited " + rounded_text(d_.waited) + ".";
  }
  return text;
}

std::string Sentence::wait() const {
  std::string text = model() + " waits: it " + arithmetic() + ".";
  if (d_.reason == ReasonCode::pressure)
    return text + " Nothing is loaded while memory pressure lasts.";
  if (d_.reason == ReasonCode::foreign_use)
    return text + " Other programs use the rest.";
  if (d_.victims.empty())
    return text;
  return text + " " + list(d_.victims) + " must finish first.";
}

std::string Sentence::unload() const {
  switch (d_.reason) {
    case ReasonCode::idle_ttl:
      return "Unloading " + model() + ": it was unused for " + rounded_text(d_.waited) + ".";
    case ReasonCode::load_timeout:
    case ReasonCode::stopped_hung:
      return "Killing the server of " + model() + ": " + d_.text + ".";
    case ReasonCode::stopped_short:
      return "Killing the server of " + model() +
             ", which is running but out of memory: " + d_.text +
             (d_.text.ends_with('.') ? "" : ".");
    case ReasonCode::shutting_down:
      return "Unloading " + model() + ": Tonnage is shutting down.";
    case ReasonCode::nobody_waits:
      return "Giving up the load of " + model() + ": nobody waits for it any more, and " +
             name(d_.other) + " waits.";
    case ReasonCode::config_changed:
      return "Unloading " + model() + ": its configuration changed.";
    case ReasonCode::model_removed:
      return "Unloading " + model() + ": it is no longer configured.";
    case ReasonCode::pressure:
      return "Unloading " + model() + ": memory pressure on " + pool() + " is " + d_.text +
             (d_.waited > Duration{0} ? ", and it was unused for " + rounded_text(d_.waited)
                                      : std::string{}) +
             ".";
    case ReasonCode::foreign_growth:
      return "Unloading " + model() + ": other programs use " + to_text(d_.need) + " more in " +
             pool() + " than the models leave free.";
    case ReasonCode::budget_shrunk:
      return "Unloading " + model() + ": models use " + to_text(d_.need) +
             " more than the budget of " + pool() + ".";
    default:
      return "Unloading " + model() + ": an operator asked for it.";
  }
}

std::string Sentence::never_fits() const {
  std::string text = model() + " cannot run here: it needs at least " + to_text(d_.need) + " in " +
                     pool() + "; models may use " + to_text(d_.usable) + ".";
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
      return model() + " failed; the next attempt is in " + rounded_text(d_.retry_after) + ": " +
             d_.text;
    case ReasonCode::load_failed:
    case ReasonCode::profile_failed:
      return model() + " cannot be loaded: " + d_.text;
    case ReasonCode::crash_suspect:
      return "The server of " + model() +
             " crashed twice while serving this request; it is not sent again." + last_end();
    case ReasonCode::server_lost:
      return "The server of " + model() +
             " ended too often while serving this request; it is not sent again." + last_end();
    case ReasonCode::no_resident:
      return "No model is ready; `resident` never loads one.";
    case ReasonCode::shutting_down:
      return "Tonnage is shutting down.";
    case ReasonCode::model_removed:
      return model() + " is no longer configured.";
    default:
      return "The request for " + model() + " was refused: " + d_.text;
  }
}

// How its server ended last, with what it wrote.
std::string Sentence::last_end() const {
  if (d_.text.empty())
    return {};
  return " The last one: " + d_.text + (d_.text.ends_with('.') ? "" : ".");
}

std::string Sentence::fail() const {
  switch (d_.reason) {
    case ReasonCode::load_failed:
      return "Loading " + model() + " failed: " + d_.text;
    case ReasonCode::profile_failed:
      return "The footprint of " + model() + " cannot be calculated: " + d_.text;
    case ReasonCode::killed_from_outside:
      return "The server of " + model() + " was killed by another program or person: " + d_.text +
             ". Its requests are sent again.";
    default:
      return "The server of " + model() + " failed: " + d_.text;
  }
}

std::string Sentence::level() const {
  if (d_.reason == ReasonCode::device_lost)
    return "The device of " + pool() + " is no longer visible: " + d_.text + ".";
  std::string text = "Memory pressure on " + pool() + " is " +
                     (d_.text.empty() ? std::string("back to normal") : d_.text);
  text += ": " + to_text(d_.used) + " of " + to_text(d_.capacity) + " in use";
  if (d_.reason == ReasonCode::foreign_growth)
    text += ", " + to_text(d_.foreign) + " of it by other programs";
  return text + ".";
}

std::string Sentence::recover() const {
  switch (d_.reason) {
    case ReasonCode::more_room:
      return model() + " is tried again with " + to_text(d_.need) +
             " more memory; other models may be unloaded for it.";
    case ReasonCode::lesser_placement:
      return model() + " is tried again with a smaller placement: " + placement() + ".";
    case ReasonCode::device_failures:
      return model() + " runs on the CPU from now on: " + d_.text + ". It may use the GPU again " +
             (d_.cooldown ? "after " + rounded_text(*d_.cooldown) + ", or " : std::string()) +
             "after `tonnage clear " + model() + "`.";
    case ReasonCode::cooled_down:
      return model() + " may use the GPU again: its last failure there was " +
             rounded_text(d_.waited) + " ago.";
    case ReasonCode::above_budget:
      return model() + " uses " + to_text(d_.need) + " in " + pool() +
             ", more than the budget of " + to_text(d_.usable) +
             ". It is kept, and nothing else is loaded beside it. Raise the budget, or configure "
             "less context or fewer slots for it.";
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
                         ", which " + arithmetic() + ".";
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
      return "The " + (d_.text.empty() ? "server" : d_.text) + " of " + model() + " ended, but " +
             to_text(d_.need) + " in " + pool() + " was not free after " + rounded_text(d_.waited) +
             ". It counts as used by other programs until it is free.";
    case DecisionKind::unload:
      return unload();
    case DecisionKind::wait:
      return wait();
    case DecisionKind::yield:
      if (d_.reason == ReasonCode::pressure) {
        return model() + " takes no more requests and is unloaded when idle: memory pressure on " +
               pool() + " is " + d_.text + ".";
      }
      return model() + " takes no more requests and is unloaded when idle: " + name(d_.other) +
             " has waited " + rounded_text(d_.waited) + " and needs " + to_text(d_.need) + " in " +
             pool() + ".";
    case DecisionKind::upgrade:
      return "Stopping " + model() + " with " + placement() +
             (d_.reason == ReasonCode::more_context
                  ? ": a request that waits asks for more context."
                  : " to load a better placement.");
    case DecisionKind::refuse:
      return refuse();
    case DecisionKind::replay:
      return "The connection to the server of " + model() + " broke; the request is sent again.";
    case DecisionKind::fail:
      return fail();
    case DecisionKind::stall:
      return "The load of " + model() + " has taken " + rounded_text(d_.waited) +
             " so far; other loads no longer wait for it.";
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
