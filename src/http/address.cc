#include "http/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <utility>

namespace tonnage::net {

namespace {

bool is_numeric_host(const std::string& host) {
  in6_addr ignored{};
  return ::inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

// The kernel's limit on a socket path, terminating zero included.
constexpr std::size_t kUnixPathMax = 107;

Result<Address> parse_unix(std::string_view path, std::string_view text) {
  if (path.empty())
    return fail("cannot read address", std::string(text), "the path is empty");
  if (path.size() > kUnixPathMax) {
    return fail("cannot use socket path", std::string(path),
                "it is longer than 107 bytes, which the system does not allow",
                "choose a shorter folder");
  }
  return unix_address(std::string(path));
}

}  // namespace

Address unix_address(std::string path) {
  return {.unix_path = std::move(path)};
}

Address tcp_address(std::string host, std::uint16_t port) {
  return {.host = std::move(host), .port = port};
}

Result<Address> parse_address(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with("unix:"))
    return parse_unix(rest.substr(5), text);
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    if (rest.ends_with('/'))
      rest.remove_suffix(1);
  }
  if (rest.starts_with('/'))
    return parse_unix(rest, text);

  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) {
    return fail("cannot read address", std::string(text), "it has no port",
                "write HOST:PORT or unix:PATH");
  }
  const std::string_view digits = rest.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return fail("cannot read address", std::string(text), "the port is not a number up to 65535");
  }
  std::string host(rest.substr(0, colon));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (host == "localhost" || host.empty())
    host = "127.0.0.1";
  if (host == "*")
    host = "0.0.0.0";
  if (!is_numeric_host(host)) {
    return fail("cannot read address", std::string(text), "the host is not a numeric address",
                "write 127.0.0.1:8726, for example");
  }
  return tcp_address(std::move(host), port);
}

std::string to_text(const Address& address) {
  if (address.is_unix())
    return "unix:" + address.unix_path;
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace tonnage::net
