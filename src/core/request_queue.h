// RequestQueue: one model's waiting requests, in the order in which they are served.
#pragma once

#include <array>
#include <optional>
#include <set>

#include "core/types.h"

namespace tonnage {

// Suspects of a crash come first, one by one; then higher priority; then earlier arrival. A
// request that has waited for `promote_after` counts as one priority higher, and again after each
// further such time, so that low priority waits long but never for ever.
class RequestQueue {
 public:
  struct Waiting {
    RequestId request;
    Tick since;

    friend auto operator<=>(const Waiting& a, const Waiting& b) { return a.request <=> b.request; }
    friend bool operator==(const Waiting& a, const Waiting& b) { return a.request == b.request; }
  };

  void push(RequestId request, Tick since, Priority priority, bool suspect);
  bool erase(RequestId request);

  bool empty() const { return size() == 0; }
  std::size_t size() const;
  bool has_suspects() const { return !suspects_.empty(); }

  std::optional<RequestId> front(Tick now, Duration promote_after) const;

  // Earliest arrival over all of them, whatever their priority.
  std::optional<Waiting> oldest() const;

  // The priority that the front counts as, promotion included.
  int front_rank(Tick now, Duration promote_after) const;

  // Requests served before this one; empty when it is not here.
  std::optional<std::size_t> place(RequestId request) const;

  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Waiting& waiting : suspects_)
      visit(waiting);
    for (std::size_t i = by_priority_.size(); i-- > 0;) {
      for (const Waiting& waiting : by_priority_[i])
        visit(waiting);
    }
  }

 private:
  std::set<Waiting> suspects_;
  std::array<std::set<Waiting>, 3> by_priority_;  // index is Priority
};

}  // namespace tonnage
