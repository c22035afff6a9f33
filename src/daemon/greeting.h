// greet: the lines that a person sees when the daemon is ready.
#pragma once

#include "config/config.h"
#include "core/snapshot.h"

namespace tonnage {

// On stdout: the URL, the budget, the models, and for demo models ready-made requests.
void greet(const Config& config, const std::vector<Listen>& listen, const Snapshot& snapshot,
           bool demo);

}  // namespace tonnage
