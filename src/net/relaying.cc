#include "net/relaying.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>

#include "base/check.h"
#include "net/stream_head.h"

namespace tonnage::net {

namespace {

// A pooled connection that ends this soon after the request was sent was closed for idleness at the
// same moment; later, the server has worked on the request and its end means something.
constexpr Duration kStaleWindow = 50ms;
// A unix socket with a full backlog refuses at once; the server accepts again within moments.
constexpr Duration kBacklogRetry = 10ms;
constexpr unsigned kInterimHeadsMax = 8;

template <typename Span>
Duration to_duration(Span span) {
  return std::chrono::duration_cast<Duration>(span);
}

// An answer that is no event stream, as one event: every line of it is a data line.
std::string default_event(int status, std::string_view body) {
  if (body.empty()) {
    return "data: {\"error\":{\"message\":\"the model server answered " + std::to_string(status) +
           "\",\"code\":" + std::to_string(status) + "}}\n\n";
  }
  std::string event;
  while (!body.empty()) {
    const std::size_t line = body.find('\n');
    event.append("data: ").append(body.substr(0, line)).append("\n");
    body = line == std::string_view::npos ? std::string_view{} : body.substr(line + 1);
  }
  return event + "\n";
}

}  // namespace

Relay::Relay(ServerCore& core, Connection& connection, std::shared_ptr<Exchange> exchange,
             RelayTarget target, std::move_only_function<void(RelayResult)> done)
    : core_(core),
      connection_(&connection),
      exchange_(std::move(exchange)),
      target_(std::move(target)),
      done_(std::move(done)),
      timer_(TimerWheel::Timer::calling<&Relay::on_timeout>(core.wheel, this)) {}

Relay::~Relay() {
  release_upstream(false);
}

void Relay::start() {
  ++core_.stats.relays;
  started_ = stage_began_ = Clock::now();
  if (!target_.body)
    target_.body = exchange_->body();
  request_head_ = upstream_request_head(*exchange_, target_, *target_.body);
  upstream_ = core_.upstreams.take(target_.upstream);
  if (!upstream_)
    return connect_fresh();
  result_.reused_connection = true;
  send_request();
}

void Relay::connect_fresh() {
  stage_ = Stage::connecting;
  in_backlog_ = false;
  ++core_.stats.upstream_connects;
  upstream_ = std::make_shared<UpstreamConnection>(
      core_.io, target_.upstream, static_cast<std::size_t>(core_.limits.relay_buffer.count));
  upstream_->set_user(this);
  int error = 0;
  switch (upstream_->connect(error)) {
    case UpstreamConnection::Connecting::done:
      return on_connected(0);
    case UpstreamConnection::Connecting::pending:
      return set_deadline(target_.connect_timeout);
    case UpstreamConnection::Connecting::backlog_full:
      in_backlog_ = true;
      timer_.disarm();
      return timer_.arm_in(kBacklogRetry);
    case UpstreamConnection::Connecting::failed:
      return connect_failed(error);
  }
}

void Relay::on_connected(int error) {
  if (stage_ == Stage::ended)
    return;
  if (error != 0)
    return connect_failed(error);
  result_.connect_time = to_duration(Clock::now() - started_);
  send_request();
}

void Relay::connect_failed(int error) {
  // A server that just closed a pooled connection and now refuses has ended with our request.
  if (error == ETIMEDOUT)
    result_.timeout = RelayResult::Timeout::connect;
  end_later(retried_ ? RelayResult::End::lost_before_body : RelayResult::End::connect_failed,
            std::strerror(error));
}

void Relay::send_request() {
  stage_ = Stage::waiting;
  stage_began_ = Clock::now();
  upstream_->set_user(this);
  upstream_->parser().reset(exchange_->method() == "HEAD");
  scanned_ = 0;
  request_.clear();
  request_.add(request_head_);
  request_.add(target_.body->view());
  (void)upstream_->write(request_);
  set_deadline(target_.first_byte_timeout);
  (void)upstream_->read();
}

void Relay::on_readable() {
  if (stage_ == Stage::ended)
    return;
  if (head_done_ || take_head())
    take_body();
}

// True when the head is complete and nothing has ended.
bool Relay::take_head() {
  for (;;) {
    const std::string_view bytes = upstream_->unread();
    const std::size_t length = head_length(bytes, scanned_);
    if (length == 0) {
      if (!upstream_->read())
        broke("the server's header fields are too long");
      return false;
    }
    const auto failure = upstream_->parser().parse_head(
        bytes.substr(0, length), core_.limits.header_fields_max, core_.fields);
    if (failure) {
      broke("the server does not speak HTTP/1.1: " + std::string(failure->why));
      return false;
    }
    if (upstream_->parser().status() / 100 != 1) {
      head_done_ = true;
      result_.status = upstream_->parser().status();
      choose_mode();
      upstream_->consume(length);
      return true;
    }
    if (!take_interim(length))
      return false;
  }
}

// 100 Continue and the like are for us alone; we never ask for 101.
bool Relay::take_interim(std::size_t head_bytes) {
  if (upstream_->parser().status() == 101 || ++interim_heads_ > kInterimHeadsMax) {
    broke("the server sent an interim answer that was not asked for");
    return false;
  }
  upstream_->consume(head_bytes);
  upstream_->parser().reset(exchange_->method() == "HEAD");
  scanned_ = 0;
  return true;
}

void Relay::choose_mode() {
  std::string_view content_type;
  for (const HeaderView& field : core_.fields) {
    if (same_name(field.name, "content-type"))
      content_type = field.value;
  }
  event_stream_ = same_name(content_type.substr(0, content_type.find(';')), "text/event-stream");
  stream_ = is_stream_type(content_type);
  const bool holds = target_.hold_from_status > 0 && result_.status >= target_.hold_from_status;
  if (target_.stream_already_begun) {
    mode_ = result_.status >= 400 || !event_stream_ ? Mode::one_event : Mode::pass;
  } else {
    begin_client_head();
    if (!holds)
      end_client_head();
  }
  passed_mode_ = mode_;
  if (holds) {
    mode_ = Mode::hold;
    result_.held.headers = held_fields(core_.fields);
  } else {
    watch_errors();
  }
}

// Another text may take the place of an event only where the head has not promised a length.
void Relay::watch_errors() {
  const Framing framing = connection_->framing();
  const bool open_end = framing == Framing::chunked || framing == Framing::until_close;
  if (mode_ != Mode::pass || !event_stream_ || !open_end || !target_.on_error_event)
    return;
  errors_.emplace(std::move(target_.on_error_event),
                  static_cast<std::size_t>(core_.limits.held_answer_max.count));
}

// The server's fields are gone when its body has come.
void Relay::begin_client_head() {
  const int status = result_.status;
  client_head_.reserve(512);
  client_head_.assign("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  client_head_.append(status_reason(status)).append("\r\n");
  append_relayed_fields(client_head_, core_.fields, target_.response_headers, stream_);
}

void Relay::end_client_head() {
  const ResponseParser& parser = upstream_->parser();
  const int status = result_.status;
  const bool to_head = exchange_->method() == "HEAD";
  const bool no_body = to_head || status == 204 || status == 304;
  auto length = parser.content_length();
  if (status == 204)
    length.reset();
  connection_->append_head_end(client_head_, length, no_body);
}

void Relay::take_body() {
  ResponseParser& parser = upstream_->parser();
  if (parser.done())
    return forward({}, true);
  auto& pieces = core_.pieces;
  pieces.clear();
  const BodyProgress progress = parser.parse_body(upstream_->unread(), pieces);
  // Chunk headers between the pieces are closed up in place: one payload, framed anew.
  std::string_view payload;
  if (!pieces.empty()) {
    char* const begin = upstream_->unread_data() + (pieces[0].data() - upstream_->unread().data());
    std::size_t filled = pieces[0].size();
    for (std::size_t i = 1; i < pieces.size(); ++i) {
      std::memmove(begin + filled, pieces[i].data(), pieces[i].size());
      filled += pieces[i].size();
    }
    payload = {begin, filled};
  }
  upstream_->consume(progress.consumed);
  if (progress.failure)
    return broke(std::string(progress.failure->why));
  forward(payload, parser.done());
}

void Relay::forward(std::string_view payload, bool last) {
  if (payload.empty() && !last)
    return await_more();
  if (!result_.first_byte_time) {
    result_.first_byte_time = to_duration(Clock::now() - started_);
    stage_ = Stage::streaming;
  }
  if (mode_ == Mode::hold)
    return hold(payload, last);
  if (mode_ == Mode::one_event)
    return collect(payload, last);
  if (errors_) {
    payload = errors_->pass(payload, last);
    result_.error_event = errors_->ended();
    last = last || errors_->ended();
    if (payload.empty() && !last)
      return await_more();
  }

  result_.body_bytes += payload.size();
  keep_ends(payload);
  Gather out;
  if (!head_sent_ && !target_.stream_already_begun)
    out.add(client_head_);
  if (!head_sent_ && !target_.stream_already_begun)
    connection_->answer_begins(result_.status);
  head_sent_ = true;
  connection_->count_answer(payload.size());
  exchange_->begun_ = true;
  const bool chunked = connection_->framing() == Framing::chunked;
  if (chunked && !payload.empty()) {
    chunk_head_.resize(18);
    const auto end = std::to_chars(chunk_head_.data(), chunk_head_.data() + 16, payload.size(), 16);
    chunk_head_.resize(static_cast<std::size_t>(end.ptr - chunk_head_.data()));
    out.add(chunk_head_.append("\r\n"));
  }
  out.add(payload);
  if (chunked)
    out.add(payload.empty() ? "0\r\n\r\n" : last ? "\r\n0\r\n\r\n" : "\r\n");
  for (const char c : payload.substr(payload.size() - std::min(payload.size(), tail_.size()))) {
    std::memmove(tail_.data(), tail_.data() + 1, tail_.size() - 1);
    tail_.back() = c;
  }
  last_ = last;
  if (out.empty() || connection_->write(out, *this))
    return went_out();
  if (stage_ == Stage::ended)
    return;  // the client was found gone
  // Back-pressure: nothing is read, and no timeout of the server's runs, until the client took
  // this.
  sending_ = true;
  set_deadline(0s);
}

// A token is a payload of some 200 bytes, so that copying it costs next to nothing.
void Relay::keep_ends(std::string_view payload) {
  std::string& begin = result_.body_begin;
  begin.append(payload.substr(0, kKeptEndBytes - std::min(begin.size(), kKeptEndBytes)));
  std::string& end = result_.body_end;
  payload.remove_prefix(payload.size() - std::min(payload.size(), kKeptEndBytes));
  // Twice the size, so that what is old is moved out only now and then.
  if (end.size() + payload.size() > 2 * kKeptEndBytes)
    end.erase(0, end.size() - std::min(end.size(), kKeptEndBytes - payload.size()));
  end.append(payload);
}

void Relay::on_sent() {
  sending_ = false;
  went_out();
}

void Relay::went_out() {
  if (last_)
    return complete();
  await_more();
}

void Relay::await_more() {
  if (stage_ == Stage::streaming)
    set_deadline(target_.idle_timeout);
  if (!upstream_->read())
    broke("the server sent a chunk header that is too long");
}

void Relay::collect(std::string_view payload, bool last) {
  const auto max = static_cast<std::size_t>(core_.limits.held_answer_max.count);
  collected_.append(payload.substr(0, max - std::min(max, collected_.size())));
  if (!last && collected_.size() < max)
    return await_more();
  end_one_event();
}

void Relay::hold(std::string_view payload, bool last) {
  const Bytes most = target_.hold_max > Bytes{0} ? target_.hold_max : core_.limits.held_answer_max;
  const auto max = static_cast<std::size_t>(most.count);
  collected_.append(payload);
  const bool too_long = collected_.size() > max;
  if (!last && !too_long)
    return await_more();
  if (!too_long || target_.cut_held) {
    result_.held.cut = too_long;
    collected_.resize(std::min(collected_.size(), max));
    result_.held.body = std::move(collected_);
    return end(RelayResult::End::held);
  }
  result_.held = {};
  mode_ = passed_mode_;
  if (mode_ == Mode::pass)
    end_client_head();
  // It outlives this call: the client may take it slowly.
  passed_on_ = std::exchange(collected_, {});
  forward(passed_on_, last);
}

void Relay::end_one_event() {
  const std::string event = default_event(result_.status, collected_);
  result_.body_bytes += event.size();
  connection_->append_stream(event);
  complete();
}

void Relay::on_upstream_end(int error) {
  if (stage_ == Stage::ended)
    return;
  if (error == 0 && head_done_ && upstream_->parser().parse_eof())
    return forward({}, true);
  const bool silent = !head_done_ && interim_heads_ == 0 && upstream_->unread().empty();
  const bool stale = Clock::now() - stage_began_ < kStaleWindow;
  if (silent && stale && result_.reused_connection && !retried_) {
    retried_ = true;
    result_.reused_connection = false;
    release_upstream(false);
    return connect_fresh();
  }
  broke(error == 0 ? "the server closed the connection" : std::strerror(error));
}

}  // namespace tonnage::net
