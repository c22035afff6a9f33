#include "http/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "http/stream_socket.h"

namespace tonnage::net {

Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &first);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(first, &::freeaddrinfo);
  std::vector<Address> all;
  for (const addrinfo* one = first; error == 0 && one != nullptr; one = one->ai_next) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* const bytes =
        one->ai_family == AF_INET
            ? static_cast<const void*>(
                  &reinterpret_cast<const sockaddr_in*>(one->ai_addr)->sin_addr)
            : &reinterpret_cast<const sockaddr_in6*>(one->ai_addr)->sin6_addr;
    if (::inet_ntop(one->ai_family, bytes, text.data(), text.size()) == nullptr)
      continue;
    Address address = tcp_address(text.data(), port);
    if (std::ranges::find(all, address) == all.end())
      all.push_back(std::move(address));
  }
  if (all.empty()) {
    return fail("cannot find an address of", "'" + host + "'",
                error == 0 ? "the name has none" : ::gai_strerror(error),
                "write an address such as 127.0.0.1, or a name that this machine knows");
  }
  return all;
}

bool is_address_missing(const Address& address) {
  const auto where = system_address(tcp_address(address.host, 0));
  if (!where)
    return true;
  const int fd = ::socket(where->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return errno == EAFNOSUPPORT;
  const bool bound = ::bind(fd, where->get(), where->length) == 0;
  const int error = errno;
  ::close(fd);
  return !bound && error == EADDRNOTAVAIL;
}

}  // namespace tonnage::net
