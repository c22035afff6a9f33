#include "sim/workload.h"

#include <algorithm>

namespace tonnage::sim {

Workload::Workload(const Knobs& knobs, Prng prng)
    : knobs_(knobs), prng_(prng), left_(knobs.workload.requests) {
  // The greedy client's requests are most of that run; the others knock now and then.
  if (knobs.workload.pattern == Pattern::greedy) {
    closed_left_ = left_ * 3 / 4;
    left_ -= closed_left_;
  }
  wave_left_ = std::max(1, left_ / knobs.workload.waves);
}

ModelId Workload::zipf_model() {
  // Weights 1/1, 1/2, 1/3, ... in integers.
  const auto count = static_cast<std::uint32_t>(knobs_.models.size());
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < count; ++i)
    total += 27720 / (i + 1);
  std::uint64_t draw = prng_.below(total);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint64_t weight = 27720 / (i + 1);
    if (draw < weight)
      return ModelId(i);
    draw -= weight;
  }
  return ModelId(count - 1);
}

ModelId Workload::choose_model() {
  const auto count = static_cast<std::uint32_t>(knobs_.models.size());
  switch (knobs_.workload.pattern) {
    case Pattern::alternate:
      return ModelId(turn_++ % std::min<std::uint32_t>(2, count));
    case Pattern::scan:
      return ModelId(turn_++ % count);
    case Pattern::greedy:
      return ModelId(static_cast<std::uint32_t>(prng_.below(count)));
    case Pattern::bursts:
      if (burst_left_ == 0) {
        burst_left_ = static_cast<std::int32_t>(prng_.between(2, 24));
        burst_model_ = ModelId(static_cast<std::uint32_t>(prng_.below(count)));
      }
      --burst_left_;
      return burst_model_;
    case Pattern::zipf:
      break;
  }
  return zipf_model();
}

RequestArrived Workload::draw_request(ModelId model) {
  const WorkloadKnobs& work = knobs_.workload;
  RequestArrived request;
  request.model = model;
  request.priority = knobs_.policy.models[model.value].priority;
  if (prng_.chance(static_cast<std::uint64_t>(work.priority_permille))) {
    request.priority = static_cast<Priority>(prng_.below(3));
  }
  if (prng_.chance(static_cast<std::uint64_t>(work.context_permille))) {
    // What some row gives, just below it, or more than any row gives.
    const auto& rows = knobs_.models[model.value].rows;
    const std::int32_t context = rows[prng_.below(rows.size())].placement.context;
    const std::uint64_t kind = prng_.below(8);
    request.context_needed = kind == 0  ? rows[0].placement.context + 1
                             : kind < 4 ? std::max(1, context / 2)
                                        : context;
  }
  if (prng_.chance(static_cast<std::uint64_t>(work.wish_permille))) {
    // An estimate: about what some row gives, or far beyond all of them.
    const auto& rows = knobs_.models[model.value].rows;
    const std::int64_t context = rows[prng_.below(rows.size())].placement.context;
    request.context_wished = static_cast<std::int32_t>(
        prng_.chance(100) ? context * 100 : context * prng_.between(300, 1100) / 1000);
  }
  if (prng_.chance(static_cast<std::uint64_t>(work.weighty_permille)))
    request.slots = static_cast<std::int32_t>(prng_.between(2, 9));
  request.counted = !prng_.chance(static_cast<std::uint64_t>(work.uncounted_permille));
  if (!request.counted)
    request.context_needed = request.context_wished = 0;
  if (prng_.chance(static_cast<std::uint64_t>(work.resident_permille))) {
    request.model.reset();
    request.context_needed = request.context_wished = 0;
  }
  return request;
}

std::optional<Arrival> Workload::next_open() {
  if (left_ == 0)
    return std::nullopt;
  --left_;
  const std::int64_t gap = knobs_.workload.gap.count();
  const bool in_burst = knobs_.workload.pattern == Pattern::bursts && burst_left_ > 0;
  // Requests of one burst come together; alternating pairs often do, too.
  if (!in_burst && !(knobs_.workload.pattern == Pattern::alternate && turn_ % 6 != 0)) {
    at_ += Duration(prng_.between(0, 2 * gap));
  }
  if (--wave_left_ <= 0) {
    wave_left_ = std::max(1, knobs_.workload.requests / knobs_.workload.waves);
    at_ += Duration(prng_.between(0, 200 * gap));
  }
  return Arrival{at_, draw_request(choose_model()), std::nullopt};
}

std::vector<Arrival> Workload::first_of_clients() {
  std::vector<Arrival> arrivals;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(knobs_.workload.clients); ++i) {
    if (auto arrival = next_of_client(i, Tick{}))
      arrivals.push_back(*arrival);
  }
  return arrivals;
}

std::optional<Arrival> Workload::next_of_client(std::uint32_t client, Tick now) {
  if (closed_left_ == 0)
    return std::nullopt;
  --closed_left_;
  const Duration think(prng_.between(0, knobs_.workload.gap.count() / 8));
  return Arrival{now + think, draw_request(ModelId(0)), client};
}

}  // namespace tonnage::sim
