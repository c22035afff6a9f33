// For tests: raw clients and a raw model server around a real Server, driven without sleeping.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "net/server.h"
#include "net/stream_socket.h"

namespace tonnage::net {

// A non-blocking socket of the test's own; everything received stays in `received`.
class RawSocket {
 public:
  RawSocket() = default;
  explicit RawSocket(int fd) : fd_(fd) { ::fcntl(fd, F_SETFL, O_NONBLOCK); }
  ~RawSocket() { close(); }
  RawSocket(RawSocket&& other) noexcept
      : received(std::move(other.received)),
        ended(other.ended),
        fd_(std::exchange(other.fd_, -1)) {}
  RawSocket& operator=(RawSocket&& other) noexcept {
    close();
    received = std::move(other.received);
    ended = other.ended;
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }

  static RawSocket connect(const Address& address, int receive_buffer = 0) {
    const auto where = system_address(address);
    const int fd = ::socket(where->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0) {
      ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    }
    EXPECT_EQ(::connect(fd, where->get(), where->length), 0) << std::strerror(errno);
    return RawSocket(fd);
  }

  // Returns what did not fit into the socket.
  std::string_view send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n <= 0)
        break;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return text;
  }

  void pump() {
    char buffer[16384];
    while (fd_ >= 0 && !ended) {
      const ssize_t n = ::recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (n > 0) {
        received.append(buffer, static_cast<std::size_t>(n));
        continue;
      }
      if (n == 0 || (errno != EAGAIN && errno != EINTR))
        ended = true;
      was_reset = was_reset || (n < 0 && errno == ECONNRESET);
      break;
    }
  }

  bool has(std::string_view text) {
    pump();
    return received.find(text) != std::string::npos;
  }
  bool is_ended() {
    pump();
    return ended;
  }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }
  bool is_open() const { return fd_ >= 0; }

  std::string received;
  bool ended = false;
  bool was_reset = false;

 private:
  int fd_ = -1;
};

// Listens on a unix socket and leaves every byte to the test.
class RawServer {
 public:
  explicit RawServer(std::string path) : address_(unix_address(std::move(path))) { listen(); }
  ~RawServer() { close(); }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  void listen() {
    const auto where = system_address(address_);
    ::unlink(address_.unix_path.c_str());
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EXPECT_EQ(::bind(fd_, where->get(), where->length), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
  }
  bool accept(RawSocket& into) {
    const int fd = ::accept(fd_, nullptr, nullptr);
    if (fd >= 0)
      into = RawSocket(fd);
    return fd >= 0;
  }
  void close() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }
  const Address& address() const { return address_; }

 private:
  Address address_;
  int fd_ = -1;
};

// A server whose handler the test chooses. Time-outs are small and real; no test waits for time to
// pass, only for what it expects, up to a bound that means failure.
class NetTest : public ::testing::Test {
 protected:
  NetTest() : folder_(make_folder()) {
    limits.timer_step = 5ms;
    limits.spill_folder = folder_;
  }
  ~NetTest() override {
    server.reset();
    held.clear();
    std::filesystem::remove_all(folder_);
  }

  static std::string make_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tonnage-net-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return name;
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  void serve(Server::Handler handler) {
    server = std::make_unique<Server>(io, limits, std::move(handler));
    const auto port = server->listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(port) << port.error().text();
    port_ = *port;
  }
  // Keeps every request for the test to answer.
  void serve_held() {
    serve([this](std::shared_ptr<Exchange> exchange) { held.push_back(std::move(exchange)); });
  }
  // Relays every request to `upstream` and keeps how it ended.
  void serve_relay(const Address& upstream) {
    serve([this, upstream](std::shared_ptr<Exchange> exchange) {
      held.push_back(exchange);
      RelayTarget target = make_target(upstream, *exchange);
      exchange->relay(std::move(target), [this](RelayResult result) { keep(std::move(result)); });
    });
  }
  RelayTarget make_target(const Address& upstream, const Exchange& exchange) {
    RelayTarget target;
    target.upstream = upstream;
    target.target = std::string(exchange.target());
    if (adjust)
      adjust(target);
    return target;
  }
  void keep(RelayResult result) {
    results.push_back(std::move(result));
    if (on_result)
      on_result(results.back());
  }

  RawSocket client(int receive_buffer = 0) {
    return RawSocket::connect(tcp_address("127.0.0.1", port_), receive_buffer);
  }
  RawSocket client_sending(std::string_view text) {
    RawSocket socket = client();
    socket.send(text);
    return socket;
  }

  template <typename Condition>
  ::testing::AssertionResult until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return ::testing::AssertionFailure() << "did not happen within 10 s";
      }
      io.restart();
      io.run_one_for(std::chrono::milliseconds(1));
    }
    return ::testing::AssertionSuccess();
  }
  // Runs everything that is ready.
  void settle() {
    io.restart();
    while (io.poll() > 0) {
    }
  }

  boost::asio::io_context io{1};
  Limits limits;
  std::unique_ptr<Server> server;
  std::vector<std::shared_ptr<Exchange>> held;
  std::vector<RelayResult> results;
  std::function<void(RelayTarget&)> adjust;
  std::function<void(RelayResult&)> on_result;

 private:
  std::string folder_;
  std::uint16_t port_ = 0;
};

inline const std::string kSseHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
inline const std::string kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

inline std::string post_text(std::string_view body, std::string_view fields = {}) {
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// "date: ...\r\n" of an answer.
inline std::string date_line(std::string_view received) {
  const auto at = received.find("date: ");
  return at == received.npos ? std::string("no date")
                             : std::string(received.substr(at, received.find('\n', at) + 1 - at));
}

// What was received, without the dates of its heads.
inline std::string without_dates(std::string received) {
  for (auto at = received.find("\r\ndate: "); at != received.npos;
       at = received.find("\r\ndate: ", at)) {
    received.erase(at, received.find("\r\n", at + 2) - at);
  }
  return received;
}

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

}  // namespace tonnage::net
