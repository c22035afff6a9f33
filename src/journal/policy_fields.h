// Fields<T> of the policy: the rules that a journal's state begins with and that a reload changes.
#pragma once

#include <tuple>

#include "core/policy.h"
#include "journal/fields.h"

namespace tonnage::journal {

template <>
struct Fields<Reserve> {
  using T = Reserve;
  static constexpr auto kList =
      std::tuple{Field{"permille", &T::permille}, Field{"size", &T::size}};
};

template <>
struct Fields<PoolPolicy> {
  using T = PoolPolicy;
  static constexpr auto kList = std::tuple{
      Field{"name", &T::name}, Field{"reserve", &T::reserve}, Field{"max", &T::max_permille},
      Field{"limit", &T::limit}, Field{"deficit_tolerance", &T::deficit_tolerance}};
};

template <>
struct Fields<ModelPolicy> {
  using T = ModelPolicy;
  static constexpr auto kList = std::tuple{Field{"id", &T::id},
                                           Field{"type", &T::type},
                                           Field{"priority", &T::priority},
                                           Field{"pinned", &T::pinned},
                                           Field{"removed", &T::removed},
                                           Field{"heavy", &T::heavy},
                                           Field{"host_only", &T::host_only},
                                           Field{"ttl", &T::ttl},
                                           Field{"in_flight_max", &T::in_flight_max}};
};

template <>
struct Fields<QueuePolicy> {
  using T = QueuePolicy;
  static constexpr auto kList =
      std::tuple{Field{"waiting_max", &T::waiting_max},
                 Field{"waiting_per_model_max", &T::waiting_per_model_max},
                 Field{"queue_timeout", &T::queue_timeout},
                 Field{"yield_after", &T::yield_after},
                 Field{"degrade_after", &T::degrade_after},
                 Field{"replays_max", &T::replays_max},
                 Field{"lost_hold", &T::lost_hold}};
};

template <>
struct Fields<ResidencyPolicy> {
  using T = ResidencyPolicy;
  static constexpr auto kList = std::tuple{Field{"grace", &T::grace},
                                           Field{"grace_on_demand", &T::grace_on_demand},
                                           Field{"min_residency_min", &T::min_residency_min},
                                           Field{"min_residency_max", &T::min_residency_max},
                                           Field{"heavy_slot", &T::heavy_slot},
                                           Field{"single_model", &T::single_model},
                                           Field{"eviction", &T::eviction}};
};

template <>
struct Fields<LoadPolicy> {
  using T = LoadPolicy;
  static constexpr auto kList =
      std::tuple{Field{"stall_after", &T::stall_after},
                 Field{"timeout", &T::timeout},
                 Field{"retry_backoff_min", &T::retry_backoff_min},
                 Field{"retry_backoff_max", &T::retry_backoff_max},
                 Field{"attempts_max", &T::attempts_max},
                 Field{"bandwidth_prior", &T::bandwidth_prior_mib_per_s},
                 Field{"profile_reservation", &T::profile_reservation},
                 Field{"profile_device_reservation", &T::profile_device_reservation},
                 Field{"profile_stall_after", &T::profile_stall_after},
                 Field{"profiles_max", &T::profiles_max},
                 Field{"profile_ahead", &T::profile_ahead},
                 Field{"stop_timeout", &T::stop_timeout},
                 Field{"drain_timeout", &T::drain_timeout}};
};

template <>
struct Fields<MarginPolicy> {
  using T = MarginPolicy;
  static constexpr auto kList =
      std::tuple{Field{"analytic", &T::analytic_permille}, Field{"dry_run", &T::dry_run_permille},
                 Field{"learned", &T::learned_permille}};
};

template <>
struct Fields<RecoveryPolicy> {
  using T = RecoveryPolicy;
  static constexpr auto kList = std::tuple{Field{"device_failures_max", &T::device_failures_max},
                                           Field{"failure_window", &T::failure_window},
                                           Field{"cooldown", &T::cooldown},
                                           Field{"retry_extra", &T::retry_extra_permille},
                                           Field{"release_timeout", &T::release_timeout},
                                           Field{"release_permille", &T::release_permille},
                                           Field{"release_min", &T::release_min},
                                           Field{"kills_max", &T::kills_max}};
};

template <>
struct Fields<PressureStep> {
  using T = PressureStep;
  static constexpr auto kList = std::tuple{Field{"kind", &T::kind}, Field{"after", &T::after},
                                           Field{"permille", &T::permille}};
};

template <>
struct Fields<PressureLevel> {
  using T = PressureLevel;
  static constexpr auto kList = std::tuple{Field{"name", &T::name},
                                           Field{"basis", &T::basis},
                                           Field{"above", &T::above_permille},
                                           Field{"below", &T::below_permille},
                                           Field{"dwell", &T::dwell},
                                           Field{"stall_some", &T::stall_some_permille},
                                           Field{"stall_full", &T::stall_full_permille},
                                           Field{"host", &T::host},
                                           Field{"devices", &T::devices},
                                           Field{"steps", &T::steps}};
};

template <>
struct Fields<PressurePolicy> {
  using T = PressurePolicy;
  static constexpr auto kList = std::tuple{Field{"preset", &T::preset}, Field{"levels", &T::levels},
                                           Field{"restore_below", &T::restore_below_permille},
                                           Field{"fallback", &T::fallback}};
};

template <>
struct Fields<Policy> {
  using T = Policy;
  static constexpr auto kList = std::tuple{Field{"pools", &T::pools},
                                           Field{"models", &T::models},
                                           Field{"queue", &T::queue},
                                           Field{"residency", &T::residency},
                                           Field{"load", &T::load},
                                           Field{"margin", &T::margin},
                                           Field{"recovery", &T::recovery},
                                           Field{"pressure", &T::pressure},
                                           Field{"unified_devices", &T::unified_devices}};
};

}  // namespace tonnage::journal
