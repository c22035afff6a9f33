// Fields<T> of the core's state, which a segment begins with.
#pragma once

#include <tuple>

#include "core/state.h"
#include "journal/fields.h"
#include "journal/policy_fields.h"

namespace tonnage::journal {

template <>
struct Fields<Charge> {
  using T = Charge;
  static constexpr auto kList = std::tuple{Field{"own", &T::own}, Field{"weights", &T::weights}};
};

template <>
struct Fields<Release> {
  using T = Release;
  static constexpr auto kList =
      std::tuple{Field{"held", &T::held}, Field{"unowned_before", &T::unowned_before}};
};

template <>
struct Fields<PoolSample> {
  using T = PoolSample;
  static constexpr auto kList = std::tuple{Field{"capacity", &T::capacity},
                                           Field{"foreign", &T::foreign},
                                           Field{"used", &T::used},
                                           Field{"orphaned", &T::orphaned},
                                           Field{"expected", &T::expected},
                                           Field{"lost", &T::lost},
                                           Field{"sampled_at", &T::sampled_at},
                                           Field{"release", &T::release},
                                           Field{"held_back", &T::held_back}};
};

template <>
struct Fields<LedgerState> {
  using T = LedgerState;
  static constexpr auto kList =
      std::tuple{Field{"pools", &T::pools}, Field{"charges", &T::charges}};
};

template <>
struct Fields<LearnedCharge> {
  using T = LearnedCharge;
  static constexpr auto kList = std::tuple{Field{"placement", &T::placement},
                                           Field{"devices", &T::devices}, Field{"own", &T::own}};
};

template <>
struct Fields<LoadWish> {
  using T = LoadWish;
  static constexpr auto kList =
      std::tuple{Field{"command", &T::command}, Field{"may_evict", &T::may_evict}};
};

template <>
struct Fields<ModelState> {
  using T = ModelState;
  static constexpr auto kList = std::tuple{Field{"state", &T::state},
                                           Field{"pinned", &T::pinned},
                                           Field{"rows", &T::rows},
                                           Field{"next_rows", &T::next_rows},
                                           Field{"rows_stale", &T::rows_stale},
                                           Field{"profiled_ahead", &T::profiled_ahead},
                                           Field{"generation", &T::generation},
                                           Field{"row", &T::row},
                                           Field{"placement", &T::placement},
                                           Field{"devices", &T::devices},
                                           Field{"degraded", &T::degraded},
                                           Field{"profiling_since", &T::profiling_since},
                                           Field{"context_asked", &T::context_asked},
                                           Field{"loading_since", &T::loading_since},
                                           Field{"ready_since", &T::ready_since},
                                           Field{"stopping_since", &T::stopping_since},
                                           Field{"stalled", &T::stalled},
                                           Field{"stop_failure", &T::stop_failure},
                                           Field{"drain_cause", &T::drain_cause},
                                           Field{"yielding_to", &T::yielding_to},
                                           Field{"hold_until", &T::hold_until},
                                           Field{"measured", &T::measured},
                                           Field{"device_measured", &T::device_measured},
                                           Field{"learned", &T::learned},
                                           Field{"above_budget", &T::above_budget},
                                           Field{"wait_noted", &T::wait_noted},
                                           Field{"wanted_since", &T::wanted_since},
                                           Field{"room_made", &T::room_made},
                                           Field{"reload_for", &T::reload_for},
                                           Field{"load_commands", &T::load_commands},
                                           Field{"unload_commands", &T::unload_commands},
                                           Field{"usage", &T::usage},
                                           Field{"last_used", &T::last_used},
                                           Field{"used", &T::used},
                                           Field{"uses", &T::uses},
                                           Field{"loads", &T::loads},
                                           Field{"evictions", &T::evictions},
                                           Field{"failures", &T::failures},
                                           Field{"load_time", &T::load_time},
                                           Field{"attempts", &T::attempts},
                                           Field{"failures_in_a_row", &T::failures_in_a_row},
                                           Field{"kills_in_a_row", &T::kills_in_a_row},
                                           Field{"refuses", &T::refuses},
                                           Field{"retry_at", &T::retry_at},
                                           Field{"failure", &T::failure},
                                           Field{"memory_failures", &T::memory_failures},
                                           Field{"cpu_since", &T::cpu_since},
                                           Field{"least_row", &T::least_row},
                                           Field{"retry_extra", &T::retry_extra_permille},
                                           Field{"pressed_at", &T::pressed_at}};
};

template <>
struct Fields<RequestState> {
  using T = RequestState;
  static constexpr auto kList = std::tuple{Field{"model", &T::model},
                                           Field{"priority", &T::priority},
                                           Field{"context_needed", &T::context_needed},
                                           Field{"context_wished", &T::context_wished},
                                           Field{"wish_tried", &T::wish_tried},
                                           Field{"counted", &T::counted},
                                           Field{"arrived", &T::arrived},
                                           Field{"admitted", &T::admitted},
                                           Field{"generation", &T::generation},
                                           Field{"lost_from", &T::lost_from},
                                           Field{"client_gone", &T::client_gone},
                                           Field{"suspect", &T::suspect},
                                           Field{"replays", &T::replays},
                                           Field{"losses", &T::losses},
                                           Field{"crashes", &T::crashes},
                                           Field{"kills", &T::kills},
                                           Field{"spared", &T::spared},
                                           Field{"slots", &T::slots},
                                           Field{"slots_held", &T::slots_held}};
};

template <>
struct Fields<FlushState> {
  using T = FlushState;
  static constexpr auto kList =
      std::tuple{Field{"command", &T::command}, Field{"stopping", &T::stopping},
                 Field{"spared", &T::spared}, Field{"unloaded", &T::unloaded}};
};

template <>
struct Fields<ReleaseWatch> {
  using T = ReleaseWatch;
  static constexpr auto kList =
      std::tuple{Field{"generation", &T::generation}, Field{"model", &T::model},
                 Field{"since", &T::since}, Field{"killed", &T::killed}};
};

template <>
struct Fields<PoolPressure> {
  using T = PoolPressure;
  static constexpr auto kList =
      std::tuple{Field{"level", &T::level}, Field{"since", &T::since},
                 Field{"exceeded_at", &T::exceeded_at}, Field{"relieved_at", &T::relieved_at}};
};

template <>
struct Fields<GovernorState> {
  using T = GovernorState;
  static constexpr auto kList = std::tuple{Field{"policy", &T::policy},
                                           Field{"now", &T::now},
                                           Field{"ledger", &T::ledger},
                                           Field{"models", &T::models},
                                           Field{"requests", &T::requests},
                                           Field{"flushes", &T::flushes},
                                           Field{"releases", &T::releases},
                                           Field{"pressure", &T::pressure},
                                           Field{"stall", &T::stall},
                                           Field{"next_generation", &T::next_generation},
                                           Field{"deadline", &T::deadline},
                                           Field{"somebody_wants", &T::somebody_wants},
                                           Field{"shutting_down", &T::shutting_down},
                                           Field{"drained", &T::drained},
                                           Field{"shutdown_deadline", &T::shutdown_deadline}};
};

}  // namespace tonnage::journal
