// Books: what an outsider knows, kept from the events and actions alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/tick.h"
#include "core/actions.h"
#include "core/events.h"
#include "core/policy.h"

namespace tonnage::sim {

// Checkers read these books and nothing of the core, so that a mistake in the core's own
// bookkeeping cannot hide itself. Where the contract leaves a fact open, the books say nothing.
class Books {
 public:
  struct Server {
    ModelId model;
    Placement placement;
    std::vector<PoolId> devices;
    Tick started;
    std::optional<Tick> ready_at;
    std::optional<Tick> stop_at;
    bool stalled = false;  // others were told not to wait for its load
    Tick last_used;        // when it became ready, or a lease on it began or ended
    bool useless = false;  // it was ready, and stopped answering or ran out of memory
    // The same, before anybody told it to stop.
    bool hung = false;
    bool out_of_memory = false;
    std::int32_t leases = 0;
    std::int32_t counted = 0;  // slots that leases take
    Bytes own;                 // predicted when it started
    Bytes own_most;            // the same with the margin of its source
    Bytes sampled;             // the most that was measured; zero before
    Bytes latest;              // what was measured last
    FootprintSource source = FootprintSource::declared;
    WeightFiles weights;
    bool known_placement = false;
    // Per pool beside the host, index is PoolId - 1.
    std::vector<Bytes> device_own;      // predicted
    std::vector<Bytes> device_most;     // with its margin, and what recovery may add
    std::vector<Bytes> device_sampled;  // the most that was measured
    std::vector<Bytes> device_latest;
  };

  enum class RequestState : std::uint8_t { unknown, waiting, admitted, over };
  struct Request {
    RequestState state = RequestState::unknown;
    std::optional<ModelId> model;  // empty for `resident`, which fits any model that is ready
    Priority priority = Priority::normal;
    Generation generation;
    Tick arrived;
    Tick waiting_since;
    std::int32_t context_needed = 0;
    std::int32_t context_wished = 0;
    bool wish_tried = false;  // it waited while a server was stopped for more context
    bool counted = true;
    std::int32_t slots = 1;
    std::int32_t slots_held = 0;
    bool client_gone = false;
    std::int32_t admits = 0;
    std::int32_t losses = 0;
    std::int32_t losses_there = 0;  // of these, to `generation`; until they are forgiven
    std::int32_t forgiven = 0;      // of all, with servers that ran out of memory or were killed
    std::int32_t forgiven_servers = 0;
    std::int32_t replays_max = 0;  // by the rules when it was lost
  };

  struct Model {
    std::vector<PlacementRow> rows;  // empty until profiled
    bool rows_stale = false;  // what is on its way speaks of a configuration that has changed
    bool replaced = false;    // its server runs with what is no longer configured
    bool rows_wait = false;   // they came while a server ran, and count from the next load on
    bool profiling = false;
    Tick profiling_since;           // of its last dry run
    Bytes profile_hold;             // of that in the host, by the rules when it began
    Bytes profile_device_hold;      // and on each device
    bool between_dry_runs = false;  // of its profile
    bool pinned = false;
    bool yielded = false;  // it was told to let others go, and has not been stopped since
    std::optional<Generation> server;
    std::int32_t waiting = 0;      // requests, replays included
    std::vector<RequestId> queue;  // these requests, in the order of their ids
    std::int32_t replays = 0;      // of these, how many were lost at a server before
    std::int32_t unloads_pending = 0;
    std::int32_t loads_pending = 0;
    std::uint64_t failures = 0;         // of servers and dry runs
    std::uint64_t crashes = 0;          // of ready servers
    std::int32_t crashes_in_a_row = 0;  // of ready servers that nobody stopped, since an answer
    bool crash_counted = false;         // its last exit was one of crashes_in_a_row
    std::int32_t kills_in_a_row = 0;    // of its servers, from outside, since an answer
    bool killed = false;                // its last exit was one, and must have no consequences
    Bytes sampled_most;                 // in the host, of any of its servers
    std::vector<Bytes> device_sampled_most;
    bool recovered = false;           // it once ran out of memory, and may be charged more since
    std::optional<Tick> rests_until;  // at least, after several of these
  };

  enum class CommandKind : std::uint8_t { load, unload, pin, clear, flush };
  struct Command {
    CommandKind kind = CommandKind::load;
    std::optional<ModelId> model;
    Tick at;
    bool answered = false;
  };

  explicit Books(const Policy& policy);

  void apply(Tick now, const Event& event);
  void apply(Tick now, const Action& action);

  const Policy& policy() const { return policy_; }
  const std::map<Generation, Server>& servers() const { return servers_; }
  const Server* server(Generation generation) const;
  const Request* request(RequestId id) const;
  const std::map<CommandId, Command>& commands() const { return commands_; }
  const Model& model(ModelId id) const { return models_[id.value]; }
  const std::vector<Model>& models() const { return models_; }

  std::int32_t waiting() const { return waiting_; }
  std::int32_t waiting_replays() const { return waiting_replays_; }
  // Requests for `resident`, which wait for a model that only the core knows.
  std::int32_t waiting_residents() const { return waiting_residents_; }
  std::int32_t leases() const { return leases_; }
  std::int32_t commands_pending() const { return commands_pending_; }
  std::int32_t profiles_running() const { return profiles_running_; }
  // What the host has left beside servers and foreign use.
  Bytes host_headroom() const;
  // What dry runs may hold, by the rules when they began.
  Bytes profile_hold(PoolId pool) const;
  // Slots that it takes at a server whose best placement gives `most` of them.
  static std::int32_t slots_for(const Request& request, std::int32_t most) {
    return request.counted ? std::min(request.slots, most) : 0;
  }
  // Beside pinned models a dry run makes do with what is left.
  bool dry_run_may_lack() const { return dry_run_may_lack_; }
  Generation last_generation() const { return last_generation_; }
  Bytes capacity() const { return pool(kHostPool).capacity; }
  Bytes foreign() const { return pool(kHostPool).foreign; }
  bool pool_seen() const { return pool(kHostPool).sampled_at.has_value(); }

  // What was last told of a pool.
  struct Pool {
    Bytes capacity;
    Bytes foreign;
    Bytes expected;
    bool lost = false;
    std::optional<Tick> sampled_at;
    std::optional<Tick> ended_at;  // a server that held some of it ended last
  };
  const Pool& pool(PoolId id) const { return pools_[id.value]; }
  // Some level may stop loads and new work at any time.
  bool admission_may_stop() const {
    for (const PressureLevel& level : policy_.pressure.levels) {
      for (const PressureStep& step : level.steps) {
        if (step.kind == PressureStepKind::stop_admission)
          return true;
      }
    }
    return false;
  }
  std::optional<Tick> shutdown_at() const { return shutdown_at_; }
  bool drained() const { return drained_; }

  // Requests that are waiting or admitted, in the order of their ids.
  std::vector<RequestId> open_requests() const;

 private:
  void on(Tick now, const RequestArrived& event);
  void on(Tick now, const RequestEnded& event);
  void on(Tick now, const ClientGone& event);
  void on(Tick now, const ModelProfiled& event);
  void on(Tick now, const ProfileFailed& event);
  void on(Tick now, const DryRunEnded& event);
  void on(Tick now, const ServerReady& event);
  void on(Tick now, const ServerExited& event);
  void on(Tick now, const ServerUnresponsive& event);
  void on(Tick now, const ServerOutOfMemory& event);
  void on(Tick now, const ServerSampled& event);
  void on(Tick now, const PoolSampled& event);
  void on(Tick now, const LoadModel& event);
  void on(Tick now, const UnloadModel& event);
  void on(Tick now, const PinModel& event);
  void on(Tick now, const Flush& event);
  void on(Tick now, const Shutdown& event);
  void on(Tick, const Timer&) {}
  void on(Tick now, const PolicyChanged& event);
  void on(Tick now, const PoolLost& event);
  void on(Tick, const StallSampled&) {}
  void on(Tick now, const ClearModel& event);

  void on(Tick now, const Profile& action);
  void on(Tick now, const StartServer& action);
  void on(Tick now, const StopServer& action);
  void on(Tick now, const Admit& action);
  void on(Tick now, const Refuse& action);
  void on(Tick now, const CommandDone& action);
  void on(Tick now, const Decided& action);
  void on(Tick now, const Drained& action);
  void on(Tick now, const LevelChanged& action);
  void on(Tick, const Trim&) {}
  void on(Tick, const KillRemains&) {}

  void start_waiting(RequestId id, Request& request);
  void stop_waiting(RequestId id, Request& request);
  void crashed(Tick now, Model& model);
  void forgive(Generation generation);
  void became_useless(Server& server, bool& how);
  void open_command(Tick now, CommandId id, CommandKind kind, std::optional<ModelId> model);
  Request* find(RequestId id);
  Bytes with_extra(const Model& model, Bytes bytes) const;

  Policy policy_;
  std::vector<Model> models_;
  std::map<Generation, Server> servers_;
  std::vector<Request> requests_;  // index is the id; ids of a run are small
  std::map<CommandId, Command> commands_;
  std::int32_t waiting_ = 0;
  std::int32_t waiting_replays_ = 0;
  std::int32_t waiting_residents_ = 0;
  std::int32_t leases_ = 0;
  std::int32_t commands_pending_ = 0;
  std::int32_t profiles_running_ = 0;
  bool dry_run_may_lack_ = false;
  Generation last_generation_;
  std::set<Generation> forgiven_;  // servers that ran out of memory, or were killed from outside
  std::vector<Pool> pools_;        // index is PoolId
  std::optional<Tick> shutdown_at_;
  bool drained_ = false;
};

}  // namespace tonnage::sim
