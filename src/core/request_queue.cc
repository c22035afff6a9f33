#include "core/request_queue.h"

#include <iterator>

namespace tonnage {
namespace {

// A rank above every priority, for suspects: they hold up everything behind them.
constexpr int kSuspectRank = 1'000'000;

int rank_of(std::size_t priority, Duration waited, Duration promote_after) {
  const int promotions = promote_after.count() > 0 ? static_cast<int>(waited / promote_after) : 0;
  return static_cast<int>(priority) + promotions;
}

}  // namespace

void RequestQueue::push(RequestId request, Tick since, Priority priority, bool suspect) {
  if (suspect) {
    suspects_.insert({request, since});
  } else {
    by_priority_[static_cast<std::size_t>(priority)].insert({request, since});
  }
}

bool RequestQueue::erase(RequestId request) {
  const Waiting key{request, {}};
  if (suspects_.erase(key) > 0)
    return true;
  for (auto& queue : by_priority_) {
    if (queue.erase(key) > 0)
      return true;
  }
  return false;
}

std::size_t RequestQueue::size() const {
  std::size_t size = suspects_.size();
  for (const auto& queue : by_priority_)
    size += queue.size();
  return size;
}

std::optional<RequestId> RequestQueue::front(Tick now, Duration promote_after) const {
  if (!suspects_.empty())
    return suspects_.begin()->request;
  std::optional<RequestId> best;
  int best_rank = -1;
  for (std::size_t i = by_priority_.size(); i-- > 0;) {
    if (by_priority_[i].empty())
      continue;
    const Waiting& head = *by_priority_[i].begin();
    const int rank = rank_of(i, now - head.since, promote_after);
    if (rank > best_rank || (rank == best_rank && head.request < *best)) {
      best = head.request;
      best_rank = rank;
    }
  }
  return best;
}

std::optional<RequestQueue::Waiting> RequestQueue::oldest() const {
  std::optional<Waiting> oldest;
  const auto consider = [&](const std::set<Waiting>& queue) {
    if (!queue.empty() && (!oldest || *queue.begin() < *oldest))
      oldest = *queue.begin();
  };
  consider(suspects_);
  for (const auto& queue : by_priority_)
    consider(queue);
  return oldest;
}

int RequestQueue::front_rank(Tick now, Duration promote_after) const {
  if (!suspects_.empty())
    return kSuspectRank;
  int best = -1;
  for (std::size_t i = by_priority_.size(); i-- > 0;) {
    if (by_priority_[i].empty())
      continue;
    const int rank = rank_of(i, now - by_priority_[i].begin()->since, promote_after);
    if (rank > best)
      best = rank;
  }
  return best;
}

std::optional<std::size_t> RequestQueue::place(RequestId request) const {
  const Waiting key{request, {}};
  std::size_t before = 0;
  if (const auto found = suspects_.find(key); found != suspects_.end()) {
    return static_cast<std::size_t>(std::distance(suspects_.begin(), found));
  }
  before += suspects_.size();
  for (std::size_t i = by_priority_.size(); i-- > 0;) {
    const auto found = by_priority_[i].find(key);
    if (found != by_priority_[i].end()) {
      return before + static_cast<std::size_t>(std::distance(by_priority_[i].begin(), found));
    }
    before += by_priority_[i].size();
  }
  return std::nullopt;
}

}  // namespace tonnage
