// Exchange: one request of a client and the one answer that it gets.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop_clock.h"
#include "http/message.h"
#include "net/body.h"
#include "net/refusal.h"
#include "net/relay.h"

namespace boost::asio {
class io_context;
}

namespace tonnage::net {

class Connection;
class Relay;

// Loop thread only. The holder of the pointer owes one answer: respond(), or begin_stream() to
// end_stream(), or relay(). Letting go of it unanswered answers 500; letting go of a begun stream
// cuts the connection. Once the client is gone every answering call is a no-op, and a relay ends
// with client_gone. No call blocks, throws, or runs a callback before it returns.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // The request. Views are valid while the exchange lives; bytes are as the client sent them.
  std::string_view method() const { return method_; }
  std::string_view target() const { return target_; }  // as sent, absolute form included
  std::string_view path() const { return path_; }      // still percent-encoded, begins with '/'
  std::string_view query() const { return query_; }    // without '?', may be empty
  std::string_view host() const { return host_; }      // of an absolute target, else the Host field
  std::span<const HeaderView> headers() const { return headers_; }
  // The first field of that name, in any case.
  std::optional<std::string_view> header(std::string_view name) const;
  bool is_http_1_0() const { return http_1_0_; }
  const std::shared_ptr<const Body>& body() const { return body_; }

  // Where it came from: "127.0.0.1:51234", or "unix" with the peer's user in peer_uid().
  const std::string& peer() const;
  std::optional<std::uint32_t> peer_uid() const;
  // The tag that was given to listen_tcp() or listen_unix().
  int listener_tag() const;
  LoopClock::time_point received_at() const { return received_at_; }

  bool client_is_gone() const { return gone_; }
  // True once any byte of an answer was handed to the connection.
  bool answer_begun() const { return begun_; }
  // `callback` runs once when the client disconnects before its answer was handed over; never
  // afterwards. While a relay runs, its `done` is told instead. A later call replaces the earlier.
  void on_client_gone(std::move_only_function<void()> callback);

  // Fields that every answer of this exchange gets, whoever gives it; they replace a server's.
  void set_answer_headers(std::vector<Header> headers) { answer_headers_ = std::move(headers); }

  // For the access log.
  ExchangeNote& note() { return note_; }
  const ExchangeNote& note() const { return note_; }

  // The whole answer.
  void respond(Response response);

  // An answer in pieces: chunked for HTTP/1.1, until close for HTTP/1.0. Its head forbids storing
  // and buffering. While nothing is sent a heartbeat goes out each Limits::heartbeat_every, also
  // under a relay that is still silent. send() of an empty string is nothing. Bytes that the client
  // does not take are held up to Limits::stream_pending_max, then the client is dropped
  // (client_gone).
  void begin_stream(int status, std::string_view content_type,
                    const std::vector<Header>& headers = {});
  void send(std::string_view piece);
  void end_stream();
  std::size_t pending_bytes() const;

  // Sends this request to a server and its answer to the client. `done` runs exactly once, after
  // this call returned. When result.may_answer_again(), the exchange is as before the call. After a
  // midstream end, finish_broken() within `done` closes an event stream in good form; otherwise the
  // connection is cut, so that the client can tell. A pooled connection that turns out stale is
  // replaced once, silently.
  void relay(RelayTarget target, std::move_only_function<void(RelayResult)> done);
  // Only within `done` of a midstream end. `last_event` is a whole event, "data: {...}\n\n"; it is
  // sent only where the answer is text/event-stream (returns false, and cuts, elsewhere).
  bool finish_broken(std::string_view last_event);
  // The server of the relay that runs is about to go: the relay ends soon as one whose server
  // closed the connection, with `why`. Nothing where no relay runs.
  void cut_relay(std::string why);

 private:
  friend class Connection;
  friend class Relay;
  Exchange() = default;

  boost::asio::io_context* io_ = nullptr;
  std::shared_ptr<Connection> connection_;  // until the answer is complete or the client is gone
  std::string head_;                        // what the views below point into
  std::vector<HeaderView> headers_;
  std::string_view method_, target_, path_, query_, host_;
  std::shared_ptr<const Body> body_;
  LoopClock::time_point received_at_;
  std::move_only_function<void()> on_gone_;
  std::vector<Header> answer_headers_;
  ExchangeNote note_;
  std::string peer_;
  std::optional<std::uint32_t> peer_uid_;
  int listener_tag_ = 0;
  bool http_1_0_ = false;
  bool begun_ = false;
  bool gone_ = false;
};

}  // namespace tonnage::net
