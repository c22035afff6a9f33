#include "sim/run.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "core/governor.h"
#include "sim/budget.h"
#include "sim/describe.h"
#include "sim/digest.h"
#include "sim/referee.h"
#include "sim/world.h"

namespace tonnage::sim {
namespace {

// Far more than any seed needs; a run that gets here never ends.
constexpr std::uint64_t kEventsMax = 60'000;
constexpr std::size_t kLastLines = 40;

// The latest events and actions, kept as values and written out only when something broke.
class Recorder {
 public:
  Recorder(const Policy& policy, const std::function<void(const std::string&)>& trace)
      : policy_(policy), trace_(trace) {}

  void note(Tick at, const Event& event, const Actions& actions) {
    if (trace_) {
      for (const std::string& line : lines_of(at, event, actions))
        trace_(line);
    }
    if (steps_.size() == kLastLines) {
      // Reuses the oldest entry's memory.
      std::rotate(steps_.begin(), steps_.begin() + 1, steps_.end());
      steps_.back() = {at, event, actions};
    } else {
      steps_.push_back({at, event, actions});
    }
  }

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    for (const Step& step : steps_) {
      for (std::string& line : lines_of(step.at, step.event, step.actions)) {
        all.push_back(std::move(line));
      }
    }
    if (all.size() > kLastLines)
      all.erase(all.begin(), all.end() - kLastLines);
    return all;
  }

 private:
  struct Step {
    Tick at;
    Event event;
    Actions actions;
  };

  std::vector<std::string> lines_of(Tick at, const Event& event, const Actions& actions) const {
    std::vector<std::string> lines{describe(at) + " " + describe(event, policy_)};
    for (const Action& action : actions)
      lines.push_back("    -> " + describe(action, policy_));
    return lines;
  }

  const Policy& policy_;
  const std::function<void(const std::string&)>& trace_;
  std::vector<Step> steps_;
};

// Predictions hold and nothing was relearned: what servers physically hold is bounded by them.
bool physics_is_predictable(const Knobs& knobs) {
  return knobs.rate(Fault::wrong_footprint) == 0 && knobs.rate(Fault::relearned) == 0 &&
         knobs.rate(Fault::wrong_sample) == 0 && knobs.rate(Fault::reload) == 0;
}

bool nothing_may_fail(const Knobs& knobs) {
  if (!knobs.faultless())
    return false;
  return std::all_of(knobs.models.begin(), knobs.models.end(), [&](const ModelTruth& truth) {
    return knobs.policy.load.timeout > 2 * truth.load_time;
  });
}

// Pins or foreign use may keep a model out for ever; then only the time-out ends a wait.
bool may_stay_blocked(const Knobs& knobs) {
  const bool pins = std::any_of(knobs.policy.models.begin(), knobs.policy.models.end(),
                                [](const ModelPolicy& model) { return model.pinned; });
  if (!knobs.unpin_when_calm && (pins || knobs.workload.commands > 0))
    return true;
  // Where a level holds, loads may have to wait for it.
  if (!knobs.devices.empty() || !knobs.policy.pressure.levels.empty())
    return true;
  const PoolPolicy& pool = knobs.policy.pools[kHostPool.value];
  const Bytes room = room_of(pool, knobs.capacity) - knobs.foreign;
  return std::any_of(knobs.models.begin(), knobs.models.end(), [&](const ModelTruth& truth) {
    return std::any_of(truth.rows.begin(), truth.rows.end(), [&](const PlacementRow& row) {
      return row.host_anon + size_of(row.weights) > room;
    });
  });
}

class Run {
 public:
  Run(const Knobs& knobs, const std::function<void(const std::string&)>& trace)
      : knobs_(knobs),
        world_(knobs),
        governor_(knobs.policy, Tick{}),
        referee_(knobs.policy, nothing_may_fail(knobs)),
        recorder_(knobs.policy, trace),
        bound_(liveness_bound(knobs)),
        predictable_(physics_is_predictable(knobs)) {}

  RunReport watched() {
    RunReport report;
    report.seed = knobs_.seed;
    Actions actions;
    while (findings_.empty()) {
      auto happening = world_.next(governor_.next_deadline());
      if (!happening)
        break;
      if (world_.calm() && happening->at > *world_.calm_since() + bound_) {
        check_liveness();
        break;
      }
      step(*happening, actions);
      if (++report.events >= kEventsMax)
        findings_.add("run", "it never ends");
      if (finished())
        break;
    }
    if (findings_.empty())
      check_liveness();
    referee_.coverage().count_faults(world_.fault_hits());
    report.coverage = referee_.coverage();
    report.findings = findings_.list();
    report.digest = digest_.value();
    if (!report.findings.empty())
      report.last_lines = recorder_.lines();
    return report;
  }

  // The same run once more, up to as many events, without anybody watching, and every now and then
  // with a governor made from the state of the last one: it must remember everything.
  std::uint64_t repeated(std::uint64_t events) {
    constexpr std::uint64_t kRenewedEvery = 61;
    Actions actions;
    for (std::uint64_t i = 0; i < events; ++i) {
      if (i % kRenewedEvery == knobs_.seed % kRenewedEvery)
        governor_ = Governor(governor_.state());
      const auto happening = world_.next(governor_.next_deadline());
      if (!happening)
        break;
      take(*happening, actions);
    }
    return digest_.value();
  }

 private:
  void take(const Happening& happening, Actions& actions) {
    actions.clear();
    governor_.step(happening.at, happening.event, actions);
    world_.apply(happening.at, actions);
    digest_.add(happening.at, happening.event);
    for (const Action& action : actions)
      digest_.add(action);
  }

  void step(const Happening& happening, Actions& actions) {
    take(happening, actions);
    recorder_.note(happening.at, happening.event, actions);
    referee_.watch(governor_, happening.at, happening.event, actions, findings_);
    check_physics();
  }

  void check_physics() {
    if (!predictable_)
      return;
    const PoolPolicy& pool = knobs_.policy.pools[kHostPool.value];
    const Bytes held = world_.held_at_most();
    const Bytes budget = budget_for(pool, world_.capacity());
    if (held > budget) {
      findings_.add("bytes", "servers hold " + tonnage::to_text(held) + " of a budget of " +
                                 tonnage::to_text(budget));
    }
    for (std::uint32_t i = 1; i <= knobs_.devices.size(); ++i) {
      const Bytes most = budget_for(knobs_.policy.pools[i], knobs_.devices[i - 1].capacity);
      const bool may_lack = referee_.books().dry_run_may_lack();
      const Bytes there = world_.device_held_at_most(PoolId(i)) +
                          (may_lack ? Bytes(0) : world_.dry_run_held(i - 1));
      if (there > most) {
        findings_.add("bytes", "servers hold " + tonnage::to_text(there) + " of a budget of " +
                                   tonnage::to_text(most) + " of " + knobs_.policy.pools[i].name);
      }
    }
    if (knobs_.rate(Fault::foreign) > 0)
      return;
    const Bytes room = room_of(pool, world_.capacity());
    if (held > Bytes(0) && held + world_.foreign() > room) {
      findings_.add("bytes", "servers hold " + tonnage::to_text(held) + " beside " +
                                 tonnage::to_text(world_.foreign()) + " foreign, of " +
                                 tonnage::to_text(room));
    }
  }

  bool all_done() const {
    const Books& books = referee_.books();
    return books.waiting() == 0 && books.leases() == 0 && books.commands_pending() == 0;
  }

  bool finished() const {
    if (!world_.calm() || !all_done())
      return false;
    if (knobs_.unpin_when_calm &&
        std::any_of(referee_.books().models().begin(), referee_.books().models().end(),
                    [](const Books::Model& model) { return model.pinned; })) {
      return false;
    }
    return knobs_.shutdown == ShutdownKind::never || referee_.books().drained();
  }

  void check_liveness() {
    const Books& books = referee_.books();
    const std::string when = tonnage::to_text(bound_) + " after the last fault and arrival";
    if (books.shutdown_at() && !books.drained()) {
      findings_.add("liveness", "not drained " + when);
    }
    for (const RequestId id : books.open_requests()) {
      const Books::Request& request = *books.request(id);
      const bool waits = request.state == Books::RequestState::waiting;
      findings_.add("liveness",
                    "request " + std::to_string(id.value) + " for " +
                        (request.model ? name_of(knobs_.policy, *request.model) : "resident") +
                        (waits ? " waits since " : " is at a server, arrived ") +
                        describe(waits ? request.waiting_since : request.arrived) + ", still " +
                        when);
    }
    for (const auto& [id, command] : books.commands()) {
      if (command.answered)
        continue;
      findings_.add("liveness",
                    "command " + std::to_string(id.value) +
                        (command.model ? " for " + name_of(knobs_.policy, *command.model) : "") +
                        " is not answered " + when);
    }
    if (!findings_.empty())
      findings_.add("liveness", "it stands like this: " + standing());
  }

  // Where everything stands, for whoever asks why nothing goes on.
  std::string standing() const {
    const Snapshot snapshot = governor_.snapshot(world_.calm_since().value_or(Tick{}) + bound_);
    std::string text;
    for (const ModelSnapshot& model : snapshot.models) {
      text += model.id + " is " + std::string(tonnage::to_text(model.state)) +
              (model.pinned ? ", pinned" : "") + (model.stalled ? ", stalled" : "") + ", " +
              std::to_string(model.leases) + " at work, " + std::to_string(model.waiting) +
              " waiting; ";
    }
    for (const PoolSnapshot& pool : snapshot.pools) {
      text += pool.name + " has " + tonnage::to_text(pool.headroom) + " free of " +
              tonnage::to_text(pool.budget) + ", foreign " + tonnage::to_text(pool.foreign);
    }
    const auto deadline = governor_.next_deadline();
    return text + "; next timer " + (deadline ? describe(*deadline) : "never");
  }

  const Knobs& knobs_;
  World world_;
  Governor governor_;
  Referee referee_;
  Recorder recorder_;
  Digest digest_;
  Findings findings_;
  Duration bound_;
  bool predictable_;
};

}  // namespace

Duration liveness_bound(const Knobs& knobs) {
  const Policy& policy = knobs.policy;
  Duration load{};
  Duration serve{};
  for (const ModelTruth& truth : knobs.models) {
    load = std::max(load, std::min(policy.load.timeout, 40 * 2 * truth.load_time));
    serve = std::max(serve, 2 * truth.serve_time);
  }
  // A load that was begun before the faults stopped may never end by itself.
  if (knobs.rate(Fault::endless_load) > 0)
    load = policy.load.timeout;
  const Duration one_round = 10s + policy.queue.yield_after + policy.residency.min_residency_max +
                             policy.residency.grace_on_demand.value_or(Duration(0)) +
                             policy.load.retry_backoff_max + 2 * load + serve;
  // Whoever waited when the faults stopped gives up at the time-out; a lost request may have
  // begun to wait again, once per replay.
  const Duration timeouts = (policy.queue.replays_max + 1) * policy.queue.queue_timeout;
  const Duration rounds =
      static_cast<std::int64_t>(knobs.models.size() + 1) * one_round +
      std::min<std::int64_t>(knobs.workload.requests, policy.queue.waiting_max + 8) * serve;
  const Duration drain =
      knobs.shutdown == ShutdownKind::never ? Duration(0) : 20s + policy.load.drain_timeout;
  // What another configuration began to wait for is waited for to its end.
  const Duration begun = knobs.rate(Fault::reload) > 0 ? 6min : 0min;
  const Duration work = may_stay_blocked(knobs) ? timeouts : std::min(timeouts, 2 * rounds);
  return 2 * one_round + work + drain + begun;
}

RunReport run_seed(std::uint64_t seed, const std::function<void(const std::string&)>& trace) {
  const Knobs knobs = draw_knobs(seed);
  RunReport report = Run(knobs, trace).watched();
  report.steps = report.events;
  if (!report.findings.empty())
    return report;
  static const std::function<void(const std::string&)> silent;
  const std::uint64_t again = Run(knobs, silent).repeated(report.events);
  report.steps += report.events;
  if (again != report.digest)
    report.findings.push_back("digest: the second run differs");
  return report;
}

std::string describe(const Knobs& knobs) {
  const Policy& policy = knobs.policy;
  const PoolPolicy& pool = policy.pools[kHostPool.value];
  std::string text = "about " + std::string(to_text(knobs.situation)) + ": " +
                     std::to_string(knobs.models.size()) + " models, budget " +
                     tonnage::to_text(budget_for(pool, knobs.capacity)) + " of " +
                     tonnage::to_text(knobs.capacity) + ", foreign " +
                     tonnage::to_text(knobs.foreign) + ", " +
                     std::string(to_text(knobs.workload.pattern)) + ", " +
                     std::to_string(knobs.workload.requests) + " requests, gap " +
                     tonnage::to_text(knobs.workload.gap) + "\n";
  text += "queue: " + std::to_string(policy.queue.waiting_max) + " waiting, " +
          std::to_string(policy.queue.waiting_per_model_max) + " per model, timeout " +
          tonnage::to_text(policy.queue.queue_timeout) + ", yield " +
          tonnage::to_text(policy.queue.yield_after) + ", degrade " +
          tonnage::to_text(policy.queue.degrade_after) + ", replays " +
          std::to_string(policy.queue.replays_max) + "\n";
  text += std::string("residency: ") +
          (policy.residency.eviction == EvictionKind::lru ? "lru" : "value") +
          (policy.residency.single_model ? ", single model" : "") +
          (policy.residency.heavy_slot ? ", heavy slot" : "") + ", grace " +
          tonnage::to_text(policy.residency.grace) +
          (policy.residency.grace_on_demand
               ? ", on demand " + tonnage::to_text(*policy.residency.grace_on_demand)
               : "") +
          ", min residency " + tonnage::to_text(policy.residency.min_residency_min) + " to " +
          tonnage::to_text(policy.residency.min_residency_max) + "\n";
  text += "load: stall " + tonnage::to_text(policy.load.stall_after) + ", timeout " +
          tonnage::to_text(policy.load.timeout) + ", attempts " +
          std::to_string(policy.load.attempts_max) + ", drain " +
          tonnage::to_text(policy.load.drain_timeout) + "\nfaults:";
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (knobs.fault_permille[i] == 0)
      continue;
    text += " " + std::string(to_text(static_cast<Fault>(i))) + " " +
            std::to_string(knobs.fault_permille[i]);
  }
  for (std::size_t i = 0; i < knobs.models.size(); ++i) {
    const ModelTruth& truth = knobs.models[i];
    const ModelPolicy& model = policy.models[i];
    text += "\n" + model.id + ": load " + tonnage::to_text(truth.load_time) + ", serve " +
            tonnage::to_text(truth.serve_time) + ", in flight " +
            std::to_string(model.in_flight_max) + (model.pinned ? ", pinned" : "") +
            (model.heavy ? ", heavy" : "") + (truth.broken ? ", broken" : "") +
            (model.ttl ? ", ttl " + tonnage::to_text(*model.ttl) : "");
    for (const PlacementRow& row : truth.rows) {
      text += " [" + describe(row) + "]";
    }
  }
  return text;
}

}  // namespace tonnage::sim
