// The part of a scenario that comes before its events: pool, models, rows and rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tick.h"
#include "core/events.h"
#include "core/policy.h"
#include "core/types.h"

namespace tonnage::sim {

// A line, split at spaces.
using Words = std::vector<std::string>;

Words split_words(std::string_view line);

struct ScenarioSetting {
  Policy policy;
  Bytes capacity;                               // of the host
  std::vector<Bytes> device_capacity;           // index is PoolId - 1
  std::vector<std::vector<PlacementRow>> rows;  // index is ModelId
  // Lines of their own say when a Timer comes, and when a dry run ends. Else a Timer comes exactly
  // when it is due, and dry runs answer at once.
  bool timers_by_hand = false;
  bool profiles_by_hand = false;

  Result<ModelId> find_model(const std::string& name) const;
  std::optional<PoolId> find_pool(std::string_view name) const;
};

// Every rule that a `set` line may name, with its field.
template <typename Visit>
void visit_rules(ScenarioSetting& setting, Visit visit) {
  QueuePolicy& queue = setting.policy.queue;
  visit("waiting_max", queue.waiting_max);
  visit("waiting_per_model_max", queue.waiting_per_model_max);
  visit("queue_timeout", queue.queue_timeout);
  visit("yield_after", queue.yield_after);
  visit("degrade_after", queue.degrade_after);
  visit("replays_max", queue.replays_max);
  visit("lost_hold", queue.lost_hold);
  ResidencyPolicy& residency = setting.policy.residency;
  visit("grace", residency.grace);
  visit("grace_on_demand", residency.grace_on_demand);
  visit("min_residency_min", residency.min_residency_min);
  visit("min_residency_max", residency.min_residency_max);
  visit("heavy_slot", residency.heavy_slot);
  visit("single_model", residency.single_model);
  visit("eviction", residency.eviction);
  LoadPolicy& load = setting.policy.load;
  visit("stall_after", load.stall_after);
  visit("load_timeout", load.timeout);
  visit("retry_backoff_min", load.retry_backoff_min);
  visit("retry_backoff_max", load.retry_backoff_max);
  visit("attempts_max", load.attempts_max);
  visit("bandwidth_prior", load.bandwidth_prior_mib_per_s);
  visit("profile_reservation", load.profile_reservation);
  visit("profile_device_reservation", load.profile_device_reservation);
  visit("profile_stall_after", load.profile_stall_after);
  visit("profiles_max", load.profiles_max);
  visit("profile_ahead", load.profile_ahead);
  visit("stop_timeout", load.stop_timeout);
  visit("drain_timeout", load.drain_timeout);
  MarginPolicy& margin = setting.policy.margin;
  visit("analytic_permille", margin.analytic_permille);
  visit("dry_run_permille", margin.dry_run_permille);
  visit("learned_permille", margin.learned_permille);
  RecoveryPolicy& recovery = setting.policy.recovery;
  visit("device_failures_max", recovery.device_failures_max);
  visit("failure_window", recovery.failure_window);
  visit("cooldown", recovery.cooldown);
  visit("retry_extra_permille", recovery.retry_extra_permille);
  visit("release_timeout", recovery.release_timeout);
  visit("kills_max", recovery.kills_max);
  visit("unified_devices", setting.policy.unified_devices);
  visit("restore_below_permille", setting.policy.pressure.restore_below_permille);
  visit("timers_by_hand", setting.timers_by_hand);
  visit("profiles_by_hand", setting.profiles_by_hand);
}

// Takes a line that begins with pool, device, model, row, pressure or set. Defaults are chosen so
// that a scenario only has to say what it is about: no reserve, no margins, no failures.
Result<void> take_setting(ScenarioSetting& setting, const Words& words);

// Takes "reload set yield_after 10s, limit 3GiB, model A removed, changed B": parts end in a comma,
// what is "no" is not so any more, and models whose servers have to go are appended to `changed`.
Result<void> take_changes(ScenarioSetting& setting, const Words& words,
                          std::vector<ModelId>& changed);

ScenarioSetting default_setting();

// The lines that give this setting, without what is the default anyway.
std::string write_setting(const ScenarioSetting& setting);

// The line that tells an event at `at`, "at 1s request r1 for A". Ends name their generation.
// A changed policy is written as what differs from `policy`.
std::string write_event(Tick at, const Event& event, const Policy& policy);

Result<std::int64_t> parse_integer(const std::string& word);
Result<Priority> parse_priority(const std::string& word);

}  // namespace tonnage::sim
