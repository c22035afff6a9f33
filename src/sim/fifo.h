// Fifo: what a daemon without a policy does, as a baseline for figures about fairness.
#pragma once

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "core/actions.h"
#include "core/events.h"
#include "core/policy.h"

namespace tonnage::sim {

// Strictly first come, first served: the head of one queue decides what is loaded, everybody behind
// it waits, and the model that was loaded first makes room. No product feature; it knows neither
// failures nor operators, and is meant for worlds without them.
class Fifo {
 public:
  explicit Fifo(const Policy& policy);

  void step(Tick now, const Event& event, Actions& actions);
  static std::optional<Tick> next_deadline() { return std::nullopt; }

 private:
  enum class State : std::uint8_t { absent, profiling, loading, ready, stopping };
  struct Model {
    State state = State::absent;
    std::optional<PlacementRow> row;
    Generation generation;
    std::int32_t leases = 0;
  };

  void take(const Event& event);
  void serve(Actions& actions);
  void load(ModelId model, Actions& actions);
  Bytes held() const;
  bool is_moving() const;
  Model* by_generation(Generation generation);

  const Policy& policy_;
  Bytes budget_;
  std::vector<Model> models_;
  std::deque<std::pair<RequestId, ModelId>> queue_;
  std::uint64_t next_generation_ = 1;
};

}  // namespace tonnage::sim
