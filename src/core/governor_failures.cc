// What an end of a server counts as: for its model, which may rest, and for the requests in it.
#include <algorithm>
#include <utility>

#include "core/governor_impl.h"

namespace tonnage {
namespace {

// Failures that another attempt cannot mend while the file and the configuration stay as they are.
bool is_permanent(FailureKind kind) {
  return kind == FailureKind::bad_model || kind == FailureKind::bad_setup;
}

}  // namespace

// Whoever was at the server when it crashed is a suspect, whether its connection's end was seen
// before the exit (it waits already) or will be seen after it (it is still leased). What might have
// been free is counted now.
void Governor::Impl::count_crash(ModelRecord& model, Generation generation) {
  const auto suspect = [](Request& request) {
    ++request.crashes;
    request.suspect = true;
  };
  for (const RequestId id : model.leased) {
    Request& request = requests_.at(id);
    if (request.counted)
      suspect(request);
  }
  std::vector<RequestId> returned;
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    const Request& request = requests_.at(w.request);
    if (request.lost_from && request.generation == generation)
      returned.push_back(w.request);
  });
  for (const RequestId id : returned) {
    Request& request = requests_.at(id);
    if (request.counted)
      suspect(request);
    request.lost_from = false;
    model.queue.erase(id);
    model.queue.push(id, request.arrived, request.priority, request.suspect);
  }
}

// A server that ran out of memory takes nobody's chances: those that it lost are replayed for free.
void Governor::Impl::forgive_crash(ModelRecord& model, Generation generation) {
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    Request& request = requests_.at(w.request);
    if (!request.lost_from || request.generation != generation)
      return;
    request.lost_from = false;
    request.replays = std::max(0, request.replays - 1);
  });
}

// Somebody else ended the server: no request did it. Those that it lost are sent again for free, as
// often as kills_max says, and are no suspects. A crash of its own making still counts for each.
void Governor::Impl::spare_requests(ModelRecord& model, Generation generation) {
  for (const RequestId id : model.leased) {
    Request& request = requests_.at(id);
    ++request.kills;
    request.spared = true;
  }
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    Request& request = requests_.at(w.request);
    if (!request.lost_from || request.generation != generation)
      return;
    request.lost_from = false;
    request.replays = std::max(0, request.replays - 1);
    ++request.kills;
  });
}

// Once it is known what its server's end counts as.
void Governor::Impl::refuse_worn_out(ModelRecord& model) {
  std::vector<RequestId> over;
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    if (is_worn_out(requests_.at(w.request)))
      over.push_back(w.request);
  });
  for (const RequestId id : over)
    refuse_lost(id, requests_.at(id), model);
}

// It neither rests nor uses up an attempt: the next load begins at once.
void Governor::Impl::killed_from_outside(ModelRecord& model, Failure failure) {
  ++model.failures;
  ++model.kills_in_a_row;
  model.failure = std::move(failure);
  Decision d = decision(DecisionKind::fail, ReasonCode::killed_from_outside, model);
  d.failure = model.failure.kind;
  d.text = model.failure.text;
  decide(std::move(d));
  move(model, ResidencyState::absent);
}

void Governor::Impl::crashed(ModelRecord& model, Failure failure) {
  ++model.failures;
  ++model.failures_in_a_row;
  model.failure = std::move(failure);
  Decision d = decision(DecisionKind::fail, ReasonCode::server_failed, model);
  d.failure = model.failure.kind;
  d.text = model.failure.text;
  decide(std::move(d));
  // The first crash is forgiven at once; a crash loop backs off, and who waits goes on waiting.
  if (model.failures_in_a_row >= 2) {
    rest(model, false);
  } else {
    move(model, ResidencyState::absent);
  }
}

void Governor::Impl::load_failed(ModelRecord& model, Failure failure) {
  ++model.failures;
  ++model.attempts;
  model.failure = std::move(failure);
  Decision d = decision(DecisionKind::fail, ReasonCode::load_failed, model);
  d.failure = model.failure.kind;
  d.text = model.failure.text;
  decide(d);
  const bool stale = model.failure.kind == FailureKind::stale_profile;
  if (stale)
    model.rows.clear();
  const bool again =
      model.attempts < policy_.load.attempts_max && !is_permanent(model.failure.kind);
  if (again) {
    move(model, ResidencyState::absent);
    return;
  }
  ++model.failures_in_a_row;
  model.attempts = 0;
  rest(model, true);
  d.retry_after = std::max(Duration{1s}, model.retry_at - now_);
  refuse_all(model, RefusalStatus::bad_gateway, d);
  finish_load_commands(model, false, model.failure.text);
}

void Governor::Impl::rest(ModelRecord& model, bool refuses) {
  const std::int32_t doublings = std::clamp(model.failures_in_a_row - 1, 0, 30);
  const Duration most = policy_.load.retry_backoff_max;
  Duration backoff = std::min(policy_.load.retry_backoff_min, most);
  for (std::int32_t i = 0; i < doublings && backoff < most; ++i)
    backoff = std::min(backoff * 2, most);
  model.retry_at = now_ + backoff;
  model.refuses = refuses;
  model.reload_for.reset();
  move(model, ResidencyState::failed);
}

}  // namespace tonnage
