// Agenda: what will happen in a simulated world, ordered by (tick, sequence).
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/tick.h"

namespace tonnage::sim {

// A heap with a total order: two entries of one tick leave in the order in which they were added,
// so the same seed gives the same run everywhere.
template <typename Item>
class Agenda {
 public:
  struct Entry {
    Tick at;
    std::uint64_t sequence = 0;
    Item item;
  };

  void add(Tick at, Item item) {
    entries_.push_back(Entry{at, next_sequence_++, std::move(item)});
    std::push_heap(entries_.begin(), entries_.end(), &later);
  }

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }

  // When the next entry is due. The agenda must not be empty.
  Tick next_at() const {
    TONNAGE_CHECK(!entries_.empty(), "an empty agenda has no next entry");
    return entries_.front().at;
  }

  Entry take() {
    TONNAGE_CHECK(!entries_.empty(), "an empty agenda has nothing to take");
    std::pop_heap(entries_.begin(), entries_.end(), &later);
    Entry entry = std::move(entries_.back());
    entries_.pop_back();
    return entry;
  }

 private:
  static bool later(const Entry& a, const Entry& b) {
    return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
  }

  std::vector<Entry> entries_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace tonnage::sim
