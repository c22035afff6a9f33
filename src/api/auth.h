// Keys and site rules: who may use an endpoint, and from which web page.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/errors.h"
#include "api/route.h"
#include "core/types.h"

namespace tonnage::api {

// admin includes the others; infer and read do not include each other.
struct Scopes {
  bool infer = false;
  bool read = false;
  bool admin = false;

  bool covers(Scope scope) const;
  static constexpr Scopes all() { return {true, true, true}; }

  friend bool operator==(const Scopes&, const Scopes&) = default;
};

struct KeyRule {
  std::string name;  // for logs and error texts; never the key
  std::string key;   // the secret; not kept after construction of Keys
  Scopes scopes;
  // Model ids this key may use; "qwen*" stands for a prefix. Empty: all.
  std::vector<std::string> models;
  std::optional<Priority> priority;           // of its requests, instead of the model's
  std::optional<std::int32_t> in_flight_max;  // requests at once; the daemon counts
};

// Who asks. `rule` points into Keys; empty where no key is needed.
struct Caller {
  const KeyRule* rule = nullptr;
  Scopes scopes;

  // `id` is the model's own id, after aliases were resolved.
  bool may_use(std::string_view id) const;
};

// The request's header values; empty when absent.
struct Credentials {
  std::string_view authorization;
  std::string_view x_api_key;
};

// The configured keys, as SHA-256 digests. A presented key is compared with all of them in
// constant time, without an early exit. With no keys everybody is an admin. Immutable.
class Keys {
 public:
  explicit Keys(std::vector<KeyRule> rules);
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  bool open() const { return rules_.empty(); }

  // 401 when a key is needed and none, or a wrong one, was sent. Without credentials the caller
  // has no scopes but may use what is open, so ask may_enter next.
  ApiResult<Caller> identify(const Credentials& credentials) const;

 private:
  std::vector<KeyRule> rules_;  // with their secrets erased
  std::vector<std::array<unsigned char, 32>> digests_;
};

// Whoever can open the control socket is the daemon's own user.
Caller control_socket_caller();

// Empty when the caller may use such a route; else 401 (no key was sent) or 403.
std::optional<ApiError> may_enter(const Caller& caller, Scope needed);

// Where the daemon listens and which names it answers to. Host names are compared without case and
// without port.
struct SiteRules {
  std::vector<std::string> listen_hosts;   // "127.0.0.1", "0.0.0.0", "::", "box.lan"
  std::vector<std::string> allowed_hosts;  // "host.docker.internal", "*.home.arpa"
};

// Header values of a request; empty when absent.
struct SiteFacts {
  std::string_view host;
  std::string_view origin;
  std::string_view sec_fetch_site;
  std::string_view content_type;
};

// Defence against DNS rebinding and against posts from other web sites. Host must be a loopback
// name or address, a listen address (any address literal when listening on all), or allowed.
// Origin must be absent, equal to Host, or pass the same rule as Host; "null" may only look.
// A text/plain body is refused where it would change state: it is what a page can post unasked.
// Not for the control socket. Empty when the request may go on.
std::optional<ApiError> check_site(const SiteRules& rules, const SiteFacts& facts,
                                   bool changes_state);

// The Origin to name in Access-Control-Allow-Origin; empty: send no such header. Only for requests
// that check_site let pass.
std::string_view cors_origin(const SiteFacts& facts);

}  // namespace tonnage::api
