#include "http/blocking_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/client_message.h"
#include "http/resolve.h"
#include "http/stream_socket.h"
#include "http/tls_stream.h"

namespace tonnage::net {

namespace {

using Clock = std::chrono::steady_clock;

// One connection for one request, waiting in poll(2).
class Fetch {
 public:
  Fetch(const ClientRequest& request, const FetchOptions& options,
        std::move_only_function<bool(std::string_view)>* on_piece)
      : request_(request), options_(options), on_piece_(on_piece) {
    extend();
  }
  ~Fetch() {
    tls_.reset();
    close();
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;

  Result<Reply> run() {
    if (auto connected = connect(); !connected)
      return std::unexpected(connected.error());
    if (options_.tls) {
      auto tls = TlsStream::connect(socket_, {request_.address.host, options_.verify},
                                    [this](short events) { return wait(events); });
      if (!tls)
        return std::unexpected(tls.error());
      tls_ = std::move(*tls);
    }
    if (auto sent = send(); !sent)
      return std::unexpected(sent.error());
    parser_.reset(request_.method == "HEAD");
    for (;;) {
      const auto over = parse();
      if (!over)
        return std::unexpected(over.error());
      if (*over)
        return std::move(reply_);
      const auto more = receive();
      if (!more)
        return std::unexpected(more.error());
      if (*more)
        continue;
      if (parser_.parse_eof())
        return std::move(reply_);
      return failed("the server closed the connection");
    }
  }

 private:
  std::unexpected<Error> failed(std::string why, std::string remedy = {}) const {
    return fail(request_.method + " " + request_.target + " failed at", to_text(request_.address),
                std::move(why), std::move(remedy));
  }

  void extend() {
    if (request_.timeout > 0s)
      deadline_ = Clock::now() + request_.timeout;
  }

  Result<void> wait(short events) {
    for (;;) {
      int left_ms = -1;
      if (deadline_) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - Clock::now());
        left_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000'000));
      }
      pollfd poll{.fd = socket_, .events = events, .revents = 0};
      const int ready = ::poll(&poll, 1, left_ms);
      if (ready > 0)
        return {};
      if (ready == 0)
        return failed("no answer within " + tonnage::to_text(request_.timeout));
      if (errno != EINTR)
        return failed(std::strerror(errno));
    }
  }

  void close() {
    if (socket_ >= 0)
      ::close(socket_);
    socket_ = -1;
  }

  // Every address of a host name; the one that was given otherwise.
  Result<std::vector<SystemAddress>> addresses() const {
    std::vector<Address> found = {request_.address};
    if (!request_.address.is_unix()) {
      auto resolved = resolve(request_.address.host, request_.address.port);
      if (!resolved)
        return failed(resolved.error().why, "check the name of the host");
      found = std::move(*resolved);
    }
    std::vector<SystemAddress> system;
    for (const Address& address : found) {
      const auto one = system_address(address);
      if (!one)
        return std::unexpected(one.error());
      system.push_back(*one);
    }
    return system;
  }

  Result<void> connect() {
    const auto found = addresses();
    if (!found)
      return std::unexpected(found.error());
    Result<void> result = failed("the host has no address");
    for (const SystemAddress& address : *found) {
      close();
      result = connect_to(address);
      if (result)
        break;
    }
    return result;
  }

  Result<void> connect_to(const SystemAddress& where) {
    socket_ = ::socket(where.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ < 0)
      return failed(std::strerror(errno));
    if (!request_.address.is_unix())
      set_no_delay(socket_);
    while (::connect(socket_, where.get(), where.length) != 0) {
      if (errno == EINPROGRESS) {
        if (auto writable = wait(POLLOUT); !writable)
          return writable;
        int error = 0;
        socklen_t length = sizeof(error);
        ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error == 0)
          return {};
        errno = error;
      } else if (errno == EAGAIN) {  // a full backlog, which cannot be waited for
        if (deadline_ && Clock::now() >= *deadline_)
          return failed("the server is too busy");
        ::poll(nullptr, 0, 5);
        continue;
      }
      return failed(std::strerror(errno));
    }
    return {};
  }

  Result<void> send() {
    const std::string head = client_request_text(request_);
    if (tls_)
      return tls_->write(head + request_.body);
    Gather out;
    out.add(head);
    out.add(request_.body);
    for (;;) {
      switch (out.send(socket_)) {
        case Gather::Sent::all:
          return {};
        // The server may have refused early: what it said is still to be read.
        case Gather::Sent::failed:
          return {};
        case Gather::Sent::some:
          break;
      }
      if (auto writable = wait(POLLOUT); !writable)
        return writable;
    }
  }

  // False at the end of the stream.
  Result<bool> receive() {
    constexpr std::size_t kRead = std::size_t{16} * 1024;
    if (tls_) {
      auto more = tls_->read(buffer_, kRead);
      if (more && on_piece_ != nullptr)
        extend();
      return more;
    }
    if (auto readable = wait(POLLIN); !readable)
      return std::unexpected(readable.error());
    const std::size_t held = buffer_.size();
    buffer_.resize(held + kRead);
    const ssize_t n = ::recv(socket_, buffer_.data() + held, kRead, 0);
    const int error = errno;
    buffer_.resize(held + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && error != EINTR && error != EAGAIN)
      return failed(std::strerror(error));
    if (on_piece_ != nullptr)
      extend();
    return n != 0;
  }

  // True when the reply is complete, or the caller wants no more.
  Result<bool> parse() {
    while (!head_done_) {
      const std::size_t length = head_length(buffer_, scanned_);
      if (length == 0) {
        if (buffer_.size() > kHeadMax)
          return bad_reply(request_, "its head is too long");
        return false;
      }
      const auto interim = take_reply_head(parser_, std::string_view(buffer_).substr(0, length),
                                           request_, fields_, reply_);
      if (!interim)
        return std::unexpected(interim.error());
      buffer_.erase(0, length);
      scanned_ = 0;
      head_done_ = !*interim;
    }
    if (parser_.done())
      return true;
    pieces_.clear();
    const BodyProgress progress = parser_.parse_body(buffer_, pieces_);
    const bool streams = on_piece_ != nullptr && reply_.status / 100 == 2;
    for (const std::string_view piece : pieces_) {
      if (!streams) {
        reply_.body.append(piece);
      } else if (!(*on_piece_)(piece)) {
        return true;
      }
    }
    if (progress.failure)
      return bad_reply(request_, progress.failure->why);
    buffer_.erase(0, progress.consumed);
    if (reply_.body.size() > static_cast<std::size_t>(request_.reply_max.count)) {
      return bad_reply(request_, "it is longer than " + tonnage::to_text(request_.reply_max));
    }
    return parser_.done();
  }

  static constexpr std::size_t kHeadMax = std::size_t{64} * 1024;

  const ClientRequest& request_;
  const FetchOptions& options_;
  std::move_only_function<bool(std::string_view)>* on_piece_;
  std::optional<Clock::time_point> deadline_;
  int socket_ = -1;
  std::unique_ptr<TlsStream> tls_;
  ResponseParser parser_;
  std::string buffer_;
  std::vector<HeaderView> fields_;
  std::vector<std::string_view> pieces_;
  std::size_t scanned_ = 0;
  Reply reply_;
  bool head_done_ = false;
};

}  // namespace

Result<Reply> fetch(const ClientRequest& request, const FetchOptions& options) {
  return Fetch(request, options, nullptr).run();
}

Result<Reply> fetch_stream(const ClientRequest& request,
                           std::move_only_function<bool(std::string_view piece)> on_piece,
                           const FetchOptions& options) {
  return Fetch(request, options, &on_piece).run();
}

}  // namespace tonnage::net
