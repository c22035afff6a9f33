// DecisionLog: the latest decisions in memory, for `why`, events and evictions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "core/decision.h"

namespace tonnage::api {

struct LoggedDecision {
  std::uint64_t seq = 0;  // from 1, without gaps, in order of decision
  Decision decision;
};

struct DecisionFilter {
  std::optional<ModelId> model;     // about it, for its sake, or with it among the victims
  std::vector<DecisionKind> kinds;  // empty: all
  std::uint64_t after_seq = 0;      // only newer ones
  std::size_t limit = 100;          // the newest that match
};

// Bounded; the oldest go first. A failure's text is cut to kTextBytesMax. One thread.
class DecisionLog {
 public:
  static constexpr std::size_t kCapacityDefault = 2048;  // about 1 MB
  static constexpr std::size_t kTextBytesMax = 2048;

  explicit DecisionLog(std::size_t capacity = kCapacityDefault);

  // The entry is valid until the next append.
  const LoggedDecision& append(Decision decision);

  // Oldest first. Pointers are valid until the next append.
  std::vector<const LoggedDecision*> query(const DecisionFilter& filter) const;

  static bool matches(const DecisionFilter& filter, const LoggedDecision& entry);

  std::uint64_t last_seq() const { return last_seq_; }
  // The oldest that is still here; last_seq() + 1 when empty. A reader that asks for older ones
  // has missed some.
  std::uint64_t first_seq() const;

 private:
  std::size_t capacity_;
  std::uint64_t last_seq_ = 0;
  std::deque<LoggedDecision> entries_;
};

}  // namespace tonnage::api
