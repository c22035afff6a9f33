// run_daemon: puts the governor and its adapters together on one loop and runs until told to stop.
#pragma once

#include <expected>
#include <functional>
#include <string>

#include "config/config.h"
#include "daemon/greeting.h"

namespace tonnage {

struct ServeOptions {
  // Reads the configuration as the start did: SIGHUP and POST /api/memory/reload ask for it. Called
  // by another thread. An error lists every problem.
  std::function<std::expected<Config, std::string>()> reload;
  Tour tour = Tour::none;
};

// Blocks until SIGTERM or SIGINT, then drains. Returns the exit status: 0 after a clean drain, 1
// when it could not start (the reason is on stderr) or had to be stopped hard, 2 when there is a
// GPU that the configured engine cannot use.
int run_daemon(const Config& config, const ServeOptions& options);

}  // namespace tonnage
