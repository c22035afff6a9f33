// StreamSocket: one socket type for TCP and unix connections, and the direct system calls on it.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "base/result.h"
#include "http/address.h"

namespace tonnage::net {

// The concrete executor saves the type-erased one's allocations and virtual calls per operation.
using StreamSocket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol,
                                                      boost::asio::io_context::executor_type>;

// A socket address in the system's form.
struct SystemAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Fails for a path that is too long or a host that is not numeric.
Result<SystemAddress> system_address(const Address& address);

// The pieces of one write, in order; what is left of them after a partial write.
class Gather {
 public:
  static constexpr std::size_t kPiecesMax = 8;

  void clear() { first_ = count_ = 0; }
  void add(std::string_view piece);
  bool empty() const { return first_ == count_; }
  std::size_t bytes() const;
  // Copies what is left behind `out`.
  void append_to(std::string& out) const;

  enum class Sent { all, some, failed };
  // One sendmsg(2) that does not block; takes what was sent off the front. `errno` is set on
  // failed.
  Sent send(int socket);
  // Bytes that went out since the last call.
  std::uint64_t take_sent_bytes() { return std::exchange(sent_bytes_, 0); }

 private:
  std::array<iovec, kPiecesMax> pieces_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::uint64_t sent_bytes_ = 0;
};

// Small messages must not wait for Nagle's algorithm. No effect on unix sockets.
void set_no_delay(int socket);

// Closes without the rest of the answer in a way that the peer cannot take for its end.
void set_reset_on_close(int socket);

}  // namespace tonnage::net
