// Workload: who asks for what, and when, in one simulated run.
#pragma once

#include <optional>
#include <vector>

#include "base/prng.h"
#include "base/tick.h"
#include "core/events.h"
#include "sim/knobs.h"

namespace tonnage::sim {

// One arrival, without its id: ids are given in the order in which requests arrive.
struct Arrival {
  Tick at;
  RequestArrived request;
  std::optional<std::uint32_t> client;  // whose next request waits for the end of this one
};

// Open arrivals are planned one after the other; closed clients ask when they were answered.
class Workload {
 public:
  Workload(const Knobs& knobs, Prng prng);

  // The next open arrival after the previous one; empty when there are no more.
  std::optional<Arrival> next_open();

  // What each closed client sends first.
  std::vector<Arrival> first_of_clients();

  // What a closed client sends after its last request ended at `now`; empty when it has finished.
  std::optional<Arrival> next_of_client(std::uint32_t client, Tick now);

  std::int32_t left() const { return left_; }

 private:
  ModelId zipf_model();
  RequestArrived draw_request(ModelId model);
  ModelId choose_model();

  const Knobs& knobs_;
  Prng prng_;
  Tick at_{};
  std::int32_t left_;  // open arrivals still to come
  std::int32_t closed_left_ = 0;
  std::int32_t wave_left_ = 0;
  std::int32_t burst_left_ = 0;
  ModelId burst_model_;
  std::uint32_t turn_ = 0;
};

}  // namespace tonnage::sim
