// Listener: one listening socket, TCP or unix, that accepts connections for a server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "base/result.h"
#include "http/address.h"
#include "net/timer_wheel.h"

namespace tonnage::net {

class ServerCore;

// Loop thread only. Closing removes a unix socket's file, if it is still the one that was bound.
class Listener {
 public:
  static Result<std::unique_ptr<Listener>> open(ServerCore& core, const Address& address, int tag,
                                                unsigned unix_mode);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const { return port_; }
  void close();

 private:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol,
                                                      boost::asio::io_context::executor_type>;

  Listener(ServerCore& core, Address address, int tag);
  Result<void> bind(unsigned unix_mode);
  Result<void> clear_stale_socket() const;
  void wait();
  void accept_all();
  bool accept_one();

  ServerCore& core_;
  Address address_;
  int tag_;
  Acceptor acceptor_;
  TimerWheel::Timer pause_;
  std::uint16_t port_ = 0;
  std::uint64_t inode_ = 0;
  // Completions that were queued before this went find it expired.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tonnage::net
