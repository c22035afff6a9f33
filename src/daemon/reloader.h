// Reloader: reads the configuration again, off the loop, and has it applied on the loop.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "api/memory_api.h"
#include "config/config.h"

namespace tonnage {

// What a reload did, or every problem of the configuration, with file and line.
using ReloadAnswer = std::expected<api::ReloadResult, std::string>;

class Reloader {
 public:
  // Reads files; called by another thread, one at a time.
  using Read = std::function<std::expected<Config, std::string>()>;
  // Called on the loop's thread.
  using Apply = std::function<api::ReloadResult(Config)>;
  using Done = std::function<void(const ReloadAnswer&)>;

  Reloader(boost::asio::io_context& io, Read read, Apply apply);
  ~Reloader();

  // `done` is called later, on the loop's thread. Reloads happen in the order they are asked for. A
  // configuration with a problem changes nothing.
  void reload(Done done);

 private:
  boost::asio::io_context& io_;
  Read read_;
  Apply apply_;
  boost::asio::thread_pool worker_{1};
};

}  // namespace tonnage
