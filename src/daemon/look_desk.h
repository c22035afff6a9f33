// LookDesk: requests to a model's server that are no use of the model: metrics, slots, properties.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "api/errors.h"
#include "config/config.h"
#include "daemon/directory.h"
#include "daemon/engine_room.h"
#include "daemon/governor_loop.h"
#include "net/exchange.h"

namespace tonnage {

// A look at a model's server.
struct Look {
  std::shared_ptr<net::Exchange> exchange;
  ModelId model;
  std::string target;  // what the server is asked for, with its query
  api::Dialect dialect = api::Dialect::openai;
};

// A look takes no lease, so the core knows nothing of it: it loads nothing, keeps nothing, and
// holds no memory. It goes to the server that runs, and ends with it. Loop thread only.
class LookDesk {
 public:
  LookDesk(const Config& config, GovernorLoop& loop, EngineRoom& engines,
           const Directory& directory);

  // Answers at once with 503 where the model has no server that answers.
  void take(Look look);

  // The server is told to stop: looks at it end, so that it need not wait for them.
  void server_stops(Generation generation);

  std::size_t open_looks() const { return open_.size(); }

 private:
  struct Open {
    Look look;
    Generation generation;
  };

  void relay(std::uint64_t id, const net::Address& endpoint);
  void relayed(std::uint64_t id, net::RelayResult result);
  void answer_not_loaded(const Look& look) const;

  const Config& config_;
  GovernorLoop& loop_;
  EngineRoom& engines_;
  const Directory& directory_;
  std::map<std::uint64_t, Open> open_;
  std::uint64_t next_ = 1;
};

}  // namespace tonnage
