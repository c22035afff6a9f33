// Reloader: reads the configuration again, off the loop, and has it applied on the loop.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "api/memory_api.h"
#include "config/config.h"
#include "daemon/found_config.h"
#include "process/workers.h"

namespace tonnage {

// What a reload did, or every problem of the configuration, with file and line.
using ReloadAnswer = std::expected<api::ReloadResult, std::string>;

class Reloader {
 public:
  // Reads files; called by another thread, one at a time.
  using Read = std::function<std::expected<FoundConfig, std::string>()>;
  // Called on the loop's thread.
  using Apply = std::function<api::ReloadResult(FoundConfig)>;
  using Done = std::function<void(const ReloadAnswer&)>;

  Reloader(boost::asio::io_context& io, Workers& workers, Read read, Apply apply);

  // `done` is called later, on the loop's thread. Reloads happen in the order they are asked for. A
  // configuration with a problem changes nothing.
  void reload(Done done);

 private:
  boost::asio::io_context& io_;
  Read read_;
  Apply apply_;
  Workers::Lane lane_;
};

}  // namespace tonnage
