// kept_note(): what would make a model's servers read less of prompts again, where they read much.
#pragma once

#include <cstdint>
#include <string>

#include "metrics/metrics.h"

namespace tonnage::api {

struct PromptUse {
  TokenTotals totals;
  std::int32_t slots = 1;
  // It cannot go back in a prompt by itself, and `checkpoints: 0` keeps it from having copies.
  bool checkpoints_off = false;
};

// A sentence or two with the numbers; empty while too little was measured, or enough was kept. What
// was read may be new as well, which no count tells: it says what would help conversations.
std::string kept_note(const PromptUse& use);

}  // namespace tonnage::api
