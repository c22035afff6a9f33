#include "core/residency.h"

namespace tonnage {

std::string_view to_text(ResidencyState state) {
  switch (state) {
    case ResidencyState::absent:
      return "absent";
    case ResidencyState::profiling:
      return "profiling";
    case ResidencyState::loading:
      return "loading";
    case ResidencyState::ready:
      return "ready";
    case ResidencyState::draining:
      return "draining";
    case ResidencyState::stopping:
      return "stopping";
    case ResidencyState::failed:
      return "failed";
  }
  return "absent";
}

std::string_view to_text(Tier tier) {
  switch (tier) {
    case Tier::disk:
      return "disk";
    case Tier::host:
      return "host";
    case Tier::gpu:
      return "gpu";
  }
  return "disk";
}

std::string_view to_text(DrainCause cause) {
  switch (cause) {
    case DrainCause::none:
      return "none";
    case DrainCause::yielding:
      return "yielding";
    case DrainCause::unloading:
      return "unloading";
    case DrainCause::holding:
      return "holding";
    case DrainCause::replacing:
      return "replacing";
    case DrainCause::removing:
      return "removing";
    case DrainCause::pressing:
      return "pressing";
  }
  return "none";
}

bool is_legal(ResidencyState from, ResidencyState to) {
  using enum ResidencyState;
  switch (from) {
    case absent:
      return to == profiling || to == loading;
    case profiling:
      return to == absent || to == failed;
    case loading:
      return to == ready || to == stopping || to == absent || to == failed;
    case ready:
      return to == draining || to == stopping || to == absent || to == failed;
    case draining:
      return to == ready || to == stopping || to == absent || to == failed;
    case stopping:
      return to == absent || to == failed;
    case failed:
      return to == absent;
  }
  return false;
}

}  // namespace tonnage
