#include "daemon/reloader.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

namespace tonnage {

Reloader::Reloader(boost::asio::io_context& io, Read read, Apply apply)
    : io_(io), read_(std::move(read)), apply_(std::move(apply)) {}

Reloader::~Reloader() {
  worker_.join();
}

void Reloader::reload(Done done) {
  boost::asio::post(worker_, [this, done = std::move(done)]() mutable {
    auto config = read_();
    boost::asio::post(io_, [this, config = std::move(config), done = std::move(done)]() mutable {
      ReloadAnswer answer = std::unexpected(std::string());
      if (config) {
        answer = apply_(std::move(*config));
      } else {
        spdlog::error("the configuration was not reloaded, and nothing changed: {}",
                      config.error());
        answer = std::unexpected(std::move(config.error()));
      }
      if (done)
        done(answer);
    });
  });
}

}  // namespace tonnage
