// status_report: the state of memory in lines for a log.
#pragma once

#include <string>

#include "core/snapshot.h"

namespace tonnage::api {

// Pools with their level, what is ours, foreign and free; models that have a server; how often
// memory was short; what is wrong. Several lines, the first a summary; no newline at the end.
std::string status_report(const Snapshot& snapshot);

}  // namespace tonnage::api
