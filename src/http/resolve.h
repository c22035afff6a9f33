// resolve(): the addresses behind a name, asked of the system; for the start, before the loop runs,
// and for the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/address.h"

namespace tonnage::net {

// Blocks on the system's resolver where `host` is a name. In the system's order, each address once;
// never empty.
Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port);

// Whether this machine has no such address to listen on, as where IPv6 is off: of several addresses
// of a name the others will do.
bool is_address_missing(const Address& address);

}  // namespace tonnage::net
