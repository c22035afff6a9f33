// Governor::Impl: the state behind the Governor, split over several files by kind of event.
#pragma once

#include <bitset>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/eviction.h"
#include "core/governor.h"
#include "core/ledger.h"
#include "core/planner.h"
#include "core/pressure.h"
#include "core/residency.h"
#include "core/state.h"

namespace tonnage {

class Governor::Impl {
 public:
  Impl(Policy policy, Tick now);
  explicit Impl(GovernorState state);

  GovernorState state() const;
  void step(Tick now, const Event& event, Actions& actions);
  std::optional<Tick> next_deadline() const { return deadline_; }
  Snapshot snapshot(Tick now) const;
  std::vector<Violation> violations() const;
  PlanAnswer plan(const PlanQuery& query, Tick now) const;
  std::optional<std::int32_t> queue_place(RequestId request) const;
  bool awaits_release(PoolId pool) const;
  const Policy& policy() const { return policy_; }

 private:
  using Request = RequestState;
  using Requests = std::map<RequestId, Request>;

  // A model that wants to be loaded, in the order of service.
  struct Wanted {
    int rank = 0;
    Tick since;
    ModelId model;
  };

  using PoolSet = std::bitset<kPoolsMax>;

  // What those that come first in the order of service leave to the others, while make_room() goes
  // through them.
  struct Round {
    PoolSet taken;          // turns
    bool claimed = false;   // others yield to one of them: nobody else makes room
    PoolAmounts claim{};    // headroom that is promised to them
    bool settling = false;  // loads and stops under way may still change what fits
  };

  // What is tried next after an out-of-memory failure.
  struct RecoveryStep {
    ReasonCode reason = ReasonCode::more_room;
    std::size_t row = 0;     // that is tried
    PlacementRow tried;      // the same; the ladder may be another one once the server has gone
    std::int32_t count = 0;  // failures within the window, this one included
  };

  // governor_requests.cc
  void on(const RequestArrived& event);
  void on(const RequestEnded& event);
  void on(const ClientGone& event);
  std::optional<ModelId> resident() const;
  bool can_admit(const ModelRecord& model, const Request& request) const;
  bool may_grow(const ModelRecord& model, const Request& request) const;
  bool waits_to_grow(const ModelRecord& model, const Request& request) const;
  // What the request wishes, until then.
  std::int32_t wish_of(const Request& request) const;
  Tick wish_until(const Request& request) const;
  std::int32_t slots_for(const ModelRecord& model, const Request& request) const;
  bool is_worn_out(const Request& request) const;
  void refuse_lost(RequestId id, const Request& request, ModelRecord& model);
  void admit(RequestId id, Request& request, ModelRecord& model);
  void admit_waiting(ModelRecord& model);
  void enqueue(RequestId id, Request& request, ModelRecord& model);
  void replay_or_refuse(RequestId id, Request& request);
  void refuse(RequestId id, RefusalStatus status, Decision decision);
  // Those that need at least so much context.
  void refuse_all(ModelRecord& model, RefusalStatus status, const Decision& decision,
                  std::int32_t context_min = 0);
  void expire_waiting(ModelRecord& model);
  void expire_load_commands(ModelRecord& model);
  std::string context_words(const ModelRecord& model, std::int32_t needed) const;
  Duration expected_retry(const ModelRecord& model) const;

  // governor_servers.cc
  void on(const ServerReady& event);
  void on(const ServerExited& event);
  void on(const ServerUnresponsive& event);
  void on(const ServerOutOfMemory& event);
  void stop_for(Generation generation, ReasonCode reason, const Failure& failure);
  void on(const ServerSampled& event);
  void learn(ModelRecord& model, const PoolAmounts& own);
  void note_above_budget(ModelRecord& model);
  void on(const PoolSampled& event);
  void on(const StallSampled& event);
  void release(Generation generation, ModelId model);
  void server_gone(ModelRecord& model);
  ModelRecord* by_generation(Generation generation);

  // governor_profiles.cc
  void on(const ModelProfiled& event);
  void on(const ProfileFailed& event);
  void on(const DryRunEnded& event);
  void start_profile(ModelRecord& model);
  void start_dry_run(ModelRecord& model, bool next);
  void continue_profiles();
  void end_dry_run(const ModelRecord& model);
  void end_profile(ModelRecord& model);
  void profile_ahead();

  // governor_failures.cc
  void count_crash(ModelRecord& model, Generation generation);
  void forgive_losses(ModelRecord& model, Generation generation, bool killed);
  void refuse_worn_out(ModelRecord& model);
  Decision record_failure(ModelRecord& model, Failure failure, ReasonCode reason,
                          std::optional<Generation> generation = {});
  void killed_from_outside(ModelRecord& model, Failure failure);
  void crashed(ModelRecord& model, Failure failure);
  void load_failed(ModelRecord& model, Failure failure);
  void rest_and_refuse(ModelRecord& model, Decision failed);
  void rest(ModelRecord& model, bool refuses);

  // governor_recovery.cc
  void on(const PoolLost& event);
  void on(const ClearModel& event);
  std::optional<RecoveryStep> recovery_step(const ModelRecord& model, FailureKind kind) const;
  void recover(ModelRecord& model, const Failure& failure, const RecoveryStep& step,
               Generation generation, bool was_ready);
  void take_step(ModelRecord& model, const RecoveryStep& step, Generation generation);
  void run_recovery_timers(ModelRecord& model);
  void forget_failures(ModelRecord& model);
  void watch_releases();
  void recovery_deadlines();

  // governor_pressure.cc
  PressureReading reading_of(PoolId pool) const;
  const PressureLevel* level_of(PoolId pool) const;
  const PressureStep* pressure_step(PoolId pool, PressureStepKind kind) const;
  bool any_pool_at(PressureStepKind kind) const;
  bool admission_stopped(const Charge& charge) const;
  void judge_pressure();
  void judge_pressure(PoolId pool);
  void enter_level(PoolId pool, const std::string& before, bool worse);
  void hold_back(PoolId pool);
  void reset_peaks();
  void apply_pressure();
  void press_out(ModelRecord& model, PoolId pool, const PressureLevel& level, ReasonCode reason);
  void relieve(PoolId pool, const PressureLevel& level);
  void press_busy(PoolId pool, const PressureStep& step);
  void name_pressure(Decision& decision) const;
  void restore_pressed();
  void pressure_deadlines();

  // governor_commands.cc
  void on(const LoadModel& event);
  void on(const UnloadModel& event);
  void on(const PinModel& event);
  void on(const Flush& event);
  void on(const Shutdown& event);
  void on(const Timer& event);
  void finish_load_commands(ModelRecord& model, bool ok, const std::string& text);
  void finish_unload_commands(ModelRecord& model);
  void flush_gone(Generation generation);
  void progress_shutdown();

  // governor_reload.cc
  void on(const PolicyChanged& event);
  void apply_policy(const ModelPolicy& before, ModelRecord& model);
  void replace(ModelRecord& model);
  void remove(ModelRecord& model);
  void leave(ModelRecord& model, DrainCause cause, ReasonCode reason);
  void shrink_to_budget();

  // governor_schedule.cc
  void schedule();
  void run_model_timers(ModelRecord& model);
  void make_room();
  void refuse_load(ModelRecord& model, const LoadPlan& plan, std::int32_t context_needed);
  void carry_out(ModelRecord& model, const LoadPlan& plan);
  void wait_for_room(ModelRecord& model, const Wanted& wanted, const LoadQuery& query,
                     const LoadPlan& plan, Round& round);
  void wait_for_turn(ModelRecord& model, const LoadPlan& plan, Round& round);
  void promise(const LoadPlan& plan, std::span<const ModelId> leaving, Round& round) const;
  bool is_unwanted_load(const ModelRecord& model) const;
  void give_up_unwanted_loads(const ModelRecord& waiting);
  void start_server(ModelRecord& model, const LoadPlan& plan);
  void stop_server(ModelRecord& model, bool kill_at_once);
  void end_pointless_yields();
  void move_up_degraded();
  std::vector<Wanted> wanted_models() const;
  std::optional<Wanted> wanted(const ModelRecord& model) const;
  const Request* first_in_line(const ModelRecord& model) const;
  bool must_grow(ModelRecord& model);
  bool only_spares(const ModelRecord& model) const;

  // governor_turns.cc
  static PoolSet turn_of_load(std::span<const PoolId> devices);
  PoolSet turn_of_dry_run(ModelId model) const;
  PoolSet turn_of(ModelId model, const LoadPlan& plan) const {
    return plan.profile ? turn_of_dry_run(model) : turn_of_load(plan.devices);
  }
  PoolSet turns_taken(std::optional<ModelId> beside = {}) const;
  bool is_hung_dry_run(const ModelRecord& model) const;
  bool may_profile_more() const;
  bool stands_behind_profile(const ModelRecord& model) const;
  bool load_in_progress() const;

  // governor_deadlines.cc
  void update_deadline();

  // governor_state.cc
  void take_up(ModelRecord& model, ModelState state);

  // governor_snapshot.cc
  ModelSnapshot model_snapshot(const ModelRecord& model, Tick now) const;
  PoolSnapshot pool_snapshot(PoolId pool, Tick now) const;
  void add_problems(const ModelRecord& model, Tick now, Snapshot& snapshot) const;

  // governor.cc
  void move(ModelRecord& model, ResidencyState to);
  ModelRecord* find(ModelId id);
  Planner planner() const { return {policy_, ledger_, models_, *eviction_, now_}; }
  Decision decision(DecisionKind kind, ReasonCode reason, const ModelRecord& model) const;
  void decide(Decision decision);
  void deadline_at(Tick tick);
  std::int32_t in_flight_max(const ModelRecord& model) const;
  void touch(ModelRecord& model);

  template <typename T>
  void emit(T action) {
    actions_->emplace_back(std::move(action));
  }

  Policy policy_;
  Ledger ledger_;
  std::unique_ptr<EvictionPolicy> eviction_;
  std::vector<ModelRecord> models_;
  Requests requests_;
  std::vector<FlushState> flushes_;
  std::vector<ReleaseWatch> releases_;
  std::vector<PoolPressure> pressure_;  // index is PoolId
  StallSampled stall_;
  std::uint64_t next_generation_ = 1;
  std::int32_t waiting_ = 0;
  bool shutting_down_ = false;
  bool drained_ = false;
  Tick shutdown_deadline_;
  std::optional<Tick> deadline_;
  Tick now_;
  Actions* actions_ = nullptr;   // of the running step
  bool somebody_wants_ = false;  // a model waits to be loaded, as of the last schedule()
  bool dirty_ = false;           // something changed that schedule() must look at
};

}  // namespace tonnage
