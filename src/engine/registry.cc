#include "engine/registry.h"

#include "engine/command/command_engine.h"

namespace tonnage {

std::vector<std::unique_ptr<Engine>> make_engines(const EngineSetup& setup) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<CommandEngine>(setup));
  return engines;
}

}  // namespace tonnage
