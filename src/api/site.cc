#include "api/site.h"

#include <algorithm>

#include "base/text.h"

namespace tonnage::api {
namespace {

constexpr std::size_t kHeadersMax = 64;
constexpr std::size_t kHeaderNameBytesMax = 128;

// The host part of "host:port", "[::1]:port" or a bare address, in lower case without a trailing
// dot. Empty when the text is none of these.
std::string host_name(std::string_view authority) {
  authority = trim(authority);
  std::string_view host = authority;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos)
      return {};
    const std::string_view rest = authority.substr(end + 1);
    if (!rest.empty() && rest.front() != ':')
      return {};
    host = authority.substr(1, end - 1);
  } else if (std::ranges::count(authority, ':') == 1) {
    host = authority.substr(0, authority.find(':'));
  }
  if (host.ends_with('.'))
    host.remove_suffix(1);
  const bool sane = !host.empty() && std::ranges::all_of(host, [](char c) {
    return c > ' ' && c != '/' && c != '@' && c != '\\' && c != '?' && c != '#' && c != '\x7F';
  });
  return sane ? to_lower(host) : std::string();
}

bool is_ipv4(std::string_view host) {
  int parts = 0;
  while (true) {
    const std::string_view part = host.substr(0, host.find('.'));
    const bool digits = !part.empty() && part.size() <= 3 &&
                        std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || std::stoi(std::string(part)) > 255)
      return false;
    ++parts;
    if (part.size() == host.size())
      return parts == 4;
    host.remove_prefix(part.size() + 1);
  }
}

// Names never hold a colon, so nothing but an address can.
bool is_address(std::string_view host) {
  return host.find(':') != std::string_view::npos || is_ipv4(host);
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost") || host == "::1")
    return true;
  return is_ipv4(host) && host.starts_with("127.");
}

bool host_allowed(const SiteRules& rules, const std::string& host) {
  if (host.empty())
    return false;
  if (is_loopback(host))
    return true;
  for (const std::string& listen : rules.listen_hosts) {
    const std::string own = host_name(listen);
    // Listening on every address: any of them may be asked for. A name may not, because a name is
    // what rebinding needs.
    const bool all = own == "0.0.0.0" || own == "::" || own == "*";
    if (all ? is_address(host) : own == host)
      return true;
  }
  return std::ranges::any_of(rules.allowed_hosts, [&](const std::string& allowed) {
    const std::string name = to_lower(trim(allowed));
    if (name.starts_with("*.")) {
      return host.size() > name.size() - 1 && host.ends_with(name.substr(1));
    }
    return host_name(name) == host;
  });
}

// Health checks over HTTP/1.0 name no host. Every browser does, and rebinding needs a name.
bool asked_host_allowed(const SiteRules& rules, const SiteFacts& facts) {
  return trim(facts.host).empty() || host_allowed(rules, host_name(facts.host));
}

// A page of the daemon's own host, or of one that may be asked for as Host, on any port.
bool own_page(const SiteRules& rules, const SiteFacts& facts) {
  const auto origin = read_origin(facts.origin);
  if (!origin || (origin->scheme != "http" && origin->scheme != "https"))
    return false;
  const std::string_view authority = trim(facts.origin).substr(origin->scheme.size() + 3);
  return to_lower(authority) == to_lower(trim(facts.host)) || host_allowed(rules, origin->host);
}

bool page_allowed(const SiteRules& rules, const SiteFacts& facts) {
  if (trim(facts.origin).empty())
    return false;
  return own_page(rules, facts) ||
         std::ranges::any_of(rules.allowed_origins, [&](const OriginPattern& pattern) {
           return pattern.fits(facts.origin);
         });
}

// A person clicked on a link, so there is a person who sees the answer, and the page does not.
bool follows_link(const SiteFacts& facts) {
  return facts.sec_fetch_mode == "navigate" && facts.sec_fetch_dest == "document" &&
         facts.sec_fetch_user == "?1";
}

std::string shown_value(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 120;
  return "'" + std::string(text.substr(0, kShownBytesMax)) + "'";
}

std::optional<ApiError> refused(int status, std::string code, std::string message) {
  return ApiError{status, std::move(code), std::move(message), {}, {}, {}};
}

std::optional<ApiError> check_origin(const SiteRules& rules, const SiteFacts& facts,
                                     Effect effect) {
  const std::string_view origin = trim(facts.origin);
  if (origin.empty() || page_allowed(rules, facts))
    return std::nullopt;
  if (origin != "null") {
    return refused(403, "origin_not_allowed",
                   "Pages from " + shown_value(origin) +
                       " may not use this server. If they should, add " + shown_value(origin) +
                       " to allowed_origins in the configuration.");
  }
  if (effect == Effect::open || (effect == Effect::read && rules.keys))
    return std::nullopt;
  return refused(403, "origin_not_allowed",
                 "A page without an origin (a file, a sandboxed frame) may not use this server. If "
                 "it should, add 'null' to allowed_origins in the configuration.");
}

// A browser that sends no Origin still says that another site's page made it ask.
std::optional<ApiError> check_cross_site(const SiteRules& rules, const SiteFacts& facts,
                                         Effect effect) {
  if (to_lower(facts.sec_fetch_site) != "cross-site" || page_allowed(rules, facts))
    return std::nullopt;
  if (effect == Effect::change)
    return refused(403, "cross_site", "A page of another web site may not change anything here.");
  if (effect == Effect::read && !rules.keys && !follows_link(facts)) {
    return refused(403, "cross_site",
                   "A page of another web site may not read this. If it should, let it send its "
                   "Origin (fetch does) and add that to allowed_origins in the configuration.");
  }
  return std::nullopt;
}

bool is_token(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").contains(c);
  });
}

}  // namespace

std::optional<ApiError> check_site(const SiteRules& rules, const SiteFacts& facts, Effect effect) {
  if (!asked_host_allowed(rules, facts)) {
    return refused(403, "host_not_allowed",
                   "This server does not answer to the Host " + shown_value(facts.host) +
                       ". If it should, add the name to allowed_hosts in the configuration.");
  }
  if (auto error = check_origin(rules, facts, effect))
    return error;
  if (auto error = check_cross_site(rules, facts, effect))
    return error;
  const std::string_view type = trim(facts.content_type.substr(0, facts.content_type.find(';')));
  if (effect == Effect::change && to_lower(type) == "text/plain") {
    return refused(415, "content_type_not_allowed",
                   "Send the body as application/json. text/plain is refused because a page of "
                   "another site can post it unasked.");
  }
  return std::nullopt;
}

std::string_view readable_by(const SiteRules& rules, const SiteFacts& facts) {
  const bool good = page_allowed(rules, facts) && asked_host_allowed(rules, facts);
  return good ? trim(facts.origin) : std::string_view();
}

std::string allowed_headers(std::string_view asked) {
  std::string out;
  std::size_t count = 0;
  while (!asked.empty() && count < kHeadersMax) {
    const std::string_view part = asked.substr(0, asked.find(','));
    asked.remove_prefix(std::min(asked.size(), part.size() + 1));
    const std::string_view name = trim(part);
    if (!is_token(name) || name.size() > kHeaderNameBytesMax)
      continue;
    out.append(out.empty() ? "" : ", ").append(name);
    ++count;
  }
  return out;
}

}  // namespace tonnage::api
