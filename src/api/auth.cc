#include "api/auth.h"

#include <algorithm>
#include <bit>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/text.h"

namespace tonnage::api {
namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Digest digest_of(std::string_view secret) {
  Digest digest;
  SHA256(std::bit_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  return digest;
}

// The secret that was presented: "Bearer KEY", else the x-api-key header.
std::string_view presented(const Credentials& credentials) {
  constexpr std::string_view kBearer = "bearer";
  const std::string_view value = trim(credentials.authorization);
  const std::size_t space = value.find(' ');
  if (space != std::string_view::npos && to_lower(value.substr(0, space)) == kBearer) {
    return trim(value.substr(space));
  }
  return trim(credentials.x_api_key);
}

// "*" at the end of a pattern stands for any rest.
bool fits_prefix(std::string_view pattern, std::string_view text) {
  if (!pattern.ends_with('*'))
    return pattern == text;
  pattern.remove_suffix(1);
  return text.starts_with(pattern);
}

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

// "host:port" of "http://host:port"; empty when the text is not a web origin.
std::string_view origin_authority(std::string_view origin) {
  const std::size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos)
    return {};
  const std::string name = to_lower(origin.substr(0, scheme));
  if (name != "http" && name != "https")
    return {};
  return origin.substr(scheme + 3);
}

std::optional<ApiError> forbidden(std::string code, std::string message) {
  return ApiError{403, std::move(code), std::move(message), {}, {}, {}};
}

std::string shown(std::string_view text) {
  constexpr std::size_t kShownBytesMax = 120;
  return "'" + std::string(text.substr(0, kShownBytesMax)) + "'";
}

}  // namespace

bool Scopes::covers(Scope scope) const {
  switch (scope) {
    case Scope::open:
      return true;
    case Scope::infer:
      return infer || admin;
    case Scope::read:
      return read || admin;
    case Scope::admin:
      return admin;
  }
  return false;
}

bool Caller::may_use(std::string_view id) const {
  if (rule == nullptr || rule->models.empty())
    return true;
  return std::ranges::any_of(rule->models,
                             [&](const std::string& pattern) { return fits_prefix(pattern, id); });
}

Keys::Keys(std::vector<KeyRule> rules) : rules_(std::move(rules)) {
  for (KeyRule& rule : rules_) {
    digests_.push_back(digest_of(rule.key));
    OPENSSL_cleanse(rule.key.data(), rule.key.size());
    rule.key.clear();
  }
}

ApiResult<Caller> Keys::identify(const Credentials& credentials) const {
  if (open())
    return Caller{nullptr, Scopes::all()};
  const std::string_view secret = presented(credentials);
  if (secret.empty())
    return Caller{};
  const Digest digest = digest_of(secret);
  // Every key is compared, and the choice is made without a branch on the outcome, so that the
  // time says nothing about which key came close.
  std::size_t match = digests_.size();
  for (std::size_t i = 0; i < digests_.size(); ++i) {
    const int differs = CRYPTO_memcmp(digest.data(), digests_[i].data(), digest.size());
    const std::size_t keep = static_cast<std::size_t>(differs != 0) * ~std::size_t{0};
    match = (match & keep) | (i & ~keep);
  }
  if (match == digests_.size()) {
    return deny(401, "invalid_api_key", "The API key that was sent is not one of this server's.");
  }
  return Caller{&rules_[match], rules_[match].scopes};
}

Caller control_socket_caller() {
  return Caller{nullptr, Scopes::all()};
}

std::optional<ApiError> may_enter(const Caller& caller, Scope needed) {
  if (caller.scopes.covers(needed))
    return std::nullopt;
  if (caller.rule == nullptr) {
    return ApiError{401,
                    "missing_api_key",
                    "This needs an API key with the scope '" + std::string(to_text(needed)) +
                        "': send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
                    {},
                    {},
                    {}};
  }
  return forbidden("missing_scope", "The key '" + caller.rule->name +
                                        "' does not have the scope '" +
                                        std::string(to_text(needed)) + "' that this needs.");
}

std::optional<ApiError> check_site(const SiteRules& rules, const SiteFacts& facts,
                                   bool changes_state) {
  const std::string host = host_name(facts.host);
  if (!host_allowed(rules, host)) {
    return forbidden("host_not_allowed", "This server does not answer to the Host " +
                                             shown(facts.host) +
                                             ": add the name to allowed_hosts if it should.");
  }
  const std::string_view origin = trim(facts.origin);
  bool same_or_allowed = false;
  if (origin == "null") {
    if (changes_state) {
      return forbidden("origin_not_allowed",
                       "A page without an origin may not change anything here.");
    }
  } else if (!origin.empty()) {
    const std::string_view authority = origin_authority(origin);
    same_or_allowed = to_lower(authority) == to_lower(trim(facts.host)) ||
                      host_allowed(rules, host_name(authority));
    if (!same_or_allowed) {
      return forbidden("origin_not_allowed",
                       "Pages from " + shown(origin) +
                           " may not use this server: add their host to allowed_hosts if they "
                           "should.");
    }
  }
  // A browser that sends no Origin still says that another site's page made it ask.
  if (changes_state && !same_or_allowed && to_lower(facts.sec_fetch_site) == "cross-site") {
    return forbidden("cross_site", "Another web site's page may not change anything here.");
  }
  const std::string_view type = trim(facts.content_type.substr(0, facts.content_type.find(';')));
  if (changes_state && to_lower(type) == "text/plain") {
    return ApiError{415,
                    "content_type_not_allowed",
                    "Send the body as application/json: text/plain is what other sites' pages can "
                    "post unasked.",
                    {},
                    {},
                    {}};
  }
  return std::nullopt;
}

std::string_view cors_origin(const SiteFacts& facts) {
  const std::string_view origin = trim(facts.origin);
  return origin == "null" ? std::string_view() : origin;
}

}  // namespace tonnage::api
