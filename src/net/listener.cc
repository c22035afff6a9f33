#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "http/stream_socket.h"
#include "net/server_core.h"

namespace tonnage::net {

namespace {

// Thousands of clients may arrive at once after a restart; the kernel caps it at somaxconn.
constexpr int kBacklog = 4096;
// Accepts in a row before other work gets its turn.
constexpr int kAcceptBatch = 64;
// Without file descriptors accepting is tried again after this.
constexpr Duration kAcceptPause = 200ms;

std::string remedy_for_bind(int error, const Address& address) {
  if (error == EADDRINUSE) {
    return "`ss -ltnp 'sport = :" + std::to_string(address.port) +
           "'` shows who has it; choose another with --listen";
  }
  if (error == EACCES && !address.is_unix())
    return "ports below 1024 need privileges";
  if (error == EADDRNOTAVAIL)
    return "`ip addr` shows the addresses of this machine";
  return {};
}

std::string peer_text(const sockaddr_storage& from) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    return to_text(tcp_address(text.data(), ntohs(v4.sin_port)));
  }
  if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    return to_text(tcp_address(text.data(), ntohs(v6.sin6_port)));
  }
  return "unix";
}

std::optional<std::uint32_t> peer_user(int fd) {
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return std::nullopt;
  return credentials.uid;
}

}  // namespace

Listener::Listener(ServerCore& core, Address address, int tag)
    : core_(core),
      address_(std::move(address)),
      tag_(tag),
      acceptor_(core.io.get_executor()),
      pause_(TimerWheel::Timer::calling<&Listener::wait>(core.wheel, this)) {}

Listener::~Listener() {
  close();
}

Result<std::unique_ptr<Listener>> Listener::open(ServerCore& core, const Address& address, int tag,
                                                 unsigned unix_mode) {
  std::unique_ptr<Listener> listener(new Listener(core, address, tag));
  if (auto bound = listener->bind(unix_mode); !bound)
    return std::unexpected(bound.error());
  listener->wait();
  return listener;
}

Result<void> Listener::bind(unsigned unix_mode) {
  const auto where = system_address(address_);
  if (!where)
    return std::unexpected(where.error());
  if (address_.is_unix()) {
    if (auto cleared = clear_stale_socket(); !cleared)
      return cleared;
  }
  const auto failed = [&](int error) {
    return fail("cannot listen on", to_text(address_), std::strerror(error),
                remedy_for_bind(error, address_));
  };
  const int fd = ::socket(where->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return failed(errno);
  acceptor_.assign(boost::asio::generic::stream_protocol(where->family, 0), fd);
  const int on = 1;
  if (!address_.is_unix())
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (where->family == AF_INET6)
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (::bind(fd, where->get(), where->length) != 0)
    return failed(errno);
  if (address_.is_unix()) {
    // Nobody can connect before listen(), so the mode is never too wide for a moment.
    struct stat status{};
    if (::chmod(address_.unix_path.c_str(), unix_mode) != 0 ||
        ::stat(address_.unix_path.c_str(), &status) != 0) {
      return failed(errno);
    }
    inode_ = status.st_ino;
  }
  if (::listen(fd, kBacklog) != 0)
    return failed(errno);
  sockaddr_storage bound{};
  socklen_t length = sizeof(bound);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  if (bound.ss_family == AF_INET)
    port_ = ntohs(reinterpret_cast<sockaddr_in&>(bound).sin_port);
  if (bound.ss_family == AF_INET6)
    port_ = ntohs(reinterpret_cast<sockaddr_in6&>(bound).sin6_port);
  return {};
}

// A socket file whose owner died refuses connections; one that answers belongs to a living daemon.
Result<void> Listener::clear_stale_socket() const {
  const char* const path = address_.unix_path.c_str();
  struct stat status{};
  if (::lstat(path, &status) != 0)
    return {};
  if (!S_ISSOCK(status.st_mode)) {
    return fail("cannot listen on", to_text(address_), "a file that is not a socket is there",
                "remove it or choose another path");
  }
  const auto where = system_address(address_);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return fail("cannot listen on", to_text(address_), std::strerror(errno));
  const int rc = ::connect(fd, where->get(), where->length);
  const int error = errno;
  ::close(fd);
  if (rc == 0 || error == EAGAIN) {
    return fail("cannot listen on", to_text(address_), "another process answers there",
                "`ss -lxp` shows which");
  }
  if (::unlink(path) != 0) {
    return fail("cannot replace the old socket", to_text(address_), std::strerror(errno));
  }
  return {};
}

void Listener::wait() {
  acceptor_.async_wait(Acceptor::wait_read, [this, alive = std::weak_ptr(alive_)](
                                                const boost::system::error_code& error) {
    if (error || alive.expired())
      return;
    accept_all();
  });
}

void Listener::accept_all() {
  for (int i = 0; i < kAcceptBatch; ++i) {
    if (accept_one())
      continue;
    if (errno == EAGAIN)
      break;
    if (errno == ECONNABORTED || errno == EINTR)
      continue;
    // EMFILE and its like: the connections that wait stay in the backlog.
    return pause_.arm_in(kAcceptPause);
  }
  wait();
}

bool Listener::accept_one() {
  sockaddr_storage from{};
  socklen_t length = sizeof(from);
  const int fd = ::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0)
    return false;
  if (address_.is_unix()) {
    core_.accepted(fd, AF_UNIX, "unix", peer_user(fd), tag_);
  } else {
    set_no_delay(fd);
    core_.accepted(fd, from.ss_family, peer_text(from), std::nullopt, tag_);
  }
  if (!core_.is_short_of_descriptors(fd))
    return true;
  errno = EMFILE;
  return false;
}

void Listener::close() {
  alive_.reset();
  pause_.disarm();
  if (!acceptor_.is_open())
    return;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  if (inode_ == 0)
    return;
  struct stat status{};
  const char* const path = address_.unix_path.c_str();
  if (::stat(path, &status) == 0 && status.st_ino == inode_)
    ::unlink(path);
}

}  // namespace tonnage::net
