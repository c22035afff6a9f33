// parse_listen: "127.0.0.1:8726", "[::1]:8726", "localhost:8726".
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "config/problem.h"
#include "config/value.h"

namespace tonnage {
namespace {

// Whether it has an address is seen when it is looked up. What ends in a number is a broken IPv4
// address and no name.
bool is_host_name(std::string_view host) {
  constexpr std::size_t kHostNameBytesMax = 253;
  const bool plain = std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  });
  const std::string_view last = host.substr(host.rfind('.') + 1);
  return plain && host.size() <= kHostNameBytesMax && !last.empty() &&
         !std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<Listen> parse_listen(std::string_view text) {
  const std::string object = in_quotes(text);
  const std::string remedy = "write 127.0.0.1:8726, localhost:8726, or [::1]:8726 for IPv6";
  const auto wrong = [&](std::string why) {
    return fail("not a listen address", object, why, remedy);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return wrong("the port is missing");
  std::string host{text.substr(0, colon)};
  const std::string_view port = text.substr(colon + 1);
  in6_addr v6{};
  in_addr v4{};
  if (host.starts_with('[')) {
    if (!host.ends_with(']'))
      return wrong("the closing bracket is missing");
    host = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, host.c_str(), &v6) != 1) {
      return wrong("no IPv6 address stands between the brackets");
    }
  } else if (host.find(':') != std::string::npos) {
    return wrong("an IPv6 address needs brackets");
  } else if (host.empty()) {
    return wrong("the address is missing; 0.0.0.0 means all");
  } else if (::inet_pton(AF_INET, host.c_str(), &v4) != 1 && !is_host_name(host)) {
    return wrong(in_quotes(host) + " is neither an address nor a host name");
  }
  int number = 0;
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (ec != std::errc{} || end != port.data() + port.size() || number < 0 || number > 65535) {
    return wrong(in_quotes(port) + " is not a port between 0 and 65535");
  }
  return Listen{std::move(host), static_cast<std::uint16_t>(number)};
}

}  // namespace tonnage
