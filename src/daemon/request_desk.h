// RequestDesk: client requests for models, from their arrival to the end of their lease.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <boost/asio/io_context.hpp>

#include "api/auth.h"
#include "api/errors.h"
#include "api/route.h"
#include "api/text_parts.h"
#include "config/config.h"
#include "core/actions.h"
#include "daemon/directory.h"
#include "daemon/engine_room.h"
#include "daemon/governor_loop.h"
#include "daemon/prompt_sizes.h"
#include "metrics/metrics.h"
#include "net/exchange.h"
#include "process/loop_timer.h"

namespace tonnage {

// What a request asks for, once its path and body were read.
struct RequestOrder {
  std::shared_ptr<net::Exchange> exchange;
  std::optional<ModelId> model;  // empty: `resident`
  std::string target;            // what the server is asked for, with its query
  api::Dialect dialect = api::Dialect::openai;
  bool replayable = false;
  bool counted = true;
  std::int32_t slots = 1;  // of the server's, that it takes
  // Set: it is sent to the server a part at a time. Points into the exchange's body.
  std::shared_ptr<api::TextParts> parts;
  bool stream = false;  // the client wants an event stream
  bool raw = false;     // an answer of the server is not touched, an error neither
  std::int32_t context_needed = 0;
  std::size_t prompt_bytes = 0;    // of text that has to fit into one context
  std::int32_t answer_tokens = 0;  // as many as the answer may have, where it says so
  bool teaches = false;            // its answer's tokens are those of its bytes
  const api::KeyRule* key = nullptr;
};

// Holds every request that waits or runs, relays it when the core admits it, and tells the core
// how it ended. While a streaming request waits, comments in its event stream say its place.
class RequestDesk {
 public:
  RequestDesk(boost::asio::io_context& io, const Config& config, GovernorLoop& loop,
              EngineRoom& engines, const Directory& directory, Metrics& metrics);
  ~RequestDesk();

  void take(RequestOrder order);

  void admit(const Admit& action);
  void refuse(const Refuse& action);

  std::size_t open_requests() const { return open_.size(); }

 private:
  struct Open {
    RequestOrder order;
    LoopClock::time_point arrived;
    std::optional<LoopClock::time_point> admitted;
    std::optional<Generation> generation;
    ModelId model;              // valid once admitted
    bool stream_begun = false;  // queue comments were sent
    bool relaying = false;
    bool handed_back = false;  // its server was lost; the next admission is a replay
    std::int32_t replays = 0;
    int stream_error = 0;                 // status of the error that its server's stream ended with
    std::optional<RequestId> first_part;  // the number by which the client knows it
  };

  void relay(RequestId id, Open& open);
  bool is_out_of_memory(Open& open, const net::RelayResult& result);
  std::optional<std::string> stream_error(RequestId id, std::string_view event);
  void relayed(RequestId id, net::RelayResult result);
  void held(RequestId id, Open& open, const net::RelayResult& result);
  void timed_out(RequestId id, Open& open, const net::RelayResult& result);
  void server_lost(RequestId id, Open& open, const net::RelayResult& result);
  std::string last_words(const Open& open);
  api::ContextOverflow overflow_of(const Refuse& action, const Open& open) const;
  void part_done(RequestId id, const net::RelayResult& result);
  void post_arrival(RequestId id, const RequestOrder& order);
  std::int32_t wished_context(const RequestOrder& order) const;
  void hand_back(RequestId id, Open& open);
  void end(RequestId id, RequestOutcome outcome, int status, const net::RelayResult& result);
  void end_when_idle(RequestId id, RequestOutcome outcome, const net::RelayResult& result);
  void forget(RequestId id);
  void answer(RequestId id, Open& open, const api::ApiError& error);
  void client_gone(RequestId id);
  void say_places();
  void arm_places();
  int relaying_at(Generation generation) const;
  std::vector<net::Header> response_headers(RequestId id, const Open& open) const;

  const Config& config_;
  GovernorLoop& loop_;
  EngineRoom& engines_;
  const Directory& directory_;
  Metrics& metrics_;
  PromptSizes prompt_sizes_;
  std::unordered_map<std::uint64_t, Open> open_;
  std::map<const api::KeyRule*, std::int32_t> per_key_;
  LoopTimer places_;
  bool places_armed_ = false;
  std::uint64_t next_request_ = 1;
};

}  // namespace tonnage
