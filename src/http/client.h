// http_request: one small request to a server, without blocking (health probes, looks at slots).
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/bytes.h"
#include "base/result.h"
#include "base/tick.h"
#include "http/address.h"
#include "http/message.h"

namespace tonnage::net {

struct ClientRequest {
  Address address;
  std::string method = "GET";
  std::string target = "/";
  std::vector<Header> headers;
  std::string body;
  Duration timeout = 1s;    // for the whole of it
  Bytes reply_max = 4_MiB;  // a longer body is an error
  // Whether to try again, until the timeout, while the server's backlog is full or this process has
  // no descriptor left. Else that is an error at once.
  bool wait_for_room = true;
};

struct Reply {
  int status = 0;
  std::vector<Header> headers;  // names in lower case
  std::string body;

  // The value of the first field of that name (lower case), or "".
  std::string_view header(std::string_view name) const;
};

// Why there is no reply. `system`: the errno where a system call failed, else 0; is_own_shortage()
// tells whether the server has to do with it.
struct NoReply : Error {
  int system = 0;
};
using ReplyOrNot = std::expected<Reply, NoReply>;

// Keeps a request under way; letting go of it or cancel() ends the request without a callback.
class ClientCall {
 public:
  ClientCall() = default;
  explicit ClientCall(std::shared_ptr<void> running) : running_(std::move(running)) {}
  void cancel() { running_.reset(); }
  // Whether there is one that was not let go of; it may have had its callback.
  explicit operator bool() const { return running_ != nullptr; }

 private:
  std::shared_ptr<void> running_;
};

// `done` runs at most once (not after a cancel), from the loop, after this call returned. Loop
// thread only. Each request has a connection of its own.
[[nodiscard]] ClientCall http_request(boost::asio::io_context& io, ClientRequest request,
                                      std::move_only_function<void(ReplyOrNot)> done);
[[nodiscard]] ClientCall http_get(boost::asio::io_context& io, const Address& address,
                                  std::string target, Duration timeout,
                                  std::move_only_function<void(ReplyOrNot)> done);

}  // namespace tonnage::net
