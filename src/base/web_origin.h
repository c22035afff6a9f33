// OriginPattern: which web pages, extensions and webviews are meant by an entry of allowed_origins.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tonnage {

// The parts of "https://chat.example.org:8443", in lower case. A browser leaves the scheme's usual
// port out.
struct WebOrigin {
  std::string scheme;               // "https", "chrome-extension"
  std::string host;                 // without brackets; may be empty, as in "file://"
  std::optional<std::string> port;  // "8443"
};

// The value of an Origin header; empty where it names no scheme and host ("null", garbage).
std::optional<WebOrigin> read_origin(std::string_view text);

// "scheme://host", "scheme://host:port", with "*" for any host, "*.example.org" for the hosts below
// a domain, and "*" for any port; "*" alone is every page that has an origin, "null" a page that
// has none (a file, a sandboxed frame).
class OriginPattern {
 public:
  static Result<OriginPattern> parse(std::string_view text);

  // `origin` is the value of an Origin header, of any bytes.
  bool fits(std::string_view origin) const;

 private:
  enum class Kind : unsigned char { every, none, parts };

  Kind kind_ = Kind::parts;
  WebOrigin parts_;
};

}  // namespace tonnage
