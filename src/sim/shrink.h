// Shrinking: from a script that fails to a short one that fails in the same way.
#pragma once

#include <optional>

#include "sim/script.h"

namespace tonnage::sim {

// Leaves out of the script whatever it can, within a bounded number of steps; empty when it does
// not fail when it is told again, for example because the rule looks at physical memory.
std::optional<Script> shrink(Script script);

}  // namespace tonnage::sim
