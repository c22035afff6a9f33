// One simulated run of one seed: the world, the governor, the referee, and what came of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/tick.h"
#include "sim/coverage.h"
#include "sim/knobs.h"

namespace tonnage::sim {

struct RunReport {
  std::uint64_t seed = 0;
  std::uint64_t events = 0;  // of one run
  std::uint64_t steps = 0;   // of all runs of this seed
  std::uint64_t digest = 0;
  std::vector<std::string> findings;    // empty: passed
  std::vector<std::string> last_lines;  // what happened before the first finding
  Coverage coverage;
};

// How long after the last arrival and the last fault everything must be answered, by the rules
// that the policy gives: nobody waits longer than the queue time-out, and no attempt to serve
// takes longer than the sum of what may be waited for one after the other.
Duration liveness_bound(const Knobs& knobs);

// Runs a seed twice and compares the digests; the referee watches the first run. `trace`, when it
// is given, gets each line as it happens.
RunReport run_seed(std::uint64_t seed, const std::function<void(const std::string&)>& trace = {});

// What the seed decided, in a few lines for people.
std::string describe(const Knobs& knobs);

}  // namespace tonnage::sim
