#include "engine/liveness.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/slots.h"

namespace tonnage {
namespace {

Duration between(Liveness::Time from, Liveness::Time to) {
  return std::chrono::duration_cast<Duration>(to - from);
}

// Whoever wants to know soon looks often.
LivenessLimits tightened(LivenessLimits limits) {
  limits.look_at_slots_every = std::min(limits.look_at_slots_every, limits.still_max / 4);
  limits.window = std::min(limits.window, limits.still_max / 4);
  return limits;
}

}  // namespace

Liveness::Liveness(LivenessLimits limits, Time started)
    : limits_(tightened(limits)),
      moved_at_(started),
      told_at_(started),
      watched_at_(started),
      sampled_at_(started) {}

void Liveness::alive(Time now) {
  moved_at_ = now;
}

void Liveness::heard(Time now) {
  alive(now);
}

void Liveness::ready(Time now) {
  ready_ = true;
  alive(now);
  told_at_ = now;
  sampled_at_ = now;
  sampled_.reset();
  slots_asked_at_ = now;
}

std::optional<std::string> Liveness::watch(Time now,
                                           const std::optional<ProcessActivity>& activity) {
  if (between(std::exchange(watched_at_, now), now) > limits_.unwatched_max) {
    alive(now);
    told_at_ = now;
  }
  if (activity && !sampled_) {
    sampled_ = activity;
    sampled_at_ = now;
  } else if (activity) {
    const Duration elapsed = between(sampled_at_, now);
    if (ready_ ? computed(*sampled_, *activity, std::max(elapsed, limits_.window))
               : load_progressed(*sampled_, *activity, elapsed))
      alive(now);
    if (!ready_ || elapsed >= limits_.window) {
      sampled_ = activity;
      sampled_at_ = now;
    }
  }
  const Duration still = between(moved_at_, now);
  if (!ready_) {
    if (still < limits_.load_still_max)
      return std::nullopt;
    return "not ready, and without progress for " + to_text(limits_.load_still_max) +
           ": it read nothing, took no memory, used no processor time and printed nothing";
  }
  if (still >= limits_.still_max) {
    return "its computation has stood still for " + to_text(limits_.still_max) +
           ": it used no processor time and told nothing of its slots";
  }
  if (between(told_at_, now) >= limits_.silent_max) {
    return "it used processor time for " + to_text(limits_.silent_max) +
           " without any progress in its slots";
  }
  return std::nullopt;
}

bool Liveness::wants_slots(Time now) const {
  return ready_ && !asking_ &&
         (!slots_asked_at_ || between(*slots_asked_at_, now) >= limits_.look_at_slots_every);
}

void Liveness::slots_asked(Time now) {
  slots_asked_at_ = now;
  asking_ = true;
}

void Liveness::slots_told(Time now, std::string_view json) {
  asking_ = false;
  const std::size_t seen = std::hash<std::string_view>{}(json);
  const auto busy = count_busy_slots(json);
  const bool moved = std::exchange(slots_seen_, seen) != seen;
  // An engine that tells something else answers at least.
  if (busy && *busy > 0 && !moved)
    return;
  alive(now);
  told_at_ = now;
}

void Liveness::slots_failed() {
  asking_ = false;
}

}  // namespace tonnage
