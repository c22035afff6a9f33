// ServerCore: what the listeners, connections and relays of one server share.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "http/upstream.h"
#include "net/body.h"
#include "net/limits.h"
#include "net/server.h"
#include "net/stream_head.h"
#include "net/timer_wheel.h"

namespace tonnage::net {

class Connection;
class Listener;

// Loop thread only. Connections refer to it while they are open; the server cuts them all before it
// lets go of this.
class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  ServerCore(boost::asio::io_context& context, Limits bounds, Server::Handler on_request);
  ~ServerCore();

  // A connection that a listener accepted; `fd` is owned from here on.
  void accepted(int fd, int family, std::string peer, std::optional<std::uint32_t> uid, int tag);
  // Whether a connection with this number cuts into what is kept for others.
  bool is_short_of_descriptors(int fd) const {
    return limits.descriptor_reserve_from > 0 &&
           static_cast<std::uint64_t>(fd) >= limits.descriptor_reserve_from;
  }
  void add(std::shared_ptr<Connection> connection);
  void remove(Connection& connection);

  // The answer to a request that never becomes an exchange.
  Response error_response(const Refusal& refusal);

  void stop(Duration grace, std::move_only_function<void()> done);
  // Cuts every connection and listener; nothing refers to this object afterwards.
  void cut_all();
  bool stopping() const { return stopping_; }
  std::size_t connections_open() const { return connections_.size(); }

  boost::asio::io_context& io;
  const Limits limits;
  Server::Handler handler;
  Server::HeadCheck head_check;
  Server::ErrorBody error_body;
  Server::OnAnswer on_answer;
  DateText date;
  TimerWheel wheel;
  UpstreamPool upstreams;
  std::shared_ptr<BodyBudget> bodies;
  ServerStats stats;
  std::vector<std::unique_ptr<Listener>> listeners;
  // Scratch of one parse each, kept for its capacity.
  std::vector<std::string_view> pieces;
  std::vector<HeaderView> fields;

 private:
  void stop_deadline();
  void stopped_if_empty();

  std::vector<std::shared_ptr<Connection>> connections_;
  std::move_only_function<void()> on_stopped_;
  TimerWheel::Timer stop_timer_;
  bool stopping_ = false;
};

}  // namespace tonnage::net
