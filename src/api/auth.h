// Keys: who may use an endpoint, and which models.
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

}  // namespace tonnage::api
