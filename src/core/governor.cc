#include "core/governor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/governor_impl.h"

namespace tonnage {

Governor::Governor(Policy policy, Tick now)
    : impl_(std::make_unique<Impl>(std::move(policy), now)) {}
Governor::Governor(GovernorState state) : impl_(std::make_unique<Impl>(std::move(state))) {}
Governor::~Governor() = default;
Governor::Governor(Governor&&) noexcept = default;
Governor& Governor::operator=(Governor&&) noexcept = default;

void Governor::step(Tick now, const Event& event, Actions& actions) {
  impl_->step(now, event, actions);
}
std::optional<Tick> Governor::next_deadline() const {
  return impl_->next_deadline();
}
Snapshot Governor::snapshot(Tick now) const {
  return impl_->snapshot(now);
}
std::vector<Violation> Governor::violations() const {
  return impl_->violations();
}
PlanAnswer Governor::plan(const PlanQuery& query, Tick now) const {
  return impl_->plan(query, now);
}
std::optional<std::int32_t> Governor::queue_place(RequestId request) const {
  return impl_->queue_place(request);
}
bool Governor::awaits_release(PoolId pool) const {
  return impl_->awaits_release(pool);
}
const Policy& Governor::policy() const {
  return impl_->policy();
}

GovernorState Governor::state() const {
  return impl_->state();
}

std::string_view to_text(PlanVerdict verdict) {
  switch (verdict) {
    case PlanVerdict::ready:
      return "ready";
    case PlanVerdict::fits:
      return "fits";
    case PlanVerdict::evicts:
      return "evicts";
    case PlanVerdict::waits:
      return "waits";
    case PlanVerdict::refused:
      return "refused";
    case PlanVerdict::unknown:
      return "unknown";
  }
  return "unknown";
}

Governor::Impl::Impl(Policy policy, Tick now)
    : policy_(std::move(policy)),
      ledger_(policy_.pools),
      eviction_(make_eviction_policy(policy_.residency.eviction)),
      now_(now) {
  pressure_.resize(policy_.pools.size());
  models_.resize(policy_.models.size());
  for (std::size_t i = 0; i < models_.size(); ++i) {
    models_[i].id = ModelId(static_cast<std::uint32_t>(i));
    models_[i].pinned = policy_.models[i].pinned;
    models_[i].last_used = now;
  }
}

void Governor::Impl::step(Tick now, const Event& event, Actions& actions) {
  now_ = std::max(now_, now);
  actions_ = &actions;
  std::visit([this](const auto& e) { on(e); }, event);
  if (dirty_)
    schedule();
  actions_ = nullptr;
}

void Governor::Impl::move(ModelRecord& model, ResidencyState to) {
  TONNAGE_CHECK(is_legal(model.state, to), "a legal residency edge");
  model.state = to;
  dirty_ = true;
}

ModelRecord* Governor::Impl::find(ModelId id) {
  return id.value < models_.size() ? &models_[id.value] : nullptr;
}

Decision Governor::Impl::decision(DecisionKind kind, ReasonCode reason,
                                  const ModelRecord& model) const {
  Decision d;
  d.kind = kind;
  d.reason = reason;
  d.at = now_;
  d.model = model.id;
  d.generation = model.generation;
  if (model.generation)
    d.placement = model.placement;
  d.headroom = ledger_.headroom(kHostPool);
  d.usable = ledger_.empty(kHostPool);
  return d;
}

void Governor::Impl::decide(Decision d) {
  emit(Decided{std::move(d)});
}

void Governor::Impl::deadline_at(Tick tick) {
  if (!deadline_ || tick < *deadline_)
    deadline_ = tick;
}

// A degraded placement with fewer slots takes proportionally fewer requests.
std::int32_t Governor::Impl::in_flight_max(const ModelRecord& model) const {
  const std::int32_t most = policy_.models[model.id.value].in_flight_max;
  if (model.rows.empty() || model.placement.slots >= model.rows.front().placement.slots) {
    return most;
  }
  return std::max(1, most * model.placement.slots / model.rows.front().placement.slots);
}

void Governor::Impl::touch(ModelRecord& model) {
  model.last_used = now_;
  model.used = true;
}

std::vector<Violation> Governor::Impl::violations() const {
  std::vector<Violation> broken;
  for (std::string& text : ledger_.verify())
    broken.push_back({std::move(text)});
  std::int32_t waiting = 0;
  for (const ModelRecord& m : models_) {
    const std::string& name = policy_.models[m.id.value].id;
    waiting += static_cast<std::int32_t>(m.queue.size());
    const bool has_server =
        m.state == ResidencyState::loading || m.state == ResidencyState::ready ||
        m.state == ResidencyState::draining || m.state == ResidencyState::stopping;
    if (has_server != m.generation.has_value()) {
      broken.push_back({name + " is " + std::string(to_text(m.state)) + " and its server differs"});
    }
    if (m.generation && ledger_.find(*m.generation) == nullptr) {
      broken.push_back({name + " has a server that is not charged"});
    }
    if (!m.generation && !m.leased.empty())
      broken.push_back({name + " leases nothing"});
    std::int32_t held = 0;
    for (const RequestId id : m.leased)
      held += requests_.contains(id) ? requests_.at(id).slots_held : 0;
    if (m.counted != held)
      broken.push_back({name + " counts other slots than its requests hold"});
  }
  if (waiting != waiting_)
    broken.push_back({"the count of waiting requests is wrong"});
  return broken;
}

}  // namespace tonnage
