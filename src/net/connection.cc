#include "net/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include "base/check.h"
#include "net/relaying.h"

namespace tonnage::net {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

// Holds the head and the 1 KB body of a common request, so that one read takes it all; five
// thousand idle connections hold one each.
constexpr std::size_t kInputInitial = 2048;
// Reads of a long body.
constexpr std::size_t kInputBody = std::size_t{32} * 1024;

std::string_view trim_scheme(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.size() > kScheme.size() && same_name(target.substr(0, kScheme.size()), kScheme)) {
    return target.substr(kScheme.size());
  }
  return {};
}

}  // namespace

Connection::Connection(ServerCore& core, int fd, int family, std::string peer,
                       std::optional<std::uint32_t> uid, int tag)
    : core_(core),
      socket_(core.io.get_executor()),
      timer_(TimerWheel::Timer::calling<&Connection::on_timeout>(core.wheel, this)),
      heartbeat_(TimerWheel::Timer::calling<&Connection::on_heartbeat>(core.wheel, this)),
      peer_(std::move(peer)),
      peer_uid_(uid),
      tag_(tag) {
  socket_.assign(asio::generic::stream_protocol(family, 0), fd);
}

Connection::~Connection() = default;

void Connection::start() {
  timer_.arm_in(core_.limits.keepalive_timeout);
  read();
}

void Connection::post(std::move_only_function<void()> call) {
  asio::post(socket_.get_executor(), std::move(call));
}

void Connection::read() {
  if (reading_ || phase_ == Phase::closed || !grow_input())
    return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(in_.get() + in_end_, in_capacity_ - in_end_),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            self->reading_ = false;
                            if (self->phase_ == Phase::closed)
                              return;
                            if (!error)
                              return self->received(bytes);
                            // A client that shuts down its sending side is taken as gone, as nginx
                            // does: waiting requests hold memory for it, and clients that want an
                            // answer keep their side open.
                            self->lost();
                          });
}

void Connection::received(std::size_t bytes) {
  core_.stats.bytes_received += bytes;
  in_end_ += bytes;
  if (phase_ == Phase::lingering) {
    in_begin_ = in_end_ = 0;
    return read();
  }
  // While one request is answered, the next ones wait here; the buffer bounds them.
  if (phase_ == Phase::answering)
    return read();
  process();
}

void Connection::consume(std::size_t bytes) {
  in_begin_ += bytes;  // the start of the buffer is used again by the next read()
}

// Makes room for a read. False when the bound is reached.
bool Connection::grow_input() {
  if (in_begin_ == in_end_)
    in_begin_ = in_end_ = 0;
  if (in_ == nullptr) {
    in_.reset(new char[kInputInitial]);
    in_capacity_ = kInputInitial;
  }
  if (in_end_ < in_capacity_) {
    // A long body is worth larger reads; a small rest of room is not worth a read at all.
    const bool small = in_capacity_ - in_end_ < in_capacity_ / 4;
    const bool body = phase_ == Phase::body && in_capacity_ < kInputBody && in_end_ == 0;
    if (!small && !body)
      return true;
  }
  if (in_begin_ > 0) {
    std::memmove(in_.get(), in_.get() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
  const auto bound =
      static_cast<std::size_t>(phase_ == Phase::answering ? core_.limits.pipeline_bytes_max.count
                                                          : core_.limits.header_bytes_max.count);
  std::size_t capacity = in_capacity_;
  if (phase_ == Phase::body) {
    capacity = std::max(capacity, kInputBody);
  } else if (in_end_ > in_capacity_ / 2) {
    capacity = std::min(in_capacity_ * 2, std::max(bound, in_capacity_));
  }
  if (capacity > in_capacity_) {
    std::unique_ptr<char[]> larger(new char[capacity]);
    std::memcpy(larger.get(), in_.get(), in_end_);
    in_ = std::move(larger);
    in_capacity_ = capacity;
  }
  return in_end_ < in_capacity_;
}

// Between requests an empty connection goes back to its small buffer.
void Connection::shrink_input() {
  if (reading_ || in_begin_ != in_end_ || in_capacity_ <= kInputInitial)
    return;
  in_.reset();
  in_capacity_ = in_begin_ = in_end_ = 0;
}

void Connection::process() {
  // An answer that is complete within its handler comes back here through the loop below, and not
  // through the stack, however many requests were pipelined.
  if (processing_)
    return;
  processing_ = true;
  const auto self = shared_from_this();
  bool more = true;
  while (more) {
    if (phase_ == Phase::head) {
      more = step_head();
    } else if (phase_ == Phase::body) {
      more = step_body();
    } else {
      more = false;
    }
  }
  processing_ = false;
  read();
}

bool Connection::step_head() {
  while (in_begin_ < in_end_ && (in_[in_begin_] == '\r' || in_[in_begin_] == '\n'))
    consume(1);
  const std::string_view bytes = unread();
  if (bytes.empty()) {
    scanned_ = 0;
    shrink_input();
    return false;
  }
  const auto head_max = static_cast<std::size_t>(core_.limits.header_bytes_max.count);
  const std::size_t length = head_length(bytes, scanned_);
  if (length > head_max || (length == 0 && bytes.size() >= head_max)) {
    refuse(RefusedFor::head_too_large, 431, "the header of the request is too large");
    return false;
  }
  if (length > 0)
    return begin_request(length);
  const auto first = static_cast<unsigned char>(bytes.front());
  if (first <= 0x20 || first >= 0x7f) {  // a TLS hello, for example
    refuse(RefusedFor::bad_request, 400, "this is not HTTP/1.1; use http:// and not https:// here");
    return false;
  }
  const std::size_t line_end = bytes.find('\n');
  if (line_end != std::string_view::npos && bytes[line_end - 1] != '\r') {
    refuse(RefusedFor::bad_request, 400, "the lines of a request's head must end in CR LF");
    return false;
  }
  if (!head_begun_) {
    head_begun_ = true;
    timer_.disarm();
    timer_.arm_in(core_.limits.header_timeout);
  }
  return false;
}

bool Connection::begin_request(std::size_t head_bytes) {
  struct Made : Exchange {};
  auto made = std::make_shared<Made>();
  Exchange& exchange = *made;
  exchange.head_.assign(unread().substr(0, head_bytes));
  exchange.received_at_ = LoopClock::now();
  consume(head_bytes);
  scanned_ = 0;
  head_begun_ = false;
  timer_.disarm();

  parser_.reset();
  exchange.headers_.reserve(16);
  const auto failure =
      parser_.parse_head(exchange.head_, core_.limits.header_fields_max, exchange.headers_);
  if (failure) {
    refuse(failure->status == 431 ? RefusedFor::head_too_large : RefusedFor::bad_request,
           failure->status, failure->why);
    return false;
  }
  ++core_.stats.requests;
  exchange.method_ = parser_.method();
  exchange.target_ = parser_.target();
  exchange.http_1_0_ = http_1_0_ = parser_.http_1_0();
  exchange.body_ = Body::none();
  exchange.io_ = &core_.io;
  exchange.peer_ = peer_;
  exchange.peer_uid_ = peer_uid_;
  exchange.listener_tag_ = tag_;
  keep_alive_ = parser_.keep_alive() && !core_.stopping();
  to_head_ = exchange.method_ == "HEAD";
  framing_ = Framing::none;
  if (!check_request(exchange))
    return false;

  arriving_ = std::move(made);  // a handler that drops it must hold the last pointer
  if (core_.head_check) {
    if (auto refusal = core_.head_check(exchange)) {
      const auto refused = std::move(arriving_);
      phase_ = Phase::answering;
      if (!parser_.done())
        keep_alive_ = false;
      respond(std::move(*refusal));
      tell_answered(refused.get(), false);
      return phase_ == Phase::head;
    }
  }
  if (parser_.done()) {
    dispatch();
    return phase_ == Phase::head;
  }
  const auto length = parser_.content_length();
  if (length && *length > static_cast<std::uint64_t>(core_.limits.body_bytes_max.count)) {
    refuse(RefusedFor::body_too_large, 413, "the body of the request is too large");
    return false;
  }
  phase_ = Phase::body;
  builder_ = std::make_unique<BodyBuilder>(core_.bodies, core_.limits.spill_folder);
  if (length)
    builder_->expect(*length);
  continue_body();
  return true;
}

// What the parser cannot know: the forms of the target, and the Host field.
bool Connection::check_request(Exchange& exchange) {
  std::string_view host;
  unsigned hosts = 0;
  for (const HeaderView& field : exchange.headers_) {
    if (field.name.size() != 4 || !same_name(field.name, "host"))
      continue;
    host = field.value;
    ++hosts;
  }
  if (hosts > 1 || (hosts == 0 && !http_1_0_)) {
    refuse(RefusedFor::bad_request, 400, "a request needs exactly one Host field");
    return false;
  }
  std::string_view where = exchange.target_;
  if (const std::string_view rest = trim_scheme(where); !rest.empty()) {
    const std::size_t slash = rest.find_first_of("/?");
    host = rest.substr(0, slash);
    where = slash == std::string_view::npos ? std::string_view("/") : rest.substr(slash);
    if (where.front() == '?') {
      refuse(RefusedFor::bad_request, 400, "the request target has a query and no path");
      return false;
    }
  }
  const bool asterisk = where == "*" && exchange.method_ == "OPTIONS";
  if (exchange.method_ == "CONNECT" || (where.front() != '/' && !asterisk)) {
    refuse(RefusedFor::bad_request, 400, "the request target is not a path");
    return false;
  }
  const std::size_t question = where.find('?');
  exchange.path_ = where.substr(0, question);
  if (question != std::string_view::npos)
    exchange.query_ = where.substr(question + 1);
  exchange.host_ = host;
  return true;
}

void Connection::continue_body() {
  timer_.arm_in(core_.limits.body_idle_timeout);
  if (http_1_0_ || !unread().empty())
    return;
  const auto expect = arriving_->header("expect");
  if (!expect || !same_name(*expect, "100-continue"))
    return;
  // A fresh socket has room for these few bytes.
  Gather interim;
  interim.add("HTTP/1.1 100 Continue\r\n\r\n");
  (void)interim.send(socket_.native_handle());
}

bool Connection::step_body() {
  const std::string_view bytes = unread();
  if (bytes.empty())
    return false;
  auto& pieces = core_.pieces;
  pieces.clear();
  const BodyProgress progress = parser_.parse_body(bytes, pieces);
  for (const std::string_view piece : pieces) {
    if (builder_->size() + piece.size() >
        static_cast<std::uint64_t>(core_.limits.body_bytes_max.count)) {
      refuse(RefusedFor::body_too_large, 413, "the body of the request is too large");
      return false;
    }
    if (const auto kept = builder_->append(piece); !kept) {
      refuse(RefusedFor::bodies_full, 503, kept.error().what);
      return false;
    }
  }
  consume(progress.consumed);
  if (progress.failure) {
    refuse(RefusedFor::bad_request, progress.failure->status, progress.failure->why);
    return false;
  }
  if (!parser_.done()) {
    if (progress.consumed == 0 && bytes.size() >= kInputBody) {
      refuse(RefusedFor::bad_request, 400, "a chunk header is too long");
      return false;
    }
    timer_.arm_in(core_.limits.body_idle_timeout);
    return false;
  }
  auto body = builder_->finish();
  builder_.reset();
  if (!body) {
    refuse(RefusedFor::bodies_full, 503, "the body of the request could not be stored");
    return false;
  }
  arriving_->body_ = std::move(*body);
  dispatch();
  return phase_ == Phase::head;
}

void Connection::dispatch() {
  timer_.disarm();
  phase_ = Phase::answering;
  current_ = arriving_.get();
  current_->connection_ = shared_from_this();
  ++core_.stats.requests_active;
  // The read that notices a client who leaves is also the read of the next request.
  shrink_input();
  read();
  core_.handler(std::move(arriving_));
}

void Connection::refuse(RefusedFor reason, int status, std::string_view why) {
  ++core_.stats.requests_bad;
  const auto refused = std::move(arriving_);
  builder_.reset();
  phase_ = Phase::answering;
  keep_alive_ = false;
  respond(
      core_.error_response({reason, status, why, refused ? refused->path() : std::string_view{}}));
  tell_answered(refused.get(), false);
}

void Connection::on_timeout() {
  const auto self = shared_from_this();
  switch (phase_) {
    case Phase::head:
      if (!head_begun_)
        return close();
      return refuse(RefusedFor::head_late, 408, "the header of the request did not arrive in time");
    case Phase::body:
      return refuse(RefusedFor::body_late, 408, "the body of the request did not arrive in time");
    case Phase::answering:
      return lost();  // it takes no bytes
    case Phase::lingering:
    case Phase::closed:
      return close();
  }
}

void Connection::close_when_idle() {
  keep_alive_ = false;
  if (phase_ == Phase::head && unread().empty())
    close();
}

}  // namespace tonnage::net
