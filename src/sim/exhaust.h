// Exhaustive checking: every order of events up to a depth, on two models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tonnage::sim {

struct Exhausted {
  std::uint64_t orders = 0;  // lists of events of full depth
  std::uint64_t steps = 0;
  std::string finding;  // of the first order that broke something; empty: none did
  std::string scenario;
};

// From each of a few beginnings, and on a machine that holds either model or both, tells every list
// of `depth` events that adapters, clients and an operator could bring, with the referee watching;
// then lets a polite world end what is open, and expects everything to be answered.
Exhausted exhaust(int depth);

}  // namespace tonnage::sim
