#include "core/request_queue.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

constexpr Duration kPromote = 30s;

RequestId r(std::uint64_t id) {
  return RequestId(id);
}

TEST(RequestQueue, EarlierArrivalsComeFirst) {
  RequestQueue queue;
  queue.push(r(2), Tick{1s}, Priority::normal, false);
  queue.push(r(1), Tick{0s}, Priority::normal, false);
  EXPECT_EQ(queue.front(Tick{1s}, kPromote), r(1));
  EXPECT_TRUE(queue.erase(r(1)));
  EXPECT_FALSE(queue.erase(r(1)));
  EXPECT_EQ(queue.front(Tick{1s}, kPromote), r(2));
  EXPECT_TRUE(queue.erase(r(2)));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.front(Tick{1s}, kPromote), std::nullopt);
  EXPECT_EQ(queue.front_rank(Tick{1s}, kPromote), -1);
}

TEST(RequestQueue, PriorityGoesBeforeArrival) {
  RequestQueue queue;
  queue.push(r(1), Tick{0s}, Priority::low, false);
  queue.push(r(2), Tick{1s}, Priority::normal, false);
  queue.push(r(3), Tick{2s}, Priority::high, false);
  EXPECT_EQ(queue.front(Tick{3s}, kPromote), r(3));
  EXPECT_EQ(queue.front_rank(Tick{3s}, kPromote), static_cast<int>(Priority::high));
}

TEST(RequestQueue, WaitingPromotesOnePriorityAtATime) {
  RequestQueue queue;
  queue.push(r(1), Tick{0s}, Priority::low, false);
  queue.push(r(2), Tick{29s}, Priority::normal, false);
  EXPECT_EQ(queue.front(Tick{29s}, kPromote), r(2));
  EXPECT_EQ(queue.front(Tick{30s}, kPromote), r(1)) << "equal now, and it came first";
  queue.push(r(3), Tick{45s}, Priority::high, false);
  EXPECT_EQ(queue.front(Tick{58s}, kPromote), r(3));
  EXPECT_EQ(queue.front(Tick{60s}, kPromote), r(1));
  EXPECT_EQ(queue.front_rank(Tick{90s}, kPromote), 3) << "and no priority outranks it for ever";
}

TEST(RequestQueue, WithoutPromotionPriorityIsAll) {
  RequestQueue queue;
  queue.push(r(1), Tick{0s}, Priority::low, false);
  queue.push(r(2), Tick{1h}, Priority::normal, false);
  EXPECT_EQ(queue.front(Tick{2h}, 0s), r(2));
}

TEST(RequestQueue, SuspectsComeFirst) {
  RequestQueue queue;
  queue.push(r(1), Tick{0s}, Priority::high, false);
  queue.push(r(5), Tick{1s}, Priority::low, true);
  EXPECT_TRUE(queue.has_suspects());
  EXPECT_EQ(queue.front(Tick{2s}, kPromote), r(5));
  EXPECT_GT(queue.front_rank(Tick{2s}, kPromote), static_cast<int>(Priority::high));
  EXPECT_EQ(queue.place(r(1)), 1U);
}

TEST(RequestQueue, TheOldestIsFoundWhateverItsPriority) {
  RequestQueue queue;
  EXPECT_EQ(queue.oldest(), std::nullopt);
  queue.push(r(3), Tick{2s}, Priority::high, false);
  queue.push(r(2), Tick{1s}, Priority::low, false);
  queue.push(r(4), Tick{3s}, Priority::normal, true);
  EXPECT_EQ(queue.oldest()->request, r(2));
  EXPECT_EQ(queue.oldest()->since, Tick{1s});
}

TEST(RequestQueue, PlacesFollowTheOrderOfService) {
  RequestQueue queue;
  queue.push(r(1), Tick{0s}, Priority::normal, false);
  queue.push(r(2), Tick{1s}, Priority::normal, false);
  queue.push(r(3), Tick{2s}, Priority::high, false);
  EXPECT_EQ(queue.place(r(3)), 0U);
  EXPECT_EQ(queue.place(r(1)), 1U);
  EXPECT_EQ(queue.place(r(2)), 2U);
  EXPECT_EQ(queue.place(r(9)), std::nullopt);
}

// A list that is searched from end to end.
struct Entry {
  RequestId request;
  Tick since;
  int priority;
  bool suspect;
};

bool goes_before(const Entry& a, const Entry& b, Tick now) {
  if (a.suspect != b.suspect)
    return a.suspect;
  if (a.suspect)
    return a.request < b.request;
  const auto rank = [&](const Entry& e) { return e.priority + (now - e.since) / kPromote; };
  return rank(a) != rank(b) ? rank(a) > rank(b) : a.request < b.request;
}

RC_GTEST_PROP(RequestQueueProperty, ServesInTheOrderOfASearchedList, ()) {
  RequestQueue queue;
  std::vector<Entry> twin;
  Tick now{0s};
  const auto count = *rc::gen::inRange<std::uint64_t>(1, 20);
  for (std::uint64_t id = 1; id <= count; ++id) {
    now += std::chrono::seconds(*rc::gen::inRange(0, 25));
    const Entry entry{r(id), now, *rc::gen::inRange(0, 3), *rc::gen::inRange(0, 5) == 0};
    queue.push(entry.request, entry.since, static_cast<Priority>(entry.priority), entry.suspect);
    twin.push_back(entry);
  }
  while (!twin.empty()) {
    now += std::chrono::seconds(*rc::gen::inRange(0, 25));
    RC_ASSERT(queue.size() == twin.size());
    const auto first = std::ranges::min_element(
        twin, [&](const Entry& a, const Entry& b) { return goes_before(a, b, now); });
    RC_ASSERT(queue.front(now, kPromote) == first->request);
    const auto oldest = std::ranges::min_element(twin, {}, &Entry::request);
    RC_ASSERT(queue.oldest()->request == oldest->request);
    std::size_t visited = 0;
    queue.for_each([&](const RequestQueue::Waiting&) { ++visited; });
    RC_ASSERT(visited == twin.size());
    RC_ASSERT(queue.erase(first->request));
    twin.erase(first);
  }
  RC_ASSERT(queue.empty());
}

}  // namespace
}  // namespace tonnage
