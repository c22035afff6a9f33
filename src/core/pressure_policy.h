// PressurePolicy: levels of memory pressure and what each asks for, as data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/tick.h"
#include "core/types.h"

namespace tonnage {

// What a watermark is compared with, in permille.
enum class PressureBasis : std::uint8_t {
  use,      // everything that is in use, ours and foreign, of the pool's capacity
  overrun,  // how much of the reserve is gone: reservations and foreign use beyond what may be in
            // use, of what is meant to stay free. Our own loads never get above zero.
};

enum class PressureStepKind : std::uint8_t {
  notify,       // log, event stream, webhook
  trim,         // give back what costs nothing: allocator caches, page cache of cold files
  trim_hard,    // the same, and caches that cost something to fill again
  reset_peaks,  // measured peaks start anew
  park_idle,    // idle for at least `after`: to the host, or unloaded where it cannot be parked
  unload_idle,  // idle for at least `after`: unloaded
  relieve,      // as many idle models as make the pool fall below the level, least valuable first
  park_busy,    // at the level for `after`: busy models stop admitting, drain and go
  stop_admission,  // no load begins and no waiting request is admitted to the pool's models
  derate,          // a new model may count on `permille` of the pool's capacity less
  prefer_small,    // `resident` means the smallest ready model
  fallback,        // `resident` means the fallback model
};

// One thing that a level asks for. What does not apply stays zero.
struct PressureStep {
  PressureStepKind kind = PressureStepKind::notify;
  Duration after{};
  std::int64_t permille = 0;

  friend bool operator==(const PressureStep&, const PressureStep&) = default;
};

// Entered as soon as `above` is exceeded or the kernel stalls; left when the value is not above
// `below`, the kernel does not stall, and `dwell` has passed since it was entered and last
// exceeded.
struct PressureLevel {
  std::string name;
  PressureBasis basis = PressureBasis::use;
  std::int64_t above_permille = 1000;
  std::int64_t below_permille = 1000;
  Duration dwell = 5s;
  // Share of time that some, or all, tasks waited for memory (PSI). Host pool only.
  std::optional<std::int64_t> stall_some_permille;
  std::optional<std::int64_t> stall_full_permille;
  bool host = true;     // applies to the host pool
  bool devices = true;  // applies to device pools
  std::vector<PressureStep> steps;

  friend bool operator==(const PressureLevel&, const PressureLevel&) = default;
};

struct PressurePolicy {
  std::string preset = "none";        // the name of a preset, "custom", or "none"
  std::vector<PressureLevel> levels;  // least to most severe; empty: pressure is not watched
  // Models that pressure took away come back one at a time while use is below this.
  std::optional<std::int64_t> restore_below_permille;
  std::optional<ModelId> fallback;  // see PressureStepKind::fallback

  friend bool operator==(const PressurePolicy&, const PressurePolicy&) = default;
};

std::string_view to_text(PressureBasis basis);
std::string_view to_text(PressureStepKind kind);

// The presets by name: "demand", "balanced", "guard", "unified"; empty for any other.
std::optional<PressurePolicy> pressure_preset(std::string_view name);

}  // namespace tonnage
