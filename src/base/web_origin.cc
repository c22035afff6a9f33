#include "base/web_origin.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace tonnage {
namespace {

constexpr std::size_t kOriginBytesMax = 512;

bool is_scheme(std::string_view text) {
  return !text.empty() && text.front() >= 'a' && text.front() <= 'z' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' ||
                  c == '.';
         });
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Splits "host:port", "[::1]:port", "host". False where the text is none of these.
bool split_authority(std::string_view text, bool star_ports, WebOrigin& out) {
  std::string_view host = text, rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos)
      return false;
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  const bool sane = std::ranges::all_of(host, [](char c) {
    return c > ' ' && c < '\x7F' && c != '/' && c != '@' && c != '\\' && c != '?' && c != '#';
  });
  if (!sane)
    return false;
  out.host = host;
  if (rest.empty())
    return true;
  if (rest.front() != ':')
    return false;
  rest.remove_prefix(1);
  if (!is_port(rest) && !(star_ports && rest == "*"))
    return false;
  out.port = std::string(rest);
  return true;
}

std::optional<WebOrigin> split_origin(std::string_view text, bool star_ports) {
  if (text.size() > kOriginBytesMax)
    return std::nullopt;
  const std::string lower = to_lower(trim(text));
  const std::size_t mark = lower.find("://");
  if (mark == std::string::npos)
    return std::nullopt;
  WebOrigin out;
  out.scheme = lower.substr(0, mark);
  if (!is_scheme(out.scheme) ||
      !split_authority(std::string_view(lower).substr(mark + 3), star_ports, out))
    return std::nullopt;
  return out;
}

std::string_view usual_port(std::string_view scheme) {
  return scheme == "http" ? "80" : scheme == "https" ? "443" : "";
}

}  // namespace

std::optional<WebOrigin> read_origin(std::string_view text) {
  return split_origin(text, false);
}

Result<OriginPattern> OriginPattern::parse(std::string_view text) {
  OriginPattern pattern;
  const std::string_view word = trim(text);
  if (word == "*" || word == "null") {
    pattern.kind_ = word == "*" ? Kind::every : Kind::none;
    return pattern;
  }
  const auto wrong = [&](std::string why) {
    return fail("not an origin", "'" + std::string(text.substr(0, kOriginBytesMax)) + "'",
                std::move(why),
                "write app://obsidian.md, chrome-extension://*, https://*.example.org or "
                "http://localhost:*");
  };
  auto parts = split_origin(word, true);
  if (!parts) {
    return wrong(word.contains("://") ? "after the scheme stand a host and perhaps a port, no path"
                                      : "the scheme is missing");
  }
  if (parts->host.empty() && parts->scheme != "file")
    return wrong("the host is missing");
  std::string_view host = parts->host;
  if (host.starts_with("*."))
    host.remove_prefix(2);
  if (host != "*" && host.contains('*'))
    return wrong("'*' stands for the whole host, or for what is in front of its first dot");
  pattern.parts_ = std::move(*parts);
  return pattern;
}

bool OriginPattern::fits(std::string_view origin) const {
  if (trim(origin) == "null")
    return kind_ == Kind::none;
  const auto asked = read_origin(origin);
  if (!asked || kind_ == Kind::none)
    return false;
  if (kind_ == Kind::every)
    return true;
  if (asked->scheme != parts_.scheme)
    return false;
  const std::string_view host = parts_.host;
  if (host.starts_with("*.")) {
    if (asked->host.size() < host.size() || !asked->host.ends_with(host.substr(1)))
      return false;
  } else if (host != "*" && host != asked->host) {
    return false;
  }
  const std::string usual(usual_port(parts_.scheme));
  return parts_.port == "*" || parts_.port.value_or(usual) == asked->port.value_or(usual);
}

}  // namespace tonnage
