// Relay: carries one request to a model server and its answer back, with back-pressure.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/loop_clock.h"
#include "http/upstream.h"
#include "net/connection.h"
#include "net/error_events.h"
#include "net/relay.h"
#include "net/server_core.h"

namespace tonnage::net {

// Loop thread only. Owned by its connection until it ends; `done_` runs exactly once. Nothing is
// sent to the client before the first body byte (or the end of an empty body) has arrived.
class Relay final : public UpstreamUser,
                    public WriteListener,
                    public std::enable_shared_from_this<Relay> {
 public:
  Relay(ServerCore& core, Connection& connection, std::shared_ptr<Exchange> exchange,
        RelayTarget target, std::move_only_function<void(RelayResult)> done);
  ~Relay() override;
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  void start();
  // The connection closes. The server's connection is closed at once, `done` runs from the loop.
  void client_gone();
  // See Exchange::cut_relay.
  void cut(std::string why);
  // See Exchange::finish_broken.
  bool finish_broken(std::string_view last_event);
  // Nothing of the server's answer has gone to the client.
  bool is_silent() const { return !head_sent_; }

 private:
  using Clock = LoopClock;
  enum class Stage : std::uint8_t { connecting, waiting, streaming, ended };
  enum class Mode : std::uint8_t { pass, hold, one_event };

  // UpstreamUser
  void on_connected(int error) override;
  void on_readable() override;
  void on_upstream_end(int error) override;
  void on_request_written() override {}
  // WriteListener
  void on_sent() override;

  void connect_fresh();
  void connect_failed(int error);
  void send_request();
  bool take_head();
  bool take_interim(std::size_t head_bytes);
  void choose_mode();
  void watch_errors();
  void begin_client_head();
  void end_client_head();
  void take_body();
  void forward(std::string_view payload, bool last);
  void collect(std::string_view payload, bool last);
  void hold(std::string_view payload, bool last);
  void keep_ends(std::string_view payload);
  void went_out();
  void await_more();
  void complete();
  void end_one_event();
  void broke(std::string why, RelayResult::Timeout timeout = RelayResult::Timeout::none);
  void end(RelayResult::End how);
  void end_later(RelayResult::End how, std::string why);
  void run_done();
  void set_deadline(Duration stage_timeout);
  void on_timeout();
  void release_upstream(bool reusable);

  ServerCore& core_;
  Connection* connection_;  // null once ended or the client is gone
  std::shared_ptr<Exchange> exchange_;
  RelayTarget target_;
  std::move_only_function<void(RelayResult)> done_;
  std::shared_ptr<UpstreamConnection> upstream_;
  TimerWheel::Timer timer_;
  RelayResult result_;

  std::string request_head_;
  Gather request_;
  std::string client_head_;  // held back until there is a body byte
  std::string chunk_head_;
  std::string collected_;
  std::string passed_on_;  // what was collected and then not held
  std::optional<ErrorEvents> errors_;
  std::array<char, 4> tail_{};  // the last bytes sent, to tell whether an event is complete

  Clock::time_point started_;
  Clock::time_point stage_began_;
  std::size_t scanned_ = 0;
  unsigned interim_heads_ = 0;
  Stage stage_ = Stage::connecting;
  Mode mode_ = Mode::pass;
  Mode passed_mode_ = Mode::pass;  // of an answer that is not held
  bool head_done_ = false;
  bool head_sent_ = false;
  bool event_stream_ = false;  // what the client receives is text/event-stream
  bool stream_ = false;        // it is read while it arrives
  bool sending_ = false;
  bool last_ = false;  // what is being sent is the end
  bool retried_ = false;
  bool in_backlog_ = false;
  bool broken_finished_ = false;
};

// Request and answer heads as they go on, in relay_heads.cc.
std::string upstream_request_head(const Exchange& exchange, const RelayTarget& target,
                                  const Body& body);
void append_relayed_fields(std::string& head, const std::vector<HeaderView>& fields,
                           const std::vector<Header>& added, bool stream);
// What goes on of a held answer's head.
std::vector<Header> held_fields(const std::vector<HeaderView>& fields);

}  // namespace tonnage::net
