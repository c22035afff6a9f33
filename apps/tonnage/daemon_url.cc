#include "tonnage/daemon_url.h"

#include <algorithm>
#include <charconv>

namespace tonnage {
namespace {

constexpr std::uint16_t kDaemonPort = 8726;
constexpr std::size_t kHostBytesMax = 253;  // of a name in the DNS

std::unexpected<Error> bad(std::string_view text, std::string why) {
  return fail("cannot read URL", std::string(text), std::move(why),
              "write http://HOST:PORT, https://HOST or unix:PATH");
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_';
}

bool is_host(std::string_view host, bool in_brackets) {
  if (host.empty() || host.size() > kHostBytesMax)
    return false;
  return std::ranges::all_of(host, [&](char c) {
    return is_host_character(c) || (in_brackets && (c == ':' || c == '%'));
  });
}

}  // namespace

Result<DaemonUrl> parse_daemon_url(std::string_view text) {
  DaemonUrl url;
  std::string_view rest = text;
  std::uint16_t port = kDaemonPort;
  if (rest.starts_with("unix:") || rest.starts_with('/')) {
    auto address = net::parse_address(text);
    if (!address)
      return std::unexpected(address.error());
    url.address = std::move(*address);
    return url;
  }
  if (const std::size_t end = rest.find("://"); end != std::string_view::npos) {
    const std::string_view scheme = rest.substr(0, end);
    url.tls = scheme == "https";
    if (!url.tls && scheme != "http")
      return bad(text, "the scheme is neither http nor https");
    port = url.tls ? 443 : 80;
    rest.remove_prefix(end + 3);
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  url.prefix = rest.substr(slash);
  while (url.prefix.ends_with('/'))
    url.prefix.pop_back();
  if (url.prefix.find_first_of("?# \t\r\n") != std::string::npos)
    return bad(text, "a query or a space has no meaning there");
  rest = rest.substr(0, slash);
  if (rest.find('@') != std::string_view::npos)
    return bad(text, "a user's name has no meaning there; give a key with --api-key");
  const bool in_brackets = rest.starts_with('[') && rest.find(']') != std::string_view::npos;
  const std::size_t host_end =
      in_brackets ? rest.find(']') + 1 : std::min(rest.find(':'), rest.size());
  const std::string_view host =
      in_brackets ? rest.substr(1, host_end - 2) : rest.substr(0, host_end);
  if (!is_host(host, in_brackets))
    return bad(text, host.empty() ? "it names no host" : "the host has characters that none has");
  rest.remove_prefix(host_end);
  if (!rest.empty()) {
    const char* end = rest.data() + rest.size();
    const auto [last, error] = std::from_chars(rest.data() + 1, end, port);
    if (rest.front() != ':' || error != std::errc{} || last != end || port == 0)
      return bad(text, "the port is not a number from 1 to 65535");
  }
  url.address = net::tcp_address(std::string(host), port);
  return url;
}

std::string to_text(const DaemonUrl& url) {
  if (url.address.is_unix())
    return net::to_text(url.address);
  return (url.tls ? "https://" : "") + net::to_text(url.address) + url.prefix;
}

}  // namespace tonnage
