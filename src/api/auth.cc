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

std::optional<ApiError> forbidden(std::string code, std::string message) {
  return ApiError{403, std::move(code), std::move(message), {}, {}, {}};
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

}  // namespace tonnage::api
