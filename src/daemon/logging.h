// set_up_logging: where the daemon's own log goes and how it looks.
#pragma once

#include "config/config.h"

namespace vramd {

// Lines for people on stderr, or one JSON object a line, as the configuration says.
void set_up_logging(const Config& config);

}  // namespace vramd
