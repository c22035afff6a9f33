// Site rules: which names the daemon answers to, and which web pages may ask it what.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/errors.h"
#include "base/web_origin.h"

namespace tonnage::api {

// Host names are compared without case and without port.
struct SiteRules {
  std::vector<std::string> listen_hosts;       // "127.0.0.1", "0.0.0.0", "::", "box.lan"
  std::vector<std::string> allowed_hosts;      // "host.docker.internal", "*.home.arpa"
  std::vector<OriginPattern> allowed_origins;  // beside the pages of those hosts
  bool keys = false;                           // a request needs a key, which no other site has
};

// Header values of a request; empty when absent.
struct SiteFacts {
  std::string_view host;
  std::string_view origin;
  std::string_view sec_fetch_site;
  std::string_view sec_fetch_mode;
  std::string_view sec_fetch_dest;
  std::string_view sec_fetch_user;
  std::string_view content_type;
};

// What a request may do: tell what is nobody's secret and costs nothing, tell state, or change it.
enum class Effect : unsigned char { open, read, change };

// Defence against DNS rebinding and against pages of other web sites. Host must be a loopback name
// or address, a listen address (any address literal when listening on all), or in allowed_hosts.
// Origin must be absent, equal to Host, pass the same rule as Host, or be in allowed_origins;
// "null" may do what is open, and read where a key is needed for that. A page that a browser calls
// cross-site without naming its Origin (an image, a script, a form) may do what is open; where no
// key is needed it may not read, unless a person follows a link. A text/plain body is refused where
// it would change state: it is what a page can post unasked. Not for the control socket. Empty when
// the request may go on.
std::optional<ApiError> check_site(const SiteRules& rules, const SiteFacts& facts, Effect effect);

// The Origin to name in Access-Control-Allow-Origin; empty: the answer is for no page.
std::string_view readable_by(const SiteRules& rules, const SiteFacts& facts);

// The names of headers in `asked`, a value of Access-Control-Request-Headers, that an allowed page
// may send: all that are well-formed, as far as they fit into bounds. Clients add headers of their
// own with each version, so there is no list.
std::string allowed_headers(std::string_view asked);

}  // namespace tonnage::api
