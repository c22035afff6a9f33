// Connection: one client's socket: reads requests, writes answers, one request at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/parser.h"
#include "http/stream_socket.h"
#include "net/body.h"
#include "net/exchange.h"
#include "net/server_core.h"
#include "net/timer_wheel.h"

namespace tonnage::net {

class Relay;

// Hears that what it wrote has left. When the client is gone instead it hears nothing.
class WriteListener {
 public:
  virtual ~WriteListener() = default;
  virtual void on_sent() = 0;
};

// How the end of an answer's body is told to the client.
enum class Framing : std::uint8_t { none, length, chunked, until_close };

// Loop thread only. Alive while it is open (the core holds it) or an exchange or operation refers
// to it; `core_` is valid while it is open.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerCore& core, int fd, int family, std::string peer,
             std::optional<std::uint32_t> uid, int tag);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  // Graceful stop: an idle connection closes, a busy one closes after its answer.
  void close_when_idle();
  // The client is gone or is given up. Tells whoever answers, later, from the loop.
  void lost();

  // What an exchange may ask for; `current()` is the exchange that is being answered.
  void respond(Response response);
  void begin_stream(int status, std::string_view content_type, const std::vector<Header>& headers);
  void send(std::string_view piece);
  void end_stream();
  std::size_t pending_bytes() const { return stream_next_.size() + out_.bytes(); }
  void relay(RelayTarget target, std::move_only_function<void(RelayResult)> done);
  bool finish_broken(std::string_view last_event);
  void cut_relay(std::string why);
  void abandoned();
  Exchange* current() { return current_; }
  void post(std::move_only_function<void()> call);

  // What a relay may ask for.
  // Ends a head: framing and connection fields and the empty line. Decides the framing.
  Framing append_head_end(std::string& head, std::optional<std::uint64_t> length, bool no_body);
  Framing framing() const { return framing_; }
  // For the record of this answer.
  void answer_begins(int status);
  void count_answer(std::size_t bytes) { answer_bytes_ += bytes; }
  // True when all went out. False: later, or never; then the memory behind `pieces` must stay valid
  // until on_sent(), and the relay hears client_gone() if that never comes.
  bool write(Gather& pieces, WriteListener& listener);
  // Copies what is on its way, so that its memory is free to go.
  void adopt_pending();
  void append_stream(std::string_view piece);
  void relay_over() { relay_.reset(); }
  // The whole answer was handed over: the next request may come when it has left.
  void finish_answer();
  // The same, where the relay has written the end of the framing itself.
  void finish_relayed();
  // The answer broke off: the client must not take what it has for the whole.
  void cut_broken();

 private:
  friend class ServerCore;
  enum class Phase : std::uint8_t { head, body, answering, lingering, closed };

  // Reading, in connection.cc.
  void read();
  void received(std::size_t bytes);
  void process();
  bool step_head();
  bool begin_request(std::size_t head_bytes);
  bool check_request(Exchange& exchange);
  bool step_body();
  void dispatch();
  void refuse(RefusedFor reason, int status, std::string_view why);
  void continue_body();
  bool grow_input();
  void shrink_input();
  std::string_view unread() const { return {in_.get() + in_begin_, in_end_ - in_begin_}; }
  void consume(std::size_t bytes);
  void on_timeout();

  // Writing, in connection_answer.cc.
  void write_head(int status, std::string_view content_type, const std::vector<Header>& headers,
                  bool stream);
  void on_heartbeat();
  void tell_answered(const Exchange* exchange, bool client_left);
  void detach_exchange();
  void flush();
  void await_writable();
  void all_sent();
  void pump_stream();
  void answer_complete();
  void linger();
  void close();

  ServerCore& core_;
  StreamSocket socket_;
  TimerWheel::Timer timer_;
  TimerWheel::Timer heartbeat_;
  RequestParser parser_;

  std::unique_ptr<char[]> in_;
  std::size_t in_capacity_ = 0;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::size_t scanned_ = 0;  // of unread(), in search of the end of a head

  std::shared_ptr<Exchange> arriving_;  // until its body is complete
  std::unique_ptr<BodyBuilder> builder_;
  Exchange* current_ = nullptr;  // handed out and not answered yet
  std::shared_ptr<Relay> relay_;

  Gather out_;                       // on its way
  std::string out_head_;             // memory behind out_
  std::string out_body_;             // likewise
  std::string stream_next_;          // framed, waits for out_
  std::string_view heartbeat_text_;  // empty: this answer is no stream that began here
  WriteListener* listener_ = nullptr;

  const std::string peer_;
  const std::optional<std::uint32_t> peer_uid_;
  const int tag_;
  std::size_t index_ = 0;  // in the core's list
  LoopClock::time_point answer_began_;
  std::uint64_t answer_bytes_ = 0;
  int answer_status_ = 0;  // 0: there is no head yet
  Phase phase_ = Phase::head;
  Framing framing_ = Framing::none;
  bool reading_ = false;
  bool writing_ = false;
  bool processing_ = false;
  bool head_begun_ = false;  // the header timeout runs
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool to_head_ = false;  // the request's method is HEAD
  bool finish_after_write_ = false;
};

}  // namespace tonnage::net
