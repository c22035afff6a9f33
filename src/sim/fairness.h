// Fairness: how long whom each policy lets wait, over generated workloads without faults.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/tick.h"
#include "sim/knobs.h"

namespace tonnage::sim {

enum class Discipline : std::uint8_t { fifo, lru, value };
inline constexpr std::size_t kDisciplines = 3;

std::string_view to_text(Discipline discipline);

// Waits from arrival to admission.
class Waits {
 public:
  void add(Duration wait) { waits_.push_back(wait); }
  std::size_t count() const { return waits_.size(); }
  Duration mean() const;
  // The wait that so many of a thousand do not exceed; zero where nobody waited.
  Duration permille(std::int64_t permille) const;

 private:
  std::vector<Duration> waits_;
};

struct Fairness {
  Pattern pattern = Pattern::zipf;
  Discipline discipline = Discipline::fifo;
  Waits all;
  std::map<std::string, Waits> by_model;
  std::map<std::string, Waits> by_client;  // "greedy" and "others"
  std::uint64_t refused = 0;
  std::uint64_t switches = 0;  // servers started
  Duration took{};

  std::int64_t switches_per_hour() const;
  // The largest mean wait of a model, in permille of the mean over all requests.
  std::int64_t worst_model_permille() const;
};

// One workload under one discipline, over the seeds 1 to `seeds`.
Fairness measure_fairness(Pattern pattern, Discipline discipline, std::uint64_t seeds);

// Every workload under every discipline, as a JSON object of integers.
std::string fairness_json(std::uint64_t seeds);

}  // namespace tonnage::sim
