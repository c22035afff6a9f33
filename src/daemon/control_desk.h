// ControlDesk: what operators ask: state, history, commands, logs, metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/auth.h"
#include "api/decision_log.h"
#include "api/memory_api.h"
#include "api/route.h"
#include "api/view.h"
#include "config/config.h"
#include "core/actions.h"
#include "daemon/directory.h"
#include "daemon/engine_room.h"
#include "daemon/governor_loop.h"
#include "daemon/history_keeper.h"
#include "daemon/journal_keeper.h"
#include "daemon/memory_watch.h"
#include "daemon/reloader.h"
#include "metrics/metrics.h"
#include "net/exchange.h"

namespace tonnage {

class ControlDesk {
 public:
  ControlDesk(const Config& config, GovernorLoop& loop, EngineRoom& engines, MemoryWatch& memory,
              const Directory& directory, Metrics& metrics, JournalKeeper& journal,
              Reloader& reloader, HistoryKeeper& history);
  ~ControlDesk();

  // Answers every route but inference, upstream and preflights.
  void take(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
            std::optional<ModelId> model, const api::Caller& caller);

  // A decision of the core: kept, logged, counted and streamed to whoever follows.
  void keep(const Decision& decision);
  void command_done(const CommandDone& action);

  // A command that no client waits for.
  CommandId own_command();

  // The configuration was replaced by another one, in place.
  void reconfigured();
  // From `from` on, Tick zero is another time of day.
  void clock_moved(Tick from, std::int64_t unix_us_at_zero) { clock_.moved(from, unix_us_at_zero); }

  // How many client connections are open now.
  void count_connections(std::function<std::uint64_t()> count) { connections_ = std::move(count); }

  void listening_on(std::string address) { listen_ = std::move(address); }

 private:
  struct Command {
    std::shared_ptr<net::Exchange> exchange;
    api::Endpoint endpoint = api::Endpoint::flush;
    std::optional<ModelId> model;
    api::Caller caller;
    Snapshot before;
  };
  struct Follower {
    std::shared_ptr<net::Exchange> exchange;
    api::DecisionFilter filter;
    api::Caller caller;
  };

  void list_models(net::Exchange& exchange, const api::Caller& caller);
  void one_model(net::Exchange& exchange, const api::Route& route, std::optional<ModelId> model,
                 const api::Caller& caller);
  void decisions(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                 bool evictions, const api::Caller& caller);
  void command(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
               std::optional<ModelId> model, const api::Caller& caller);
  void logs(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route, ModelId model);
  void request_story(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                     const api::Caller& caller);
  void reload(const std::shared_ptr<net::Exchange>& exchange);
  void log_settings(net::Exchange& exchange, const api::Route& route);
  void metrics(net::Exchange& exchange, const api::Caller& caller);
  void status(net::Exchange& exchange, const api::Caller& caller);
  void founding_shape(net::Exchange& exchange, const api::Route& route, const api::Caller& caller);
  void health(net::Exchange& exchange, const api::Caller& caller);
  void refresh_faces();
  std::vector<const api::LoggedDecision*> seen(api::DecisionFilter filter,
                                               const api::View& view) const;
  api::View view_of(const api::Caller& caller) const { return {loop_.policy(), caller}; }
  void count(const Decision& decision);
  api::ApiContext context() const { return {loop_.policy(), faces_, clock_}; }
  api::ApiContext context(const api::View& view) const { return {view.policy(), faces_, clock_}; }

  const Config& config_;
  GovernorLoop& loop_;
  EngineRoom& engines_;
  MemoryWatch& memory_;
  const Directory& directory_;
  Metrics& metrics_;
  JournalKeeper& journal_;
  Reloader& reloader_;
  HistoryKeeper& history_;
  api::DecisionLog log_;
  std::vector<api::ModelFace> faces_;
  api::WallClock clock_;
  std::chrono::steady_clock::time_point started_;
  std::string listen_;
  std::function<std::uint64_t()> connections_;
  std::map<CommandId, Command> commands_;
  std::vector<Follower> followers_;
  std::map<std::uint64_t, LogRing::Subscription> log_followers_;
  std::uint64_t next_command_ = 1;
  std::uint64_t next_follower_ = 1;
};

void respond_json(net::Exchange& exchange, int status, std::string body);

}  // namespace tonnage
