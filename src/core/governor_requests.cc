// Requests: arrival, admission, the end of a lease, replay and refusal.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/governor_impl.h"

namespace tonnage {
namespace {

// Of lost_hold, for one request that is lost to one server again and again.
constexpr std::int32_t kHoldDoublingsMax = 3;
// A wish for context counts for this part of the time that a request may wait: it is an estimate,
// which must not be what a request is refused for.
constexpr std::int64_t kWishShare = 2;

}  // namespace

void Governor::Impl::on(const RequestArrived& event) {
  if (requests_.contains(event.request))
    return;
  Decision d;
  d.kind = DecisionKind::refuse;
  d.at = now_;
  d.request = event.request;
  d.model = event.model;
  d.headroom = ledger_.headroom(kHostPool);
  d.usable = ledger_.empty(kHostPool);
  if (shutting_down_) {
    d.reason = ReasonCode::shutting_down;
    refuse(event.request, RefusalStatus::unavailable, std::move(d));
    return;
  }
  const std::optional<ModelId> id = event.model ? event.model : resident();
  ModelRecord* model = id ? find(*id) : nullptr;
  if (model == nullptr) {
    d.reason = ReasonCode::no_resident;
    d.retry_after = 5s;
    refuse(event.request, RefusalStatus::unavailable, std::move(d));
    return;
  }
  d.model = model->id;
  if (policy_.models[id->value].removed) {
    d.reason = ReasonCode::model_removed;
    refuse(event.request, RefusalStatus::not_found, std::move(d));
    return;
  }
  if (model->state == ResidencyState::failed && model->refuses) {
    d.reason = ReasonCode::model_failed;
    d.retry_after = std::max(Duration{1s}, model->retry_at - now_);
    d.text = model->failure.text;
    refuse(event.request, RefusalStatus::bad_gateway, std::move(d));
    return;
  }
  if (event.context_needed > 0 && !model->rows.empty() && planner().target_row(model->id, 0) &&
      !planner().target_row(model->id, event.context_needed)) {
    d.reason = ReasonCode::context_too_small;
    d.text = context_words(*model, event.context_needed);
    refuse(event.request, RefusalStatus::too_large, std::move(d));
    return;
  }
  Request request;
  request.model = model->id;
  request.priority = event.priority;
  request.context_needed = event.context_needed;
  request.context_wished = event.context_wished;
  request.counted = event.counted;
  request.slots = std::max(1, event.slots);
  request.arrived = now_;
  if ((model->queue.empty() || !request.counted) && can_admit(*model, request)) {
    const auto placed = requests_.emplace(event.request, request).first;
    admit(event.request, placed->second, *model);
    return;
  }
  if (waiting_ >= policy_.queue.waiting_max ||
      static_cast<std::int32_t>(model->queue.size()) >= policy_.queue.waiting_per_model_max) {
    const auto waiting = static_cast<std::int32_t>(model->queue.size());
    d.text = waiting_ >= policy_.queue.waiting_max
                 ? "The queue is full: " + std::to_string(waiting_) + " requests are waiting, " +
                       std::to_string(waiting) + " of them for " + policy_.models[id->value].id
                 : "The queue for " + policy_.models[id->value].id +
                       " is full: " + std::to_string(waiting) + " requests are waiting";
    d.reason = ReasonCode::queue_full;
    d.retry_after = expected_retry(*model);
    refuse(event.request, RefusalStatus::unavailable, std::move(d));
    return;
  }
  const auto placed = requests_.emplace(event.request, request).first;
  enqueue(event.request, placed->second, *model);
}

// `resident`: the most recently used ready LLM that admits new work. Under pressure that asks for
// it the smallest of them, or the fallback model.
std::optional<ModelId> Governor::Impl::resident() const {
  if (policy_.pressure.fallback && any_pool_at(PressureStepKind::fallback))
    return policy_.pressure.fallback;
  const bool small = any_pool_at(PressureStepKind::prefer_small);
  const auto size = [](const ModelRecord& m) {
    Bytes sum = size_of(m.charged->charge.weights);
    for (const Bytes own : m.charged->charge.own)
      sum += own;
    return sum;
  };
  const ModelRecord* best = nullptr;
  for (const ModelRecord& m : models_) {
    if (m.state != ResidencyState::ready)
      continue;
    if (policy_.models[m.id.value].type != ModelType::llm)
      continue;
    if (best == nullptr || (small ? size(m) < size(*best) : m.last_used > best->last_used))
      best = &m;
  }
  return best == nullptr ? std::nullopt : std::optional(best->id);
}

bool Governor::Impl::can_admit(const ModelRecord& model, const Request& request) const {
  if (model.state != ResidencyState::ready || model.suspect_running)
    return false;
  if (!request.counted)
    return true;
  if (admission_stopped(model.charged->charge))
    return false;
  if (request.context_needed > model.placement.context || waits_to_grow(model, request))
    return false;
  if (request.suspect)
    return model.counted == 0;
  return model.counted + slots_for(model, request) <= in_flight_max(model);
}

Tick Governor::Impl::wish_until(const Request& request) const {
  return request.arrived + policy_.queue.queue_timeout / kWishShare;
}

std::int32_t Governor::Impl::wish_of(const Request& request) const {
  return now_ < wish_until(request) ? request.context_wished : 0;
}

// Whether it waits until the server can be stopped for one with more context. Where that one would
// not fit it is served at once, and the engine says whether it is too long. A pinned model is not
// stopped for an estimate.
bool Governor::Impl::waits_to_grow(const ModelRecord& model, const Request& request) const {
  const std::int32_t wish = wish_of(request);
  return wish > model.placement.context && !request.wish_tried && !model.pinned &&
         planner().can_grow(model.id, wish);
}

// What does not fit into all slots at once takes them all, and the server works it off.
std::int32_t Governor::Impl::slots_for(const ModelRecord& model, const Request& request) const {
  return request.counted ? std::min(request.slots, in_flight_max(model)) : 0;
}

// What the request asks for, and what there is.
std::string Governor::Impl::context_words(const ModelRecord& model, std::int32_t needed) const {
  std::int32_t most = model.generation ? model.placement.context : 0;
  if (!model.generation) {
    for (const PlacementRow& row : model.rows)
      most = std::max(most, row.placement.context);
  }
  return "it needs " + std::to_string(needed) + " tokens; the context is " + std::to_string(most);
}

// Whether a reload could give the request its context. It would stop the server, which a pin
// forbids.
bool Governor::Impl::may_grow(const ModelRecord& model, const Request& request) const {
  return !model.pinned && planner().target_row(model.id, request.context_needed).has_value();
}

void Governor::Impl::admit(RequestId id, Request& request, ModelRecord& model) {
  request.admitted = true;
  request.lost_from = false;
  if (request.generation != *model.generation)
    request.losses = 0;
  request.generation = *model.generation;
  model.leased.insert(id);
  request.spared = false;
  request.slots_held = slots_for(model, request);
  if (request.counted) {
    model.counted += request.slots_held;
    model.suspect_running = request.suspect;
    model.context_asked =
        std::max(model.context_asked, std::min(model.placement.context, request.context_wished));
    model.usage.use(now_);
    ++model.uses;
  }
  touch(model);
  emit(Admit{id, model.id, *model.generation});
}

void Governor::Impl::admit_waiting(ModelRecord& model) {
  while (!model.queue.empty()) {
    const auto head = model.queue.front(now_, policy_.queue.yield_after);
    Request& request = requests_.at(*head);
    if (request.context_needed > model.placement.context && !may_grow(model, request)) {
      Decision d = decision(DecisionKind::refuse, ReasonCode::context_too_small, model);
      d.text = context_words(model, request.context_needed);
      RefusalStatus status = RefusalStatus::too_large;
      if (planner().target_row(model.id, request.context_needed)) {
        d.reason = ReasonCode::pinned_models;
        d.text = policy_.models[model.id.value].id + " is pinned: " + d.text;
        d.retry_after = 30s;
        status = RefusalStatus::unavailable;
      }
      refuse(*head, status, std::move(d));
      continue;
    }
    if (!can_admit(model, request))
      return;
    if (is_worn_out(request)) {
      refuse_lost(*head, request, model);
      continue;
    }
    model.queue.erase(*head);
    --waiting_;
    admit(*head, request, model);
  }
}

void Governor::Impl::enqueue(RequestId id, Request& request, ModelRecord& model) {
  request.admitted = false;
  model.queue.push(id, request.arrived, request.priority, request.suspect);
  ++waiting_;
  dirty_ = true;
}

void Governor::Impl::on(const RequestEnded& event) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end())
    return;
  Request& request = found->second;
  if (!request.admitted || request.generation != event.generation)
    return;
  ModelRecord& model = models_[request.model.value];
  const bool current = model.generation == event.generation;
  if (current && model.leased.erase(event.request) > 0) {
    model.counted -= request.slots_held;
    TONNAGE_CHECK(model.counted >= 0, "a lease ends once");
    if (request.suspect)
      model.suspect_running = false;
    touch(model);
    if (event.outcome == RequestOutcome::answered) {
      model.failures_in_a_row = 0;
      model.kills_in_a_row = 0;
    }
  }
  // Somebody may have waited for this slot, for this memory, or for the end of all work.
  if (waiting_ > 0 || somebody_wants_ || !model.queue.empty() ||
      model.state != ResidencyState::ready || shutting_down_ || model.degraded ||
      policy_.models[model.id.value].ttl || ledger_.over_budget()) {
    dirty_ = true;
  }
  if (event.outcome == RequestOutcome::lost && !request.client_gone) {
    replay_or_refuse(event.request, request);
  } else {
    requests_.erase(found);
  }
}

// Lost more often than its rules allow. Which losses count is known once its server has been seen
// dead, or admits again.
bool Governor::Impl::is_worn_out(const Request& request) const {
  return request.crashes >= kCrashesMax || request.replays > policy_.queue.replays_max ||
         request.kills > policy_.recovery.kills_max;
}

void Governor::Impl::refuse_lost(RequestId id, const Request& request, ModelRecord& model) {
  const bool suspect = request.crashes >= kCrashesMax;
  Decision d = decision(DecisionKind::refuse,
                        suspect ? ReasonCode::crash_suspect : ReasonCode::server_lost, model);
  d.text = model.failure.text;
  refuse(id, RefusalStatus::bad_gateway, std::move(d));
}

// A lost request is sent again. Its server is given time to be seen dead first.
void Governor::Impl::replay_or_refuse(RequestId id, Request& request) {
  ModelRecord& model = models_[request.model.value];
  const bool alive = model.generation == request.generation;
  Decision d = decision(DecisionKind::refuse, ReasonCode::server_lost, model);
  d.request = id;
  d.text = alive && model.stop_failure ? model.stop_failure->text : model.failure.text;
  request.admitted = false;
  request.slots_held = 0;
  // How its server ends decides whether this replay counts.
  if (!std::exchange(request.spared, false)) {
    ++request.replays;
    ++request.losses;
  }
  if (shutting_down_) {
    d.reason = ReasonCode::shutting_down;
    refuse(id, RefusalStatus::unavailable, std::move(d));
    return;
  }
  if (policy_.models[model.id.value].removed) {
    d.reason = ReasonCode::model_removed;
    refuse(id, RefusalStatus::not_found, std::move(d));
    return;
  }
  if (!alive && is_worn_out(request)) {
    refuse_lost(id, request, model);
    return;
  }
  if (model.state == ResidencyState::failed && model.refuses) {
    d.reason = ReasonCode::model_failed;
    d.retry_after = std::max(Duration{1s}, model.retry_at - now_);
    refuse(id, RefusalStatus::bad_gateway, std::move(d));
    return;
  }
  d.kind = DecisionKind::replay;
  decide(std::move(d));
  request.lost_from = alive;
  if (alive && model.state == ResidencyState::ready) {
    // It may take long to die: who is lost there again gives it twice the time.
    const std::int32_t doublings = std::clamp(request.losses - 1, 0, kHoldDoublingsMax);
    move(model, ResidencyState::draining);
    model.drain_cause = DrainCause::holding;
    model.hold_until = now_ + policy_.queue.lost_hold * (std::int64_t{1} << doublings);
  }
  enqueue(id, request, model);
}

void Governor::Impl::on(const ClientGone& event) {
  const auto found = requests_.find(event.request);
  if (found == requests_.end())
    return;
  Request& request = found->second;
  if (request.admitted) {
    request.client_gone = true;
    return;
  }
  ModelRecord& model = models_[request.model.value];
  if (model.queue.erase(event.request))
    --waiting_;
  requests_.erase(found);
  dirty_ = true;
}

void Governor::Impl::refuse(RequestId id, RefusalStatus status, Decision d) {
  const auto found = requests_.find(id);
  if (found != requests_.end()) {
    ModelRecord& model = models_[found->second.model.value];
    if (model.queue.erase(id))
      --waiting_;
    d.waited = now_ - found->second.arrived;
    requests_.erase(found);
    dirty_ = true;
  }
  d.kind = DecisionKind::refuse;
  d.request = id;
  emit(Decided{d});
  emit(Refuse{id, status, std::move(d)});
}

void Governor::Impl::refuse_all(ModelRecord& model, RefusalStatus status, const Decision& d,
                                std::int32_t context_min) {
  std::vector<RequestId> waiting;
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    if (requests_.at(w.request).context_needed >= context_min)
      waiting.push_back(w.request);
  });
  std::ranges::sort(waiting);
  for (const RequestId id : waiting)
    refuse(id, status, d);
}

void Governor::Impl::expire_waiting(ModelRecord& model) {
  while (const auto oldest = model.queue.oldest()) {
    if (now_ - oldest->since < policy_.queue.queue_timeout)
      return;
    Decision d = decision(DecisionKind::refuse, ReasonCode::queue_timeout, model);
    if (!model.rows.empty()) {
      const LoadPlan plan = planner().plan_load({.model = model.id});
      d.need = plan.need;
      d.headroom = plan.headroom;
      d.usable = plan.usable;
      d.pool = plan.pool;
    }
    d.retry_after = expected_retry(model);
    refuse(oldest->request, RefusalStatus::unavailable, std::move(d));
  }
}

// An operator's load that cannot be met gives up like a request would.
void Governor::Impl::expire_load_commands(ModelRecord& model) {
  if (model.load_commands.empty() || !model.wanted_since)
    return;
  if (model.state == ResidencyState::loading)
    return;
  const Duration waited = now_ - *model.wanted_since;
  if (waited < policy_.queue.queue_timeout)
    return;
  std::string text = "gave up after " + rounded_text(waited);
  if (!model.rows.empty()) {
    const LoadPlan plan = planner().plan_load({.model = model.id});
    text += ": it needs " + to_text(plan.need) + "; " + to_text(std::max(Bytes{0}, plan.headroom)) +
            " is free";
  }
  finish_load_commands(model, false, text);
  dirty_ = true;
}

// When asking again makes sense: about the time that the queue ahead needs for one turn.
Duration Governor::Impl::expected_retry(const ModelRecord& model) const {
  const Duration load = model.load_time.value_or(Duration{1s});
  return std::clamp(load * 2, Duration{1s}, std::max(Duration{1s}, policy_.queue.yield_after));
}

}  // namespace tonnage
