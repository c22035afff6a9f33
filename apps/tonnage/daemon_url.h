// DaemonUrl: what --url says, as an address, a scheme and a path.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/address.h"

namespace tonnage {

struct DaemonUrl {
  net::Address address;  // its host may be a name
  bool tls = false;
  std::string prefix;  // "/tonnage" where a proxy serves the daemon below a path; else empty

  friend bool operator==(const DaemonUrl&, const DaemonUrl&) = default;
};

// "https://host", "http://host:8726/tonnage/", "host:8726", "host", "[::1]:8726",
// "unix:/run/x.sock". The port is the scheme's own where none is given, and Tonnage's without a
// scheme.
Result<DaemonUrl> parse_daemon_url(std::string_view text);

// "https://host:443", for people.
std::string to_text(const DaemonUrl& url);

}  // namespace tonnage
