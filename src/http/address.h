// Address: where a stream server listens, a unix socket path or a host and port.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tonnage::net {

// Plain data; equal addresses share pooled connections.
struct Address {
  std::string unix_path;  // used when not empty
  std::string host;       // numeric IPv4 or IPv6 address; names are not resolved
  std::uint16_t port = 0;

  bool is_unix() const { return !unix_path.empty(); }

  friend auto operator<=>(const Address&, const Address&) = default;
};

Address unix_address(std::string path);
Address tcp_address(std::string host, std::uint16_t port);

// "unix:/run/x.sock", "/run/x.sock", "127.0.0.1:8726", "[::1]:8726", "localhost:8726" (127.0.0.1),
// any of them with "http://" in front and "/" behind.
Result<Address> parse_address(std::string_view text);

// "unix:/run/x.sock", "127.0.0.1:8726", "[::1]:8726".
std::string to_text(const Address& address);

}  // namespace tonnage::net
