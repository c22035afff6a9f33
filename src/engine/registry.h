// The engines that tonnage knows beside the built-in one.
#pragma once

#include <memory>
#include <vector>

#include "engine/engine.h"

namespace tonnage {

// One line per engine. The first that serves() a model has it.
std::vector<std::unique_ptr<Engine>> make_engines(const EngineSetup& setup);

}  // namespace tonnage
