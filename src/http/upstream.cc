#include "http/upstream.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "base/check.h"
#include "base/descriptors.h"

namespace tonnage::net {

namespace asio = boost::asio;
using boost::system::error_code;

UpstreamConnection::UpstreamConnection(asio::io_context& io, Address address,
                                       std::size_t buffer_bytes)
    : socket_(io.get_executor()),
      address_(std::move(address)),
      buffer_(new char[buffer_bytes]),
      capacity_(buffer_bytes) {}

UpstreamConnection::Connecting UpstreamConnection::connect(int& error) {
  error = EINVAL;
  const auto where = system_address(address_);
  if (!where)
    return Connecting::failed;
  const int fd = open_with_reserve(
      [&] { return ::socket(where->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
  if (fd < 0) {
    error = errno;
    // The server is not to blame: as soon as somebody else lets go there is another try.
    return is_own_shortage(error) ? Connecting::backlog_full : Connecting::failed;
  }
  const int rc = ::connect(fd, where->get(), where->length);
  error = rc == 0 ? 0 : errno;
  if (rc != 0 && error != EINPROGRESS) {
    ::close(fd);
    return error == EAGAIN ? Connecting::backlog_full : Connecting::failed;
  }
  if (!address_.is_unix())
    set_no_delay(fd);
  error_code failed;
  socket_.assign(asio::generic::stream_protocol(where->family, 0), fd, failed);
  if (failed) {
    ::close(fd);
    error = failed.value();
    return Connecting::failed;
  }
  open_ = true;
  if (rc == 0)
    return Connecting::done;
  socket_.async_wait(StreamSocket::wait_write, [self = shared_from_this()](const error_code& ec) {
    if (ec || !self->open_)
      return;
    int so_error = 0;
    socklen_t length = sizeof(so_error);
    ::getsockopt(self->socket_.native_handle(), SOL_SOCKET, SO_ERROR, &so_error, &length);
    if (self->user_ != nullptr)
      self->user_->on_connected(so_error);
  });
  return Connecting::pending;
}

bool UpstreamConnection::write(Gather& request) {
  switch (request.send(socket_.native_handle())) {
    case Gather::Sent::all:
    case Gather::Sent::failed:
      return true;
    case Gather::Sent::some:
      break;
  }
  writing_ = &request;
  await_writable();
  return false;
}

void UpstreamConnection::await_writable() {
  socket_.async_wait(StreamSocket::wait_write, [self = shared_from_this()](const error_code& ec) {
    if (ec || !self->open_ || self->writing_ == nullptr)
      return;
    if (self->writing_->send(self->socket_.native_handle()) == Gather::Sent::some) {
      return self->await_writable();
    }
    self->writing_ = nullptr;
    if (self->user_ != nullptr)
      self->user_->on_request_written();
  });
}

bool UpstreamConnection::read() {
  if (reading_ || !open_)
    return true;
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_)
    return false;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_.get() + end_, capacity_ - end_),
                          [self = shared_from_this()](const error_code& ec, std::size_t bytes) {
                            self->reading_ = false;
                            if (!self->open_)
                              return;
                            self->received(ec.value(), ec == asio::error::eof, bytes);
                          });
  return true;
}

void UpstreamConnection::received(int error, bool end, std::size_t bytes) {
  if (pool_ != nullptr) {
    // Nobody asked: the server closes an idle connection, or speaks out of turn.
    const auto self = shared_from_this();
    pool_->remove(*this);
    return close();
  }
  end_ += bytes;
  if (user_ == nullptr)
    return;
  if (error == 0)
    return user_->on_readable();
  user_->on_upstream_end(end ? 0 : error);
}

void UpstreamConnection::consume(std::size_t bytes) {
  TONNAGE_CHECK(bytes <= end_ - begin_, "consumes more than there is");
  begin_ += bytes;
}

void UpstreamConnection::close() {
  user_ = nullptr;
  writing_ = nullptr;
  if (!open_)
    return;
  open_ = false;
  error_code ignored;
  socket_.close(ignored);
}

UpstreamPool::~UpstreamPool() {
  drop_all();
}

std::shared_ptr<UpstreamConnection> UpstreamPool::take(const Address& address) {
  const auto found = by_address_.find(address);
  if (found == by_address_.end() || found->second.empty())
    return nullptr;
  auto connection = std::move(found->second.back());
  found->second.pop_back();
  connection->pool_ = nullptr;
  --idle_;
  return connection;
}

void UpstreamPool::give_back(std::shared_ptr<UpstreamConnection> connection) {
  connection->set_user(nullptr);
  auto& idle = by_address_[connection->address()];
  if (idle.size() >= idle_max_)
    return connection->close();
  connection->pool_ = this;
  (void)connection->read();  // notices the server's end, and receives the next answer
  idle.push_back(std::move(connection));
  ++idle_;
}

void UpstreamPool::drop(const Address& address) {
  const auto found = by_address_.find(address);
  if (found == by_address_.end())
    return;
  for (const auto& connection : found->second) {
    connection->pool_ = nullptr;
    connection->close();
    --idle_;
  }
  by_address_.erase(found);
}

void UpstreamPool::drop_all() {
  while (!by_address_.empty())
    drop(Address(by_address_.begin()->first));
}

void UpstreamPool::remove(const UpstreamConnection& connection) {
  const auto found = by_address_.find(connection.address());
  TONNAGE_CHECK(found != by_address_.end(), "an idle connection is not in its pool");
  auto& idle = found->second;
  const auto at = std::find_if(idle.begin(), idle.end(),
                               [&](const auto& held) { return held.get() == &connection; });
  TONNAGE_CHECK(at != idle.end(), "an idle connection is not in its pool");
  (*at)->pool_ = nullptr;
  idle.erase(at);
  --idle_;
  // Generations have addresses of their own: an empty entry would stay for ever.
  if (idle.empty())
    by_address_.erase(found);
}

}  // namespace tonnage::net
