// UpstreamConnection and UpstreamPool: connections to model servers, kept alive between requests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "http/address.h"
#include "http/parser.h"
#include "http/stream_socket.h"

namespace tonnage::net {

class UpstreamPool;

// Whoever uses a connection at the moment. Calls come from the loop, never from within a call that
// the user makes.
class UpstreamUser {
 public:
  virtual ~UpstreamUser() = default;

  // connect() came to its end; `error` is 0 or an errno.
  virtual void on_connected(int error) = 0;
  // Bytes were added to unread(), or the server ended (`error`: an errno, or 0 for a clean end).
  virtual void on_readable() = 0;
  virtual void on_upstream_end(int error) = 0;
  // The write that was pending went out. A failed write is not reported: the server may have
  // answered before it closed, so the next read tells.
  virtual void on_request_written() = 0;
};

// One socket with the parser and the buffer of the answer that comes through it. While it is open
// there is always one read under way, unless the user has not asked for more.
class UpstreamConnection : public std::enable_shared_from_this<UpstreamConnection> {
 public:
  UpstreamConnection(boost::asio::io_context& io, Address address, std::size_t buffer_bytes);

  // Connects; the user hears on_connected(). Connecting to a unix socket is immediate, except while
  // its backlog is full: then `retry_connect()` is to be called after a moment.
  enum class Connecting { done, pending, backlog_full, failed };
  Connecting connect(int& error);

  // Sends the gather list, which must stay valid until it went out. True when all went out at once.
  bool write(Gather& request);
  // Asks for more bytes, unless a read is under way already. False when the buffer is full.
  bool read();
  // Received and not consumed; valid until the next read().
  std::string_view unread() const { return {buffer_.get() + begin_, end_ - begin_}; }
  // The same, writable, so that payloads can be moved together in place.
  char* unread_data() { return buffer_.get() + begin_; }
  void consume(std::size_t bytes);

  void set_user(UpstreamUser* user) { user_ = user; }
  void close();
  bool is_open() const { return open_; }
  bool write_pending() const { return writing_ != nullptr; }

  const Address& address() const { return address_; }
  ResponseParser& parser() { return parser_; }

 private:
  friend class UpstreamPool;
  void received(int error, bool end, std::size_t bytes);
  void await_writable();

  StreamSocket socket_;
  Address address_;
  ResponseParser parser_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  UpstreamUser* user_ = nullptr;
  UpstreamPool* pool_ = nullptr;  // set while idle in the pool
  Gather* writing_ = nullptr;
  bool open_ = false;
  bool reading_ = false;
};

// Idle connections, newest used first, so that surplus ones grow old and their servers close them.
class UpstreamPool {
 public:
  explicit UpstreamPool(std::size_t idle_max) : idle_max_(idle_max) {}
  ~UpstreamPool();
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // Null when there is none.
  std::shared_ptr<UpstreamConnection> take(const Address& address);
  void give_back(std::shared_ptr<UpstreamConnection> connection);
  void drop(const Address& address);
  void drop_all();
  std::size_t idle() const { return idle_; }

 private:
  friend class UpstreamConnection;
  void remove(const UpstreamConnection& connection);

  std::map<Address, std::vector<std::shared_ptr<UpstreamConnection>>> by_address_;
  std::size_t idle_max_;
  std::size_t idle_ = 0;
};

}  // namespace tonnage::net
