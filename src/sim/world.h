// World: physical truth, apart from what the core believes. Takes actions, brings events.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "base/tick.h"
#include "core/actions.h"
#include "core/events.h"
#include "sim/agenda.h"
#include "sim/knobs.h"
#include "sim/workload.h"

namespace tonnage::sim {

struct Happening {
  Tick at;
  Event event;
};

// One machine with its servers, clients, operator and other programs. Knows nothing of the core:
// it reacts to actions as real adapters would, in an order and with delays that its seed decides.
class World {
 public:
  explicit World(const Knobs& knobs);

  // The next thing that the core is to be told, at the latest the Timer that it asked for. Empty
  // when nothing will ever happen again.
  std::optional<Happening> next(std::optional<Tick> deadline);

  // Does what the core asked for.
  void apply(Tick now, const Actions& actions);

  // Faults have stopped and the last request and command have been sent.
  bool calm() const { return calm_since_.has_value(); }
  std::optional<Tick> calm_since() const { return calm_since_; }

  // Physical bytes that servers hold, when each holds all that it ever will: weights once per
  // file and anonymous memory per process.
  Bytes held_at_most() const;
  // The same for a device.
  Bytes device_held_at_most(PoolId pool) const;
  // What a dry run that works holds of it.
  Bytes dry_run_held(std::size_t device) const;
  Bytes capacity() const { return knobs_.capacity; }
  Bytes foreign() const { return foreign_; }

  // Whether the request is one of the greedy client's.
  bool is_greedy(RequestId id) const { return requests_[id.value - 1].client.has_value(); }

  const std::array<std::uint64_t, kFaults>& fault_hits() const { return fault_hits_; }

 private:
  enum class Kind : std::uint8_t {
    open_arrival,
    client_arrival,  // a: index into pending_clients_
    leave,           // a: request
    end,             // a: request, b: attempt, outcome
    profiled,        // a: model
    ready,           // a: generation
    crash,           // a: generation
    kill,            // a: generation
    hang,            // a: generation
    unresponsive,    // a: generation
    run_short,       // a: generation
    exit,            // a: generation
    sample_pool,
    sample_server,  // a: generation
    move_foreign,
    command,
    unpin,  // a: model
    clear,  // a: model
    echo,   // a: index into echoes_
    relearn,
    stall,
    reload,
    sample_device,  // a: device, b: one of the regular samples
    lose_device,
    tell_stalls,
    calm_stalls,
    restore,  // of the configuration, when faults stop
    deliver,  // a: index into held_back_
    shutdown,
    calm,
  };
  struct Item {
    Kind kind;
    std::uint64_t a = 0;
    std::uint32_t b = 0;
    RequestOutcome outcome = RequestOutcome::answered;
  };

  enum class ProcessState : std::uint8_t { starting, ready, hung, exiting };
  struct Process {
    ModelId model;
    Placement placement;
    ProcessState state = ProcessState::starting;
    Tick started;
    Duration load{};
    Bytes anon;  // once it is loaded
    WeightFiles weights;
    std::vector<Bytes> device_bytes;  // once it is loaded, per device; empty without devices
    std::optional<Failure> failure;   // that its exit will report
    bool exit_planned = false;
    std::vector<RequestId> in_flight;
  };

  enum class RequestState : std::uint8_t { waiting, in_flight, done };
  struct Request {
    RequestState state = RequestState::waiting;
    std::uint32_t attempt = 0;
    Generation generation;
    bool left = false;
    bool poison = false;  // whatever server takes it crashes
    std::optional<std::uint32_t> client;
    std::optional<ModelId> model;
  };

  // world.cc
  std::optional<Event> happen(const Item& item);
  std::optional<Event> happen_to_server(const Item& item);
  Event arrive(const Arrival& arrival);
  void plan_open_arrival();
  void finish(RequestId request);
  std::optional<Event> end_request(const Item& item);
  std::optional<Event> leave(RequestId request);
  Event draw_command();
  void heed(const Decision& decision);
  Event relearn();
  std::optional<Event> reload();
  void become_calm();

  // world_servers.cc
  void do_profile(const Profile& action);
  void do_start(const StartServer& action);
  void do_stop(const StopServer& action);
  void do_admit(const Admit& action);
  Event end_dry_run(ModelId model);
  std::optional<Event> become_ready(Generation generation);
  std::optional<Event> exit(Generation generation);
  void crash(Generation generation, Failure failure);
  void break_requests(Process& process, Tick exit_at);
  std::optional<Event> run_short(Generation generation, Process& process);
  void plan_exit(Generation generation, Process& process, Tick at);
  void plan_mishaps(Generation generation);
  void plan_kill(Generation generation, Duration within);
  Bytes held_now(const Process& process) const;
  Bytes physical_now() const;
  Bytes returning_now() const;
  bool is_full(Fault fault);
  void return_late(const Process& process);
  PoolSampled wrong_sample();
  std::optional<Event> sample_pool();
  std::optional<Event> sample_server(Generation generation);
  void move_foreign();

  // world_devices.cc
  void place(Process& process, const StartServer& action, const PlacementRow& row);
  Bytes device_held(const Process& process, std::size_t device) const;
  Bytes orphaned(std::size_t device) const;
  bool device_is_full(const Process& process, Fault fault);
  void return_devices(Generation generation, const Process& process);
  void kill_remains(const KillRemains& action);
  std::optional<Event> sample_device(std::size_t device, bool again);
  std::optional<Event> lose_device();
  std::optional<Event> tell_stalls();
  void move_device_foreign();
  void calm_devices();

  bool faulty(Fault fault, std::uint64_t divisor = 1);
  Duration vary(Duration typical);
  void echo_later(Event event);
  bool hold_back(const Event& event);
  std::optional<Event> deliver(std::size_t index);
  bool ends_another_lease(const Event& event) const;
  Process* find(Generation generation);

  const Knobs& knobs_;
  Policy policy_;  // as configured now
  Prng faults_;
  Prng latency_;
  Prng operator_;
  Workload workload_;
  Agenda<Item> agenda_;
  Tick now_{};
  Duration timer_lateness_{};
  std::optional<Tick> timer_for_;  // the deadline that the lateness was drawn for

  Bytes foreign_;
  std::optional<PoolSampled> last_pool_sample_;
  std::map<Generation, Process> processes_;
  std::vector<Request> requests_;  // index is RequestId - 1
  std::vector<Arrival> pending_clients_;
  std::optional<Arrival> pending_open_;
  std::vector<Event> echoes_;
  std::vector<Event> held_back_;
  std::map<std::uint64_t, Tick> held_back_until_;  // by what was seen
  // Bytes of servers that have ended which a probe still sees, and until when.
  std::vector<std::pair<Tick, Bytes>> returning_;
  struct Device {
    Bytes capacity;
    Bytes foreign;
    Bytes expected;
    Tick lost_until{};
    std::optional<PoolSampled> last;
  };
  std::vector<Device> devices_;
  struct Returning {
    Tick until;
    std::size_t device = 0;
    Generation generation;
    Bytes bytes;
  };
  std::vector<Returning> device_returning_;
  // Of each model's dry run per device; empty while none works.
  std::map<ModelId, std::vector<Bytes>> dry_run_holds_;
  std::map<ModelId, std::uint64_t> dry_runs_to_come_;  // of its profile under way
  std::uint64_t commands_ = 0;
  std::optional<std::size_t> shutdown_at_request_;
  std::optional<Tick> calm_since_;
  std::array<std::uint64_t, kFaults> fault_hits_{};
};

}  // namespace tonnage::sim
