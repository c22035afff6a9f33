// Events and actions as lines that people read: in traces, failures and golden scenarios.
#pragma once

#include <string>
#include <string_view>

#include "core/actions.h"
#include "core/events.h"
#include "core/policy.h"

namespace tonnage::sim {

// "request r1 for A", "exit g2 crashed: signal 11"
std::string describe(const Event& event, const Policy& policy);

// "load A g1 (context 4096, 2 slots)", "refuse r3 too_large: ..."
std::string describe(const Action& action, const Policy& policy);

// "12.345678s", always with six digits, so that lines of a trace align and sort.
std::string describe(Tick at);

std::string describe(const Placement& placement);
std::string describe(const PlacementRow& row);

// Names of the alternatives, by index, for tables.
std::string_view event_name(std::size_t index);
std::string_view action_name(std::size_t index);

}  // namespace tonnage::sim
