// The writing half of Connection: answers whole, in pieces and relayed, and how connections end.
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "net/connection.h"
#include "net/relaying.h"

namespace tonnage::net {

using boost::system::error_code;

namespace {

void append_chunk_head(std::string& out, std::size_t bytes) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bytes, 16).ptr;
  out.append(digits.data(), end).append("\r\n");
}

bool has_no_body(int status) {
  return status / 100 == 1 || status == 204 || status == 304;
}

}  // namespace

Framing Connection::append_head_end(std::string& head, std::optional<std::uint64_t> length,
                                    bool no_body) {
  if (no_body) {
    framing_ = Framing::none;
    if (length)
      head.append("content-length: ").append(std::to_string(*length)).append("\r\n");
  } else if (length) {
    framing_ = Framing::length;
    head.append("content-length: ").append(std::to_string(*length)).append("\r\n");
  } else if (http_1_0_) {
    framing_ = Framing::until_close;
    keep_alive_ = false;
  } else {
    framing_ = Framing::chunked;
    head.append("transfer-encoding: chunked\r\n");
  }
  if (core_.stopping())
    keep_alive_ = false;
  if (!keep_alive_) {
    head.append("connection: close\r\n");
  } else if (http_1_0_) {
    head.append("connection: keep-alive\r\n");
  }
  head.append("date: ").append(core_.date.now()).append("\r\n\r\n");
  return framing_;
}

void Connection::write_head(int status, std::string_view content_type,
                            const std::vector<Header>& headers, bool stream) {
  answer_begins(status);
  out_head_.assign("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  out_head_.append(status_reason(status)).append("\r\n");
  if (!content_type.empty())
    append_field(out_head_, "content-type", content_type);
  for (const Header& field : headers) {
    // Whatever a handler passes through, there is one author of the framing.
    if (!is_hop_by_hop(field.name) && !is_own_field(field.name, stream))
      append_field(out_head_, field.name, field.value);
  }
  if (stream)
    append_stream_fields(out_head_);
}

void Connection::answer_begins(int status) {
  answer_status_ = status;
  if (core_.on_answer)
    answer_began_ = LoopClock::now();
}

void Connection::tell_answered(const Exchange* exchange, bool client_left) {
  const int status = std::exchange(answer_status_, 0);
  const std::uint64_t bytes = std::exchange(answer_bytes_, 0);
  if (!core_.on_answer)
    return;
  AnswerRecord record;
  record.peer = peer_;
  record.status = status;
  record.bytes_out = bytes;
  record.client_left = client_left;
  if (exchange != nullptr) {
    record.method = exchange->method();
    record.path = exchange->path();
    record.bytes_in = exchange->body()->size();
    record.note = &exchange->note();
    const auto received = exchange->received_at();
    record.total = std::chrono::duration_cast<Duration>(LoopClock::now() - received);
    if (status != 0)
      record.first_byte = std::chrono::duration_cast<Duration>(answer_began_ - received);
  }
  core_.on_answer(record);
}

void Connection::respond(Response response) {
  write_head(response.status, response.content_type, response.headers, false);
  const bool no_body = has_no_body(response.status);
  std::optional<std::uint64_t> length(response.body.size());
  if (no_body)
    length.reset();
  append_head_end(out_head_, length, no_body || to_head_);
  out_body_ = std::move(response.body);
  out_.clear();
  out_.add(out_head_);
  if (!no_body && !to_head_) {
    out_.add(out_body_);
    answer_bytes_ += out_body_.size();
  }
  finish_after_write_ = true;
  detach_exchange();
  flush();
}

void Connection::begin_stream(int status, std::string_view content_type,
                              const std::vector<Header>& headers) {
  write_head(status, content_type, headers, true);
  append_head_end(out_head_, std::nullopt, to_head_ || has_no_body(status));
  stream_next_ += out_head_;
  heartbeat_text_ = content_type.starts_with("text/event-stream") ? ": tonnage alive\n\n" : "\n";
  heartbeat_.arm_in(core_.limits.heartbeat_every);
  pump_stream();
}

// Into a stream that began here and is silent: whoever relays into it has not begun either.
void Connection::on_heartbeat() {
  if (current_ == nullptr || heartbeat_text_.empty() || (relay_ && !relay_->is_silent()))
    return;
  if (pending_bytes() == 0)
    append_stream(heartbeat_text_);
  heartbeat_.arm_in(core_.limits.heartbeat_every);
  pump_stream();
}

void Connection::append_stream(std::string_view piece) {
  if (piece.empty() || framing_ == Framing::none)
    return;
  answer_bytes_ += piece.size();
  if (framing_ == Framing::chunked)
    append_chunk_head(stream_next_, piece.size());
  stream_next_.append(piece);
  if (framing_ == Framing::chunked)
    stream_next_.append("\r\n");
}

void Connection::send(std::string_view piece) {
  append_stream(piece);
  heartbeat_.arm_in(core_.limits.heartbeat_every);
  pump_stream();
  const auto pending_max = static_cast<std::size_t>(core_.limits.stream_pending_max.count);
  if (phase_ != Phase::closed && pending_bytes() > pending_max)
    lost();
}

void Connection::end_stream() {
  detach_exchange();
  finish_answer();
}

void Connection::finish_answer() {
  if (framing_ == Framing::chunked)
    stream_next_.append("0\r\n\r\n");
  framing_ = Framing::none;
  detach_exchange();
  finish_after_write_ = true;
  if (writing_)
    return;
  if (stream_next_.empty())
    return answer_complete();
  pump_stream();
}

void Connection::finish_relayed() {
  framing_ = Framing::none;
  finish_answer();
}

void Connection::detach_exchange() {
  if (current_ == nullptr)
    return;
  Exchange& exchange = *std::exchange(current_, nullptr);
  --core_.stats.requests_active;
  heartbeat_.disarm();
  heartbeat_text_ = {};
  exchange.on_gone_ = nullptr;
  tell_answered(&exchange, false);
  // May be the last owner, but `this` is kept by the core while it is open.
  exchange.connection_.reset();
}

void Connection::pump_stream() {
  if (writing_ || stream_next_.empty() || phase_ == Phase::closed)
    return;
  out_body_.clear();
  std::swap(out_body_, stream_next_);
  out_.clear();
  out_.add(out_body_);
  flush();
}

bool Connection::write(Gather& pieces, WriteListener& listener) {
  if (phase_ == Phase::closed)
    return false;
  if (writing_) {  // queue comments are still on their way
    pieces.append_to(stream_next_);
    pieces.clear();
    listener_ = &listener;
    return false;
  }
  const Gather::Sent sent = pieces.send(socket_.native_handle());
  core_.stats.bytes_sent += pieces.take_sent_bytes();
  if (sent == Gather::Sent::all)
    return true;
  if (sent == Gather::Sent::failed) {
    lost();
    return false;
  }
  out_ = pieces;
  listener_ = &listener;
  await_writable();
  return false;
}

void Connection::adopt_pending() {
  listener_ = nullptr;
  if (!writing_)
    return;
  std::string rest;
  out_.append_to(rest);
  out_body_ = std::move(rest);
  out_.clear();
  out_.add(out_body_);
}

void Connection::flush() {
  const Gather::Sent sent = out_.send(socket_.native_handle());
  core_.stats.bytes_sent += out_.take_sent_bytes();
  switch (sent) {
    case Gather::Sent::all:
      return all_sent();
    case Gather::Sent::some:
      return await_writable();
    case Gather::Sent::failed:
      return lost();
  }
}

void Connection::await_writable() {
  writing_ = true;
  timer_.arm_in(core_.limits.write_stall_timeout);
  socket_.async_wait(StreamSocket::wait_write, [self = shared_from_this()](const error_code& ec) {
    if (ec || self->phase_ == Phase::closed)
      return;
    self->flush();
  });
}

void Connection::all_sent() {
  if (std::exchange(writing_, false))
    timer_.disarm();
  if (!stream_next_.empty())
    return pump_stream();
  if (listener_ != nullptr)
    return std::exchange(listener_, nullptr)->on_sent();
  if (finish_after_write_)
    answer_complete();
}

void Connection::answer_complete() {
  finish_after_write_ = false;
  relay_.reset();
  const bool unread_body = !parser_.done();
  if (!keep_alive_) {
    // Unread bytes at a close become a reset, which may overtake the answer.
    return unread_body || !unread().empty() ? linger() : close();
  }
  phase_ = Phase::head;
  framing_ = Framing::none;
  to_head_ = http_1_0_ = false;  // a head that does not parse is refused with these
  timer_.arm_in(core_.limits.keepalive_timeout);
  if (processing_)
    return;
  read();
  // Not from here: whoever called has not expected the handler to run.
  if (!unread().empty())
    post([self = shared_from_this()] { self->process(); });
}

void Connection::linger() {
  phase_ = Phase::lingering;
  ::shutdown(socket_.native_handle(), SHUT_WR);
  timer_.arm_in(core_.limits.linger_timeout);
  if (!reading_) {
    in_begin_ = in_end_ = 0;
    read();
  }
}

void Connection::relay(RelayTarget target, std::move_only_function<void(RelayResult)> done) {
  relay_ = std::make_shared<Relay>(core_, *this, current_->shared_from_this(), std::move(target),
                                   std::move(done));
  relay_->start();
}

bool Connection::finish_broken(std::string_view last_event) {
  return relay_ && relay_->finish_broken(last_event);
}

void Connection::cut_relay(std::string why) {
  if (relay_)
    relay_->cut(std::move(why));
}

void Connection::cut_broken() {
  detach_exchange();
  // Only a reset tells a client that reads until the end that this is not the end.
  if (framing_ == Framing::until_close)
    set_reset_on_close(socket_.native_handle());
  close();
}

void Connection::abandoned() {
  if (current_->answer_begun())
    return cut_broken();
  respond(core_.error_response(
      {RefusedFor::dropped, 500, "the request was dropped without an answer", current_->path()}));
}

void Connection::lost() {
  if (phase_ == Phase::closed)
    return;
  const auto self = shared_from_this();
  Exchange* const exchange = std::exchange(current_, nullptr);
  const auto relay = std::move(relay_);
  if (exchange != nullptr) {
    --core_.stats.requests_active;
    exchange->gone_ = true;
    tell_answered(exchange, true);
    if (relay) {
      relay->client_gone();
    } else if (exchange->on_gone_) {
      post(std::exchange(exchange->on_gone_, nullptr));
    }
    exchange->connection_.reset();
  }
  close();
}

void Connection::close() {
  if (phase_ == Phase::closed)
    return;
  const auto self = shared_from_this();
  phase_ = Phase::closed;
  timer_.disarm();
  heartbeat_.disarm();
  writing_ = false;
  listener_ = nullptr;
  arriving_.reset();
  builder_.reset();
  error_code ignored;
  socket_.close(ignored);
  core_.remove(*this);
}

}  // namespace tonnage::net
