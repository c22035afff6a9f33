#include "http/stream_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace tonnage::net {

Result<SystemAddress> system_address(const Address& address) {
  SystemAddress out;
  if (address.is_unix()) {
    auto& un = reinterpret_cast<sockaddr_un&>(out.storage);
    if (address.unix_path.size() >= sizeof(un.sun_path)) {
      return fail("cannot use socket path", address.unix_path,
                  "it is longer than 107 bytes, which the system does not allow",
                  "choose a shorter folder");
    }
    un.sun_family = AF_UNIX;
    std::memcpy(un.sun_path, address.unix_path.c_str(), address.unix_path.size() + 1);
    out.length =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.unix_path.size() + 1);
    out.family = AF_UNIX;
    return out;
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    out.length = sizeof(sockaddr_in);
    out.family = AF_INET;
    return out;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  v6 = {};
  if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    out.length = sizeof(sockaddr_in6);
    out.family = AF_INET6;
    return out;
  }
  return fail("cannot use host", address.host, "it is not a numeric address",
              "write 127.0.0.1, for example");
}

void Gather::add(std::string_view piece) {
  if (piece.empty())
    return;
  TONNAGE_CHECK(count_ < kPiecesMax, "too many pieces in one write");
  pieces_[count_++] = {const_cast<char*>(piece.data()), piece.size()};
}

std::size_t Gather::bytes() const {
  std::size_t sum = 0;
  for (std::size_t i = first_; i < count_; ++i)
    sum += pieces_[i].iov_len;
  return sum;
}

void Gather::append_to(std::string& out) const {
  for (std::size_t i = first_; i < count_; ++i) {
    out.append(static_cast<const char*>(pieces_[i].iov_base), pieces_[i].iov_len);
  }
}

Gather::Sent Gather::send(int socket) {
  while (first_ < count_) {
    msghdr message{};
    message.msg_iov = &pieces_[first_];
    message.msg_iovlen = count_ - first_;
    const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return errno == EAGAIN ? Sent::some : Sent::failed;
    }
    sent_bytes_ += static_cast<std::uint64_t>(n);
    auto left = static_cast<std::size_t>(n);
    while (first_ < count_ && left >= pieces_[first_].iov_len)
      left -= pieces_[first_++].iov_len;
    if (first_ == count_)
      break;
    pieces_[first_].iov_base = static_cast<char*>(pieces_[first_].iov_base) + left;
    pieces_[first_].iov_len -= left;
  }
  clear();
  return Sent::all;
}

void set_no_delay(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void set_reset_on_close(int socket) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace tonnage::net
