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

// A server that ran out of memory, or that somebody else ended, takes nobody's chances: those that
// it lost, however often each, are replayed for free. With `killed` that is bounded by kills_max; a
// crash of its own making still counts for each.
void Governor::Impl::forgive_losses(ModelRecord& model, Generation generation, bool killed) {
  const auto forgive = [&](Request& request) {
    request.replays -= std::exchange(request.losses, 0);
    request.lost_from = false;
    request.kills += killed ? 1 : 0;
  };
  // The ends of these are still to come.
  for (const RequestId id : model.leased) {
    Request& request = requests_.at(id);
    forgive(request);
    request.spared = true;
  }
  model.queue.for_each([&](const RequestQueue::Waiting& w) {
    Request& request = requests_.at(w.request);
    if (request.lost_from && request.generation == generation)
      forgive(request);
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

// Counts and records a failure of the model, of `generation` where it was one server's.
Decision Governor::Impl::record_failure(ModelRecord& model, Failure failure, ReasonCode reason,
                                        std::optional<Generation> generation) {
  ++model.failures;
  model.failure = std::move(failure);
  Decision d = decision(DecisionKind::fail, reason, model);
  d.generation = generation;
  d.failure = model.failure.kind;
  d.text = model.failure.text;
  decide(d);
  return d;
}

// It neither rests nor uses up an attempt: the next load begins at once.
void Governor::Impl::killed_from_outside(ModelRecord& model, Failure failure) {
  ++model.kills_in_a_row;
  record_failure(model, std::move(failure), ReasonCode::killed_from_outside);
  move(model, ResidencyState::absent);
}

void Governor::Impl::crashed(ModelRecord& model, Failure failure) {
  ++model.failures_in_a_row;
  record_failure(model, std::move(failure), ReasonCode::server_failed);
  // The first crash is forgiven at once; a crash loop backs off, and who waits goes on waiting.
  if (model.failures_in_a_row >= 2) {
    rest(model, false);
  } else {
    move(model, ResidencyState::absent);
  }
}

void Governor::Impl::load_failed(ModelRecord& model, Failure failure) {
  ++model.attempts;
  const Decision failed = record_failure(model, std::move(failure), ReasonCode::load_failed);
  const bool stale = model.failure.kind == FailureKind::stale_profile;
  if (stale)
    model.rows.clear();
  const bool again =
      model.attempts < policy_.load.attempts_max && !is_permanent(model.failure.kind);
  if (again) {
    move(model, ResidencyState::absent);
    return;
  }
  model.attempts = 0;
  rest_and_refuse(model, failed);
}

// Whoever waits is told what failed.
void Governor::Impl::rest_and_refuse(ModelRecord& model, Decision failed) {
  ++model.failures_in_a_row;
  rest(model, true);
  failed.reason = ReasonCode::load_failed;
  failed.retry_after = std::max(Duration{1s}, model.retry_at - now_);
  refuse_all(model, RefusalStatus::bad_gateway, failed);
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
