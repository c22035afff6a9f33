#include "daemon/request_desk.h"

#include <utility>

#include "api/view.h"
#include "base/loop_clock.h"
#include "engine/failure_class.h"

namespace tonnage {
namespace {

using Clock = LoopClock;

// A streaming request that waits longer than this is told its place, and again this often.
constexpr Duration kFirstPlace = 2s;
constexpr Duration kPlaceEvery = 2s;

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

Duration since(Clock::time_point then) {
  return std::chrono::duration_cast<Duration>(Clock::now() - then);
}

// What the server says of the tokens, and when they began to come.
void add_answer_figures(RequestMetrics& metrics, bool stream, const net::RelayResult& result) {
  if (result.status != 200)
    return;
  metrics.tokens = read_token_counts(result.body_begin, result.body_end);
  if (stream && result.first_byte_time && result.body_bytes > 0)
    metrics.first_token = metrics.wait + *result.first_byte_time;
}

std::string whole_ms(Duration duration) {
  return std::to_string(duration.count() / 1'000);
}

}  // namespace

void answer_error(net::Exchange& exchange, const api::ApiError& error, api::Dialect dialect,
                  std::optional<RequestId> request) {
  if (exchange.answer_begun()) {
    exchange.send(api::error_event(error, dialect));
    exchange.end_stream();
    return;
  }
  net::Response response;
  response.status = error.status;
  response.content_type = "application/json";
  response.body = api::error_body(error, dialect);
  if (error.retry_after_s) {
    response.headers.push_back({"Retry-After", std::to_string(*error.retry_after_s)});
  }
  if (request)
    response.headers.push_back({"x-tonnage-request", std::to_string(request->value)});
  exchange.respond(std::move(response));
}

RequestDesk::RequestDesk(boost::asio::io_context& io, const Config& config, GovernorLoop& loop,
                         EngineRoom& engines, const Directory& directory, Metrics& metrics)
    : config_(config),
      loop_(loop),
      engines_(engines),
      directory_(directory),
      metrics_(metrics),
      places_(io) {}

RequestDesk::~RequestDesk() = default;

void RequestDesk::take(RequestOrder order) {
  if (order.exchange->client_is_gone())
    return;
  const api::KeyRule* key = order.key;
  if (key != nullptr && key->in_flight_max) {
    if (per_key_[key] >= *key->in_flight_max) {
      metrics_.refusal("too_many_requests");
      metrics_.request(
          {.model = order.model ? std::optional(order.model->value) : std::nullopt, .status = 429});
      answer_error(*order.exchange, api::too_many_requests(key->name, *key->in_flight_max),
                   order.dialect);
      return;
    }
    ++per_key_[key];
  }
  const RequestId id(next_request_++);
  RequestArrived arrived;
  arrived.request = id;
  arrived.model = order.model;
  arrived.context_needed = order.context_needed;
  arrived.counted = order.counted;
  if (order.model)
    arrived.priority = loop_.policy().models[order.model->value].priority;
  if (key != nullptr && key->priority)
    arrived.priority = *key->priority;
  order.exchange->on_client_gone([this, id] { client_gone(id); });
  const bool stream = order.stream;
  Open open;
  open.order = std::move(order);
  open.arrived = Clock::now();
  open_.emplace(id.value, std::move(open));
  loop_.post(arrived);
  if (stream && open_.contains(id.value) && !open_.at(id.value).relaying)
    arm_places();
}

void RequestDesk::admit(const Admit& action) {
  const auto found = open_.find(action.request.value);
  if (found == open_.end()) {
    // The client left between the core's decision and now.
    loop_.post(RequestEnded{action.request, action.generation, RequestOutcome::client_gone});
    return;
  }
  Open& open = found->second;
  open.model = action.model;
  open.generation = action.generation;
  open.admitted = Clock::now();
  relay(action.request, open);
}

std::vector<net::Header> RequestDesk::response_headers(RequestId id, const Open& open) const {
  std::vector<net::Header> headers;
  headers.push_back({"x-tonnage-request", std::to_string(id.value)});
  headers.push_back({"x-tonnage-model", directory_.id(open.model)});
  headers.push_back({"x-tonnage-wait-ms", whole_ms(std::chrono::duration_cast<Duration>(
                                              *open.admitted - open.arrived))});
  if (open.replays > 0)
    headers.push_back({"x-tonnage-replays", std::to_string(open.replays)});
  return headers;
}

void RequestDesk::relay(RequestId id, Open& open) {
  const auto socket = engines_.socket(*open.generation);
  if (!socket) {
    // Its server ended at this very moment; the core will hear of that too.
    net::RelayResult result;
    result.end = net::RelayResult::End::connect_failed;
    result.why = "the server has ended";
    open.relaying = true;
    relayed(id, std::move(result));
    return;
  }
  const ModelConfig& model = config_.models[open.model.value];
  net::RelayTarget target;
  target.upstream = net::unix_address(socket->string());
  target.target = open.order.target;
  target.connect_timeout = config_.limits.connect_timeout;
  target.idle_timeout = config_.limits.upstream_idle_timeout;
  target.total_timeout = model.request_timeout.value_or(config_.limits.request_timeout);
  target.response_headers = response_headers(id, open);
  // By the last one the engine goes on for a client that left, in case it comes back.
  target.drop_request_headers = {"authorization", "x-api-key", "cookie", "x-conversation-id"};
  if (open.order.replayable) {
    target.hold_5xx = [this, id](int status, std::string_view body) {
      return is_out_of_memory(id, status, body);
    };
  }
  target.stream_already_begun = open.stream_begun;
  if (open.stream_begun) {
    const api::Dialect dialect = open.order.dialect;
    target.in_band_event = [dialect](int status, std::string_view body) {
      if (status < 400)
        return "data: " + std::string(body) + "\n\n";
      api::ApiError error;
      error.status = status;
      error.code = "upstream_error";
      error.message = std::string(body);
      return api::error_event(error, dialect);
    };
  }
  open.relaying = true;
  open.order.exchange->relay(
      std::move(target), [this, id](net::RelayResult result) { relayed(id, std::move(result)); });
}

// A server may live on without the memory for this request or any other. Its client is not told:
// the request is sent again, to a server with more room. Every other error is the client's.
bool RequestDesk::is_out_of_memory(RequestId id, int status, std::string_view body) {
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return false;
  Open& open = found->second;
  const auto words = engines_.supervisor().last_words(*open.generation);
  AnswerClass answer = classify_answer(status, body, words);
  if (answer.verdict != AnswerVerdict::memory)
    return false;
  open.out_of_memory = std::move(answer.failure);
  return true;
}

void RequestDesk::relayed(RequestId id, net::RelayResult result) {
  using End = net::RelayResult::End;
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return;
  Open& open = found->second;
  open.relaying = false;
  const std::string& name = directory_.id(open.model);
  switch (result.end) {
    case End::complete:
      end(id, RequestOutcome::answered, result.status, result);
      return;
    case End::held:
      // Before the request's end, so that the core knows what it was lost for.
      loop_.post(ServerOutOfMemory{*open.generation, *std::exchange(open.out_of_memory, {})});
      hand_back(id, open);
      return;
    case End::client_gone:
      end_when_idle(id, RequestOutcome::client_gone, result);
      return;
    case End::connect_failed:
    case End::lost_before_body:
      if (open.order.replayable) {
        hand_back(id, open);
        return;
      }
      answer(open, api::upstream_lost(name, result.why));
      end(id, RequestOutcome::broken, 502, result);
      return;
    case End::timed_out_before_body: {
      api::ApiError error;
      error.status = 504;
      error.code = "upstream_timeout";
      error.message = "The server of " + name + " gave no answer within " +
                      to_text(config_.limits.request_timeout) +
                      ". Raise limits.request_timeout where answers may take longer.";
      answer(open, error);
      end_when_idle(id, RequestOutcome::broken, result);
      return;
    }
    case End::broken_midstream:
    case End::timed_out_midstream: {
      const bool late = result.end == End::timed_out_midstream;
      api::ApiError error = api::upstream_lost(name, result.why);
      if (late) {
        error.status = 504;
        error.code = "upstream_timeout";
      }
      open.order.exchange->finish_broken(api::error_event(error, open.order.dialect));
      if (late) {
        end_when_idle(id, RequestOutcome::broken, result);
      } else {
        end(id, RequestOutcome::broken, error.status, result);
      }
      return;
    }
  }
}

// To the core, which sends it to a server again.
void RequestDesk::hand_back(RequestId id, Open& open) {
  const RequestEnded ended{id, *open.generation, RequestOutcome::lost};
  const bool stream = open.order.stream;
  open.generation.reset();
  loop_.post(ended);
  if (stream)
    arm_places();
}

void RequestDesk::end(RequestId id, RequestOutcome outcome, int status,
                      const net::RelayResult& result) {
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return;
  const Open& open = found->second;
  RequestMetrics metrics;
  metrics.model = open.model.value;
  metrics.status = status;
  metrics.wait = std::chrono::duration_cast<Duration>(*open.admitted - open.arrived);
  metrics.total = since(open.arrived);
  metrics.bytes_up = open.order.exchange->body()->size();
  metrics.bytes_down = result.body_bytes;
  add_answer_figures(metrics, open.order.stream, result);
  if (outcome == RequestOutcome::broken && result.body_bytes > 0) {
    metrics.status = result.status;
    metrics.aborted = EndedBy::server;
  }
  metrics_.request(metrics);
  const Generation generation = *open.generation;
  forget(id);
  loop_.post(RequestEnded{id, generation, outcome});
}

// The client is answered or gone, but the server may still compute for it: the lease ends when the
// server's slot is idle.
void RequestDesk::end_when_idle(RequestId id, RequestOutcome outcome,
                                const net::RelayResult& result) {
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return;
  const Generation generation = *found->second.generation;
  RequestMetrics metrics;
  metrics.model = found->second.model.value;
  const Open& open = found->second;
  const bool left = outcome == RequestOutcome::client_gone;
  metrics.wait = std::chrono::duration_cast<Duration>(*open.admitted - open.arrived);
  metrics.total = since(open.arrived);
  // What an answer began with stays true, whoever ended it; without one there is no status.
  metrics.status = result.body_bytes > 0 ? result.status : left ? 0 : 504;
  metrics.bytes_up = open.order.exchange->body()->size();
  metrics.bytes_down = result.body_bytes;
  add_answer_figures(metrics, open.order.stream, result);
  if (result.body_bytes > 0)
    metrics.aborted = left ? EndedBy::client : EndedBy::timeout;
  metrics_.request(metrics);
  const bool counted = found->second.order.counted;
  forget(id);
  if (!counted) {
    loop_.post(RequestEnded{id, generation, outcome});
    return;
  }
  engines_.supervisor().await_slots(
      generation, result.body_bytes > 0, [this, generation] { return relaying_at(generation); },
      [this, id, generation, outcome](bool) { loop_.post(RequestEnded{id, generation, outcome}); });
}

int RequestDesk::relaying_at(Generation generation) const {
  int count = 0;
  for (const auto& [id, open] : open_) {
    if (open.relaying && open.generation == generation && open.order.counted)
      ++count;
  }
  return count;
}

void RequestDesk::forget(RequestId id) {
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return;
  const api::KeyRule* key = found->second.order.key;
  if (key != nullptr && key->in_flight_max)
    --per_key_[key];
  open_.erase(found);
}

void RequestDesk::answer(Open& open, const api::ApiError& error) {
  answer_error(*open.order.exchange, error, open.order.dialect);
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
  metrics.wait = metrics.total = since(open.arrived);
  metrics_.request(metrics);
  open.order.exchange->on_client_gone({});
  // A key that is limited to models is not told which others are in its way.
  const api::View view(loop_.policy(), {open.order.key, api::Scopes{}});
  answer_error(*open.order.exchange, api::refusal(action.decision, status, view.policy()),
               open.order.dialect, action.request);
  forget(action.request);
}

void RequestDesk::note_replay(RequestId request) {
  const auto found = open_.find(request.value);
  if (found == open_.end())
    return;
  ++found->second.replays;
  metrics_.replay(found->second.model.value);
}

// Only while the request waits: a relay that is under way reports the client's leaving itself.
void RequestDesk::client_gone(RequestId id) {
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return;
  loop_.post(ClientGone{id});
  if (found->second.relaying)
    return;
  RequestMetrics metrics;
  if (found->second.order.model)
    metrics.model = found->second.order.model->value;
  metrics.status = 0;
  metrics.wait = metrics.total = since(found->second.arrived);
  metrics_.request(metrics);
  forget(id);
}

void RequestDesk::arm_places() {
  if (places_armed_)
    return;
  places_armed_ = true;
  places_.expires_after(kPlaceEvery);
  places_.async_wait([this](const boost::system::error_code& error) {
    places_armed_ = false;
    if (!error)
      say_places();
  });
}

void RequestDesk::say_places() {
  bool waiting = false;
  for (auto& [id, open] : open_) {
    if (!open.order.stream || open.relaying)
      continue;
    waiting = true;
    if (since(open.arrived) < kFirstPlace - 50ms)
      continue;
    const auto place = loop_.governor().queue_place(RequestId(id));
    if (!place)
      continue;
    net::Exchange& exchange = *open.order.exchange;
    if (!open.stream_begun) {
      exchange.begin_stream(200, "text/event-stream", {{"Cache-Control", "no-cache"}});
      open.stream_begun = true;
    }
    const std::string_view name =
        open.order.model ? std::string_view(directory_.id(*open.order.model)) : kResident;
    exchange.send(api::queue_comment(*place + 1, name));
  }
  if (waiting)
    arm_places();
}

}  // namespace tonnage
