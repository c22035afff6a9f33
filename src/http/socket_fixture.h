// For tests: raw clients and a raw server on sockets, driven without sleeping.
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
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "http/stream_socket.h"

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

// A loop and a folder for sockets. No test waits for time to pass, only for what it expects, up to
// a bound that means failure.
class SocketTest : public ::testing::Test {
 protected:
  SocketTest() : folder_(make_folder()) {}
  ~SocketTest() override { std::filesystem::remove_all(folder_); }

  static std::string make_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tonnage-net-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return name;
  }
  const std::string& folder() const { return folder_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

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

 private:
  std::string folder_;
};

}  // namespace tonnage::net
