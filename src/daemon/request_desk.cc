#include "daemon/request_desk.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/loop_clock.h"
#include "daemon/error_answer.h"

namespace tonnage {
namespace {

using Clock = LoopClock;

// A streaming request that waits longer than this is told its place, and again this often.
constexpr Duration kFirstPlace = 2s;
constexpr Duration kPlaceEvery = 2s;

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

std::uint32_t bounded(std::uint64_t count) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max()));
}

RequestEnded ended_with(RequestId id, Generation generation, RequestOutcome outcome,
                        const TokenCounts& tokens) {
  return {id,
          generation,
          outcome,
          bounded(tokens.prompt),
          bounded(tokens.kept),
          bounded(tokens.generated)};
}

std::string whole_ms(Duration duration) {
  return std::to_string(duration.count() / 1'000);
}

}  // namespace

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
  if (key != nullptr)
    order.exchange->note().key = key->name;
  if (order.model)
    order.exchange->note().model = directory_.id(*order.model);
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
  const bool stream = order.stream;
  Open open;
  open.order = std::move(order);
  open.arrived = Clock::now();
  post_arrival(id, open_.emplace(id.value, std::move(open)).first->second.order);
  if (stream && open_.contains(id.value) && !open_.at(id.value).relaying)
    arm_places();
}

// The core may answer at once, and then the order is gone.
void RequestDesk::post_arrival(RequestId id, const RequestOrder& order) {
  RequestArrived arrived;
  arrived.request = id;
  arrived.model = order.model;
  // Of a model whose context nobody knows nothing can be asked; its server judges.
  if (!order.model || config_.models[order.model->value].configured.context > 0) {
    arrived.context_needed = order.context_needed;
    arrived.context_wished = wished_context(order);
  }
  arrived.counted = order.counted;
  arrived.slots = order.slots;
  if (order.model)
    arrived.priority = loop_.policy().models[order.model->value].priority;
  if (order.key != nullptr && order.key->priority)
    arrived.priority = *order.key->priority;
  order.exchange->note().request = id.value;
  order.exchange->on_client_gone([this, id] { client_gone(id); });
  loop_.post(arrived);
}

// Prompt and answer together, by estimate. What it is for `resident` nobody knows: it takes what is
// there.
std::int32_t RequestDesk::wished_context(const RequestOrder& order) const {
  if (!order.model || order.prompt_bytes == 0)
    return 0;
  const std::int64_t prompt = prompt_sizes_.tokens_of(*order.model, order.prompt_bytes);
  return static_cast<std::int32_t>(std::min<std::int64_t>(
      prompt + order.answer_tokens, std::numeric_limits<std::int32_t>::max()));
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
  // A later part has not waited for its turn alone.
  if (!open.first_part)
    open.admitted = Clock::now();
  net::ExchangeNote& note = open.order.exchange->note();
  note.model = directory_.id(action.model);
  note.wait = std::chrono::duration_cast<Duration>(*open.admitted - open.arrived);
  if (std::exchange(open.handed_back, false)) {
    ++open.replays;
    metrics_.replay(open.model.value);
  }
  relay(action.request, open);
}

std::vector<net::Header> RequestDesk::response_headers(RequestId id, const Open& open) const {
  std::vector<net::Header> headers;
  headers.push_back({"x-tonnage-request", std::to_string(id.value)});
  if (!open.admitted)
    return headers;
  headers.push_back({"x-tonnage-model", directory_.id(open.model)});
  headers.push_back({"x-tonnage-wait-ms", whole_ms(std::chrono::duration_cast<Duration>(
                                              *open.admitted - open.arrived))});
  if (open.replays > 0)
    headers.push_back({"x-tonnage-replays", std::to_string(open.replays)});
  return headers;
}

void RequestDesk::relay(RequestId id, Open& open) {
  const auto endpoint = engines_.endpoint(*open.generation);
  if (!endpoint) {
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
  target.upstream = *endpoint;
  target.target = open.order.target;
  target.connect_timeout = config_.limits.connect_timeout;
  target.idle_timeout = config_.limits.upstream_idle_timeout;
  target.total_timeout = model.request_timeout.value_or(config_.limits.request_timeout);
  target.response_headers = response_headers(id, open);
  // By the last one the engine goes on for a client that left, in case it comes back.
  target.drop_request_headers = {"authorization", "x-api-key", "cookie", "x-conversation-id"};
  if (!open.order.raw) {
    target.hold_from_status = 400;
    target.cut_held = true;
    target.on_error_event = [this, id](std::string_view event) { return stream_error(id, event); };
  } else if (open.order.replayable) {
    target.hold_from_status = 500;  // it may be for want of memory
  }
  if (open.order.parts) {
    target.body = net::Body::from(open.order.parts->body());
    target.hold_from_status = 200;  // answers of parts are joined
    target.hold_max = Bytes(static_cast<std::int64_t>(api::TextParts::kJoinedBytesMax));
  }
  target.stream_already_begun = open.stream_begun;
  open.relaying = true;
  open.order.exchange->relay(
      std::move(target), [this, id](net::RelayResult result) { relayed(id, std::move(result)); });
}

// Each part is a request of its own to the core, so that others have their turn in between.
void RequestDesk::part_done(RequestId id, const net::RelayResult& result) {
  const auto found = open_.find(id.value);
  Open& open = found->second;
  if (open.order.exchange->client_is_gone())
    return end(id, RequestOutcome::client_gone, 0, result);
  if (!open.first_part)
    open.first_part = id;
  if (open.order.parts && open.order.parts->done()) {
    net::Response response;
    response.status = result.status;
    response.content_type = "application/json";
    response.headers = response_headers(*open.first_part, open);
    response.body = open.order.parts->joined();
    open.order.exchange->note().request = open.first_part->value;
    open.order.exchange->on_client_gone({});
    open.order.exchange->respond(std::move(response));
    end(id, RequestOutcome::answered, result.status, result);
    return;
  }
  const RequestEnded ended{id, *open.generation, RequestOutcome::answered};
  open.generation.reset();
  auto entry = open_.extract(found);
  const RequestId next(next_request_++);
  entry.key() = next.value;
  const RequestOrder& order = open_.insert(std::move(entry)).position->second.order;
  // First in the queue behind those who wait now, then out of the server.
  post_arrival(next, order);
  loop_.post(ended);
}

void RequestDesk::relayed(RequestId id, net::RelayResult result) {
  using End = net::RelayResult::End;
  const auto found = open_.find(id.value);
  if (found == open_.end())
    return;
  Open& open = found->second;
  open.relaying = false;
  switch (result.end) {
    case End::complete:
      end(id, RequestOutcome::answered, result.error_event ? open.stream_error : result.status,
          result);
      return;
    case End::held:
      return held(id, open, result);
    case End::client_gone:
      end_when_idle(id, RequestOutcome::client_gone, result);
      return;
    case End::connect_failed:
    case End::lost_before_body:
      if (open.order.replayable) {
        hand_back(id, open);
        return;
      }
      return server_lost(id, open, result);
    case End::broken_midstream:
      return server_lost(id, open, result);
    case End::timed_out_before_body:
    case End::timed_out_midstream:
      return timed_out(id, open, result);
  }
}

// To the core, which sends it to a server again.
void RequestDesk::hand_back(RequestId id, Open& open) {
  const RequestEnded ended{id, *open.generation, RequestOutcome::lost};
  const bool stream = open.order.stream;
  open.generation.reset();
  open.handed_back = true;
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
  if (open.order.teaches)
    prompt_sizes_.learn(open.model, open.order.prompt_bytes, metrics.tokens.prompt);
  if (outcome == RequestOutcome::broken && result.body_bytes > 0) {
    metrics.status = result.status;
    metrics.aborted = EndedBy::server;
  }
  metrics_.request(metrics);
  const RequestEnded ended = ended_with(id, *open.generation, outcome, metrics.tokens);
  forget(id);
  loop_.post(ended);
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
      count += open.order.slots;
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
      exchange.begin_stream(200, "text/event-stream", response_headers(RequestId(id), open));
      open.stream_begun = true;
    }
    const std::string_view name =
        open.order.model ? std::string_view(directory_.id(*open.order.model)) : kResident;
    exchange.send(api::queue_comment(id, *place + 1, name));
  }
  if (waiting)
    arm_places();
}

}  // namespace tonnage
