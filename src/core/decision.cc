#include "core/decision.h"

#include "core/actions.h"

namespace tonnage {

std::string_view to_text(DecisionKind kind) {
  switch (kind) {
    case DecisionKind::load:
      return "load";
    case DecisionKind::ready:
      return "ready";
    case DecisionKind::evict:
      return "evict";
    case DecisionKind::unload:
      return "unload";
    case DecisionKind::wait:
      return "wait";
    case DecisionKind::yield:
      return "yield";
    case DecisionKind::degrade:
      return "degrade";
    case DecisionKind::upgrade:
      return "upgrade";
    case DecisionKind::refuse:
      return "refuse";
    case DecisionKind::replay:
      return "replay";
    case DecisionKind::fail:
      return "fail";
    case DecisionKind::stall:
      return "stall";
    case DecisionKind::pin:
      return "pin";
    case DecisionKind::level:
      return "level";
    case DecisionKind::recover:
      return "recover";
    case DecisionKind::leak:
      return "leak";
  }
  return "load";
}

std::string_view to_text(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::demand:
      return "demand";
    case ReasonCode::operator_asked:
      return "operator_asked";
    case ReasonCode::fits_headroom:
      return "fits_headroom";
    case ReasonCode::made_room:
      return "made_room";
    case ReasonCode::room_for_other:
      return "room_for_other";
    case ReasonCode::single_model:
      return "single_model";
    case ReasonCode::heavy_slot:
      return "heavy_slot";
    case ReasonCode::idle_ttl:
      return "idle_ttl";
    case ReasonCode::busy_models:
      return "busy_models";
    case ReasonCode::load_in_progress:
      return "load_in_progress";
    case ReasonCode::waited_too_long:
      return "waited_too_long";
    case ReasonCode::expected_wait:
      return "expected_wait";
    case ReasonCode::good_enough:
      return "good_enough";
    case ReasonCode::never_fits_better:
      return "never_fits_better";
    case ReasonCode::memory_returned:
      return "memory_returned";
    case ReasonCode::never_fits:
      return "never_fits";
    case ReasonCode::queue_full:
      return "queue_full";
    case ReasonCode::queue_timeout:
      return "queue_timeout";
    case ReasonCode::model_failed:
      return "model_failed";
    case ReasonCode::load_failed:
      return "load_failed";
    case ReasonCode::crash_suspect:
      return "crash_suspect";
    case ReasonCode::server_lost:
      return "server_lost";
    case ReasonCode::no_resident:
      return "no_resident";
    case ReasonCode::context_too_small:
      return "context_too_small";
    case ReasonCode::shutting_down:
      return "shutting_down";
    case ReasonCode::unloaded_by_operator:
      return "unloaded_by_operator";
    case ReasonCode::server_failed:
      return "server_failed";
    case ReasonCode::profile_failed:
      return "profile_failed";
    case ReasonCode::stopped_hung:
      return "stopped_hung";
    case ReasonCode::pinned_models:
      return "pinned_models";
    case ReasonCode::load_timeout:
      return "load_timeout";
    case ReasonCode::room_for_profile:
      return "room_for_profile";
    case ReasonCode::foreign_use:
      return "foreign_use";
    case ReasonCode::config_changed:
      return "config_changed";
    case ReasonCode::model_removed:
      return "model_removed";
    case ReasonCode::budget_shrunk:
      return "budget_shrunk";
    case ReasonCode::pressure:
      return "pressure";
    case ReasonCode::pressure_over:
      return "pressure_over";
    case ReasonCode::foreign_growth:
      return "foreign_growth";
    case ReasonCode::more_room:
      return "more_room";
    case ReasonCode::lesser_placement:
      return "lesser_placement";
    case ReasonCode::device_failures:
      return "device_failures";
    case ReasonCode::cooled_down:
      return "cooled_down";
    case ReasonCode::cleared:
      return "cleared";
    case ReasonCode::device_lost:
      return "device_lost";
    case ReasonCode::not_returned:
      return "not_returned";
    case ReasonCode::stopped_short:
      return "stopped_short";
    case ReasonCode::killed_from_outside:
      return "killed_from_outside";
    case ReasonCode::above_budget:
      return "above_budget";
    case ReasonCode::more_context:
      return "more_context";
    case ReasonCode::nobody_waits:
      return "nobody_waits";
  }
  return "demand";
}

std::string_view to_text(RefusalStatus status) {
  switch (status) {
    case RefusalStatus::too_large:
      return "too_large";
    case RefusalStatus::unavailable:
      return "unavailable";
    case RefusalStatus::bad_gateway:
      return "bad_gateway";
    case RefusalStatus::not_found:
      return "not_found";
  }
  return "unavailable";
}

}  // namespace tonnage
