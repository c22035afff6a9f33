#include "daemon/reloader.h"

#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

namespace tonnage {

Reloader::Reloader(boost::asio::io_context& io, Workers& workers, Read read, Apply apply)
    : io_(io), read_(std::move(read)), apply_(std::move(apply)), lane_(workers.lane("reload")) {}

void Reloader::reload(Done done) {
  const bool taken = lane_.post([this, done]() mutable {
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
  if (!taken && done) {
    boost::asio::post(io_, [done = std::move(done)] {
      done(std::unexpected("earlier reloads have not ended: a file does not answer"));
    });
  }
}

}  // namespace tonnage
