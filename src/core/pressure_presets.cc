#include "core/pressure_policy.h"

namespace tonnage {
namespace {

using enum PressureStepKind;

PressureStep step(PressureStepKind kind, Duration after = Duration{0}) {
  return {kind, after, 0};
}

// Our own models within the budget are no pressure, however full the pool is. Others that grow into
// the reserve are, and so is a kernel that makes tasks wait for memory.
PressurePolicy demand() {
  PressureLevel pressed;
  pressed.name = "high";
  pressed.basis = PressureBasis::overrun;
  pressed.above_permille = 250;
  pressed.below_permille = 0;
  pressed.dwell = 10s;
  pressed.stall_some_permille = 300;
  pressed.stall_full_permille = 100;
  pressed.steps = {step(notify), step(trim), step(relieve)};
  return {.preset = "demand", .levels = {pressed}};
}

PressureLevel on_use(std::string name, std::int64_t above, std::int64_t below,
                     std::vector<PressureStep> steps) {
  PressureLevel level;
  level.name = std::move(name);
  level.above_permille = above;
  level.below_permille = below;
  level.dwell = 15s;
  level.steps = std::move(steps);
  return level;
}

PressurePolicy balanced() {
  return {.preset = "balanced",
          .levels = {on_use("moderate", 600, 570, {step(park_idle, 120s)}),
                     on_use("high", 800, 770, {step(notify), step(park_idle, 30s)}),
                     on_use("critical", 900, 870, {step(notify), step(unload_idle)})}};
}

PressurePolicy guard() {
  return {
      .preset = "guard",
      .levels = {on_use("warning", 800, 770, {step(notify), step(trim)}),
                 on_use("critical", 900, 870, {step(notify), step(trim_hard), step(reset_peaks)}),
                 on_use("emergency", 950, 900,
                        {step(notify), step(park_idle), step(park_busy, 30s)})},
      .restore_below_permille = 600};
}

PressureStep less(std::int64_t permille) {
  return {derate, Duration{0}, permille};
}

PressurePolicy unified() {
  return {.preset = "unified",
          .levels = {on_use("elevated", 750, 720, {less(50)}),
                     on_use("high", 850, 820, {step(notify), less(100)}),
                     on_use("very_high", 900, 870, {step(notify), step(trim), less(200)}),
                     on_use("critical", 950, 920, {step(notify), step(prefer_small), less(200)}),
                     on_use("emergency", 990, 960,
                            {step(notify), step(fallback), step(unload_idle), less(200)})}};
}

}  // namespace

std::string_view to_text(PressureBasis basis) {
  switch (basis) {
    case PressureBasis::use:
      return "use";
    case PressureBasis::overrun:
      return "overrun";
  }
  return "use";
}

std::string_view to_text(PressureStepKind kind) {
  switch (kind) {
    case notify:
      return "notify";
    case trim:
      return "trim";
    case trim_hard:
      return "trim_hard";
    case reset_peaks:
      return "reset_peaks";
    case park_idle:
      return "park_idle";
    case unload_idle:
      return "unload_idle";
    case relieve:
      return "relieve";
    case park_busy:
      return "park_busy";
    case stop_admission:
      return "stop_admission";
    case derate:
      return "derate";
    case prefer_small:
      return "prefer_small";
    case PressureStepKind::fallback:
      return "fallback";
  }
  return "notify";
}

std::optional<PressurePolicy> pressure_preset(std::string_view name) {
  if (name == "demand")
    return demand();
  if (name == "balanced")
    return balanced();
  if (name == "guard")
    return guard();
  if (name == "unified")
    return unified();
  return std::nullopt;
}

}  // namespace tonnage
