// What `status`, `ps`, `why` and the commands print for people, as pure functions of the daemon's
// JSON.
#pragma once

#include <string>

#include "tonnage/client.h"
#include "tonnage/terminal.h"

namespace tonnage {

// Pools, every model and what is wrong, from GET /api/memory/status.
std::string status_view(const Json& status, const Terminal& terminal);

// Models that have a server or are wanted, from the same.
std::string ps_view(const Json& status, const Terminal& terminal);

// One sentence per decision, newest last, from GET /api/memory/events; `now_ms` is Unix time.
std::string why_view(const std::string& model, const Json& events, std::int64_t now_ms,
                     const Terminal& terminal);

// "10:20:30  Loading chat ...": one decision of the events, with its day where that is not today.
std::string event_line(const Json& decision, std::int64_t now_s, LocalTime local_time,
                       const Terminal& terminal);

// What a command did: its own words, and what moved.
// What `reload` did.
std::string reload_view(const Json& result);

std::string command_view(const Json& result, const Terminal& terminal);

}  // namespace tonnage
