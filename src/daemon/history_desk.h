// answer_history: GET /api/memory/history.
#pragma once

#include <memory>

#include "api/auth.h"
#include "api/route.h"
#include "daemon/directory.h"
#include "daemon/history_keeper.h"
#include "net/exchange.h"

namespace tonnage {

void answer_history(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                    const api::Caller& caller, const Directory& directory, HistoryKeeper& history);

}  // namespace tonnage
