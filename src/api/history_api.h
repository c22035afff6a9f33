// What GET /api/memory/history asks for.
#pragma once

#include <string>

#include "api/auth.h"
#include "api/errors.h"
#include "api/route.h"
#include "base/tick.h"

namespace tonnage::api {

struct HistoryOrder {
  Duration since = 1h;  // back from now
  Duration step = 10s;
  std::string model;  // empty: all
};

// Parameters since, step and model; the error says which one is wrong and what is wanted.
ApiResult<HistoryOrder> read_history_order(const Route& route);

// A history's JSON without the models that the caller may not see.
std::string history_for(std::string json, const Caller& caller);

}  // namespace tonnage::api
