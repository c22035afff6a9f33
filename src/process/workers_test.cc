#include "process/workers.h"

#include <future>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

// Something that hangs until it is let go.
class Gate {
 public:
  void wait() { opened_.wait(); }
  void open() { open_.set_value(); }

 private:
  std::promise<void> open_;
  std::shared_future<void> opened_ = open_.get_future().share();
};

TEST(WorkersTest, ALaneDoesItsWorkInOrder) {
  Workers workers;
  Workers::Lane lane = workers.lane("letters");
  std::string done;
  for (const char letter : std::string("abcdef"))
    EXPECT_TRUE(lane.post([&done, letter] { done += letter; }));
  EXPECT_TRUE(workers.finish(10s));
  EXPECT_EQ(done, "abcdef");
}

TEST(WorkersTest, WhatHangsHoldsUpItsOwnLaneOnly) {
  Workers workers;
  Workers::Lane stuck = workers.lane("stuck", {.deadline = 0s});
  Workers::Lane other = workers.lane("other");
  Gate gate;
  std::promise<void> behind;
  EXPECT_TRUE(stuck.post([&gate] { gate.wait(); }));
  EXPECT_TRUE(stuck.post([&behind] { behind.set_value(); }));
  for (int i = 0; i < 100; ++i) {
    std::promise<void> done;
    EXPECT_TRUE(other.post([&done] { done.set_value(); }));
    done.get_future().wait();
  }
  EXPECT_EQ(behind.get_future().wait_for(0s), std::future_status::timeout);
  EXPECT_EQ(workers.hanging(), std::vector<std::string>{"stuck"});
  EXPECT_FALSE(workers.finish(1ms)) << "the end does not wait for what hangs";
  gate.open();
  EXPECT_TRUE(workers.finish(10s));
  EXPECT_TRUE(workers.hanging().empty());
}

TEST(WorkersTest, TheQueueOfALaneIsBounded) {
  Workers workers;
  Workers::Lane lane = workers.lane("narrow", {.queue_max = 2});
  Gate gate;
  std::promise<void> begun;
  EXPECT_TRUE(lane.post([&] {
    begun.set_value();
    gate.wait();
  }));
  begun.get_future().wait();
  int done = 0;
  EXPECT_TRUE(lane.post([&done] { ++done; }));
  EXPECT_TRUE(lane.post([&done] { ++done; }));
  EXPECT_FALSE(lane.post([&done] { ++done; }));
  gate.open();
  lane.drain();
  EXPECT_EQ(done, 2);
}

TEST(WorkersTest, EndsWithWorkThatStillHangs) {
  Gate gate;
  std::promise<void> ended;
  {
    Workers workers;
    Workers::Lane lane = workers.lane("stuck");
    EXPECT_TRUE(lane.post([&] {
      gate.wait();
      ended.set_value();
    }));
    EXPECT_FALSE(workers.finish(1ms));
  }
  gate.open();
  ended.get_future().wait();
}

}  // namespace
}  // namespace tonnage
