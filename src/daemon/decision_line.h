// log_decision: a decision of the core as one line of the daemon's log.
#pragma once

#include "api/memory_api.h"

namespace tonnage {

// The sentence; in JSON with the numbers and names as members of their own. Failures and stalled
// loads are warnings.
void log_decision(const api::LoggedDecision& entry, const api::ApiContext& context);

}  // namespace tonnage
