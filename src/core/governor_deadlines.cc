// When the core wants to be asked again.
#include <algorithm>

#include "core/governor_impl.h"

namespace tonnage {

void Governor::Impl::update_deadline() {
  recovery_deadlines();
  pressure_deadlines();
  for (const ModelRecord& model : models_) {
    if (const auto oldest = model.queue.oldest()) {
      deadline_at(oldest->since + policy_.queue.queue_timeout);
      const Request& first = *first_in_line(model);
      if (wish_of(first) > 0)
        deadline_at(wish_until(first));
    }
    // A load that runs has a time-out of its own.
    if (model.wanted_since && !model.load_commands.empty() &&
        model.state != ResidencyState::loading) {
      deadline_at(*model.wanted_since + policy_.queue.queue_timeout);
    }
    switch (model.state) {
      case ResidencyState::loading:
        if (!model.stalled)
          deadline_at(model.loading_since + policy_.load.stall_after);
        deadline_at(model.loading_since + policy_.load.timeout);
        break;
      case ResidencyState::profiling:
        if (!is_hung_dry_run(model))
          deadline_at(model.profiling_since + policy_.load.profile_stall_after);
        break;
      case ResidencyState::failed:
        deadline_at(model.retry_at);
        break;
      case ResidencyState::draining:
        if (model.drain_cause == DrainCause::holding)
          deadline_at(model.hold_until);
        break;
      case ResidencyState::ready: {
        const bool idle = model.leased.empty() && model.queue.empty();
        const auto ttl = policy_.models[model.id.value].ttl;
        if (ttl && idle && !model.pinned) {
          deadline_at(model.last_used + std::max(*ttl, policy_.residency.grace));
        }
        if (model.degraded && idle && now_ < model.last_used + policy_.residency.grace) {
          deadline_at(model.last_used + policy_.residency.grace);
        }
        break;
      }
      default:
        break;
    }
  }
  somebody_wants_ = false;
  if (shutting_down_) {
    if (!drained_ && now_ < shutdown_deadline_)
      deadline_at(shutdown_deadline_);
    return;
  }
  bool waits = false;
  for (const Wanted& w : wanted_models()) {
    waits = true;
    // A reload that nobody waits for makes nobody yield, and takes nothing lesser by waiting.
    const ModelRecord& wanting = models_[w.model.value];
    if (wanting.queue.empty() && wanting.load_commands.empty())
      continue;
    for (const Duration after : {policy_.queue.yield_after, policy_.queue.degrade_after}) {
      if (w.since + after > now_)
        deadline_at(w.since + after);
    }
  }
  somebody_wants_ = waits;
  if (!waits)
    return;
  // What a waiting model waits for may be a minimum residency or a grace that ends by itself.
  for (const ModelRecord& model : models_) {
    if (model.state != ResidencyState::ready)
      continue;
    const Tick owed = model.ready_since + planner().min_residency(model);
    if (owed > now_)
      deadline_at(owed);
    const auto grace = policy_.residency.grace_on_demand;
    if (grace && model.last_used + *grace > now_)
      deadline_at(model.last_used + *grace);
  }
}

}  // namespace tonnage
