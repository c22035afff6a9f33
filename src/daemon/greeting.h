// greeting: the lines that a person sees when the daemon is ready.
#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "core/snapshot.h"

namespace tonnage {

// Ready-made requests below the other lines: for every model, and for the demo models, of which it
// is said that they are such.
enum class Tour : std::uint8_t { none, models, demo };

// The URL, the budget, the models, and the requests of the tour.
std::string greeting(const Config& config, const std::vector<Listen>& listen,
                     const Snapshot& snapshot, Tour tour);

// greeting on stdout.
void greet(const Config& config, const std::vector<Listen>& listen, const Snapshot& snapshot,
           Tour tour);

}  // namespace tonnage
