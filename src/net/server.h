// Server: listeners, client connections and the pool of connections to model servers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "base/result.h"
#include "http/address.h"
#include "net/exchange.h"
#include "net/limits.h"
#include "net/refusal.h"

namespace tonnage::net {

struct ServerStats {
  std::uint64_t connections_open = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;  // beyond connections_max
  std::uint64_t requests = 0;             // heads that parsed
  std::uint64_t requests_bad = 0;         // answered 4xx or 5xx by this module itself
  std::uint64_t requests_active = 0;      // handed to the handler, not yet answered
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t relays = 0;
  std::uint64_t upstream_connects = 0;
  std::uint64_t upstream_idle = 0;
  std::int64_t bodies_memory_bytes = 0;
  std::int64_t bodies_file_bytes = 0;
};

// Everything runs on the thread that runs `io`; no call blocks. Destroying the server cuts what is
// left (not from within a handler or callback of it); exchanges that are still held stay valid and
// see their client as gone.
class Server {
 public:
  using Handler = std::move_only_function<void(std::shared_ptr<Exchange>)>;
  // Sees a request when its head is complete and its body is not; an answer here is sent at once
  // and the body is not read. For keys, Host and Origin checks. body() is empty.
  using HeadCheck = std::move_only_function<std::optional<Response>(const Exchange&)>;
  // The answer to a request that never becomes an exchange, so that it is in the caller's dialect.
  using ErrorBody = std::move_only_function<Response(const Refusal&)>;
  // Hears of every request when its answer was handed over, or its client has left.
  using OnAnswer = std::move_only_function<void(const AnswerRecord&)>;

  Server(boost::asio::io_context& io, Limits limits, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void set_head_check(HeadCheck check);
  void set_error_body(ErrorBody body);
  void set_on_answer(OnAnswer on_answer);

  // `host` is a numeric address; port 0 lets the kernel choose. Returns the actual port. `tag`
  // comes back as Exchange::listener_tag().
  Result<std::uint16_t> listen_tcp(const std::string& host, std::uint16_t port, int tag = 0);
  // A socket file that a dead process left is replaced; one that answers is an error.
  Result<void> listen_unix(const std::string& path, int tag = 0, unsigned mode = 0600);

  // Stops accepting, closes idle connections, lets active answers finish, cuts what is left after
  // `grace`; then `done` runs (once, from the loop).
  void stop(Duration grace, std::move_only_function<void()> done);

  // Closes the idle connections to a server that ended or is about to.
  void drop_upstream(const Address& address);

  const Limits& limits() const;
  ServerStats stats() const;

 private:
  std::shared_ptr<class ServerCore> core_;
};

}  // namespace tonnage::net
