// How RequestDesk answers what went wrong: errors of servers, early and late, and refusals.
#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

#include "api/engine_error.h"
#include "api/view.h"
#include "base/loop_clock.h"
#include "daemon/error_answer.h"
#include "daemon/request_desk.h"
#include "engine/failure_class.h"

namespace tonnage {
namespace {

using Clock = LoopClock;

int status_of(RefusalStatus status) {
  switch (status) {
    case RefusalStatus::too_large:
      return 400;
    case RefusalStatus::unavailable:
      return 503;
    case RefusalStatus::bad_gateway:
      return 502;
    case RefusalStatus::not_found:
      return 404;
  }
  return 503;
}

}  // namespace

void RequestDesk::answer(RequestId id, Open& open, const api::ApiError& error) {
  answer_error(*open.order.exchange, error, open.order.dialect, response_headers(id, open));
}

// A server may live on without the memory for this request or any other. Its client is not told:
// the request is sent again, to a server with more room. Every other error is the client's.
bool RequestDesk::is_out_of_memory(Open& open, const net::RelayResult& result) {
  if (!open.order.replayable || result.status < 500 || result.held.cut)
    return false;
  const auto words = engines_.supervisor().last_words(*open.generation);
  AnswerClass answer = classify_answer(result.status, result.held.body, words);
  if (answer.verdict != AnswerVerdict::memory)
    return false;
  // Before the request's end, so that the core knows what it was lost for.
  loop_.post(ServerOutOfMemory{*open.generation, *std::move(answer.failure)});
  return true;
}

void RequestDesk::held(RequestId id, Open& open, const net::RelayResult& result) {
  constexpr int kOk = 200;
  if (open.order.parts && result.status == kOk) {
    // What cannot be joined, whatever it is, is asked for all at once.
    if (result.held.cut || !open.order.parts->take(result.held.body))
      open.order.parts.reset();
    return part_done(id, result);
  }
  if (is_out_of_memory(open, result))
    return hand_back(id, open);
  const int status = result.status;
  if (open.order.raw) {
    net::Response response;
    response.status = status;
    response.headers = result.held.headers;
    std::ranges::move(response_headers(id, open), std::back_inserter(response.headers));
    response.body = result.held.body;
    open.order.exchange->respond(std::move(response));
    return end(id, RequestOutcome::answered, status, result);
  }
  const api::ApiError error =
      api::engine_error(status, result.held.body, directory_.id(open.model));
  // The engine has counted what it refuses.
  if (open.order.teaches && error.overflow && error.overflow->prompt_tokens > 0)
    prompt_sizes_.learn(open.model, open.order.prompt_bytes,
                        static_cast<std::uint64_t>(error.overflow->prompt_tokens));
  answer(id, open, error);
  end(id, RequestOutcome::answered, error.status, result);
}

std::optional<std::string> RequestDesk::stream_error(RequestId id, std::string_view event) {
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return std::nullopt;
  Open& open = found->second;
  const auto error = api::engine_error_event(event, directory_.id(open.model));
  if (!error)
    return std::nullopt;
  open.stream_error = open.order.exchange->note().status = error->status;
  return api::error_event(*error, open.order.dialect);
}

void RequestDesk::timed_out(RequestId id, Open& open, const net::RelayResult& result) {
  const bool begun = result.end == net::RelayResult::End::timed_out_midstream;
  const api::ApiError error = timeout_error(result, directory_.id(open.model),
                                            config_.models[open.model.value], config_.limits);
  if (begun) {
    open.order.exchange->note().status = error.status;
    open.order.exchange->finish_broken(api::error_event(error, open.order.dialect));
  } else {
    answer(id, open, error);
  }
  end_when_idle(id, RequestOutcome::broken, result);
}

// For good: it cannot be sent again.
void RequestDesk::server_lost(RequestId id, Open& open, const net::RelayResult& result) {
  const api::ApiError error =
      api::upstream_lost(directory_.id(open.model), result.why, last_words(open));
  if (result.may_answer_again()) {
    answer(id, open, error);
  } else {
    open.order.exchange->note().status = error.status;
    open.order.exchange->finish_broken(api::error_event(error, open.order.dialect));
  }
  end(id, RequestOutcome::broken, error.status, result);
}

// The last line that its server wrote and that says something.
std::string RequestDesk::last_words(const Open& open) {
  if (!open.generation)
    return {};
  for (const std::string_view line :
       engines_.supervisor().last_words(*open.generation) | std::views::reverse) {
    if (line.find_first_not_of(" \t\r") != std::string_view::npos)
      return std::string(line);
  }
  return {};
}

void RequestDesk::refuse(const Refuse& action) {
  const auto found = open_.find(action.request.value);
  if (found == open_.end())
    return;
  Open& open = found->second;
  const int status = status_of(action.status);
  metrics_.refusal(to_text(action.decision.reason));
  RequestMetrics metrics;
  if (action.decision.model)
    metrics.model = action.decision.model->value;
  metrics.status = status;
  metrics.wait = metrics.total = std::chrono::duration_cast<Duration>(Clock::now() - open.arrived);
  metrics_.request(metrics);
  open.order.exchange->on_client_gone({});
  // A key that is limited to models is not told which others are in its way.
  const api::View view(loop_.policy(), {open.order.key, api::Scopes{}});
  api::ApiError error =
      api::refusal(action.decision, status, view.policy(), overflow_of(action, open));
  if (action.decision.reason == ReasonCode::never_fits && action.decision.model) {
    if (const std::string files = engines_.known(*action.decision.model).file_sizes; !files.empty())
      error.message += " Its files: " + files + ".";
  }
  answer(action.request, open, error);
  forget(action.request);
}

// Both numbers of a request that needs more context than its model has.
api::ContextOverflow RequestDesk::overflow_of(const Refuse& action, const Open& open) const {
  api::ContextOverflow overflow;
  if (action.decision.reason != ReasonCode::context_too_small)
    return overflow;
  overflow.prompt_tokens = open.order.context_needed;
  for (const ModelSnapshot& model : loop_.snapshot().models) {
    const auto& placement = model.placement ? model.placement : model.target;
    if (model.model == action.decision.model && placement)
      overflow.context = placement->context;
  }
  return overflow;
}

}  // namespace tonnage
