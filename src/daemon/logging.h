// set_up_logging: where the daemon's own log goes and how it looks.
#pragma once

#include "config/config.h"

namespace vramd {

// Lines for people on stderr, or one JSON object a line, as the configuration says.
void set_up_logging(const Config& config);

// The least severe line that is written from now on.
void set_log_level(LogLevel level);

}  // namespace vramd
