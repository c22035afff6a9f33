// listen_on(): opens the door at every address of the configuration.
#pragma once

#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "net/server.h"

namespace tonnage {

// Names are looked up now, and blocks for that. Returns what was asked for, with the ports that the
// kernel chose. An address that cannot be bound is an error that names it; of a name's addresses
// those that this machine lacks are left out, as long as there is one.
Result<std::vector<Listen>> listen_on(net::Server& server, const std::vector<Listen>& wanted,
                                      int tag);

}  // namespace tonnage
