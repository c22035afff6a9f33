#include "daemon/governor_loop.h"

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

Policy one_model() {
  Policy policy;
  policy.pools.resize(1);
  policy.pools[0].name = "host";
  policy.models.resize(1);
  policy.models[0].id = "m";
  return policy;
}

// Records what it is told to do, and may answer from within.
class Recorder final : public ActionSink {
 public:
  void carry_out(Action action) override {
    if (std::holds_alternative<Decided>(action))
      return;
    ++depth_;
    EXPECT_EQ(depth_, 1) << "an event that is posted from an action waits for the step's end";
    actions.push_back(action);
    if (answer)
      answer(action);
    --depth_;
  }

  std::vector<Action> actions;
  std::function<void(const Action&)> answer;

 private:
  int depth_ = 0;
};

TEST(GovernorLoop, WhatAnActionPostsIsTakenUpAfterTheStep) {
  boost::asio::io_context io;
  Recorder sink;
  GovernorLoop loop(io, one_model(), sink);
  sink.answer = [&](const Action& action) {
    if (const auto* profile = std::get_if<Profile>(&action)) {
      PlacementRow row;
      row.placement.context = 512;
      row.host_anon = 1_GiB;
      loop.post(ModelProfiled{profile->model, {row}});
    } else if (const auto* start = std::get_if<StartServer>(&action)) {
      loop.post(ServerReady{start->generation});
    }
  };
  loop.post(PoolSampled{kHostPool, 8_GiB, 0_B});
  loop.post(RequestArrived{.request = RequestId(1), .model = ModelId(0)});
  ASSERT_EQ(sink.actions.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<Profile>(sink.actions[0]));
  EXPECT_TRUE(std::holds_alternative<StartServer>(sink.actions[1]));
  EXPECT_TRUE(std::holds_alternative<Admit>(sink.actions[2]));
  EXPECT_EQ(loop.snapshot().models[0].state, ResidencyState::ready);
}

TEST(GovernorLoop, WakesTheCoreAtItsDeadline) {
  boost::asio::io_context io;
  Recorder sink;
  Policy policy = one_model();
  policy.queue.queue_timeout = 1ms;
  GovernorLoop loop(io, policy, sink);
  // Without a sample nothing can be loaded, so the request only waits for its time-out.
  loop.post(RequestArrived{.request = RequestId(1), .model = ModelId(0)});
  EXPECT_TRUE(sink.actions.empty());
  io.run_one();
  ASSERT_EQ(sink.actions.size(), 1U);
  const auto* refuse = std::get_if<Refuse>(&sink.actions[0]);
  ASSERT_NE(refuse, nullptr);
  EXPECT_EQ(refuse->decision.reason, ReasonCode::queue_timeout);
}

TEST(GovernorLoop, ABrokenInvariantIsToldOnceAndStaysInHealthWhileItIsSeen) {
  boost::asio::io_context io;
  Recorder sink;
  GovernorLoop loop(io, one_model(), sink);
  int looks = 0;
  std::vector<std::string> told;
  loop.on_violation([&](const Violation& violation) { told.push_back(violation.text); },
                    [&] {
                      ++looks;
                      return std::vector<Violation>{{"the sums differ"}};
                    });
  loop.post(RequestArrived{.request = RequestId(1), .model = ModelId(0)});
  EXPECT_EQ(looks, 0) << "no request pays for it";
  loop.post(PoolSampled{kHostPool, 8_GiB, 0_B});
  loop.post(PoolSampled{kHostPool, 8_GiB, 0_B});
  EXPECT_EQ(looks, 1) << "the next look is due in ten seconds";
  ASSERT_EQ(told.size(), 1U);
  ASSERT_FALSE(loop.snapshot().problems.empty());
  EXPECT_EQ(loop.snapshot().problems.back().code, "invariant_broken");
  EXPECT_EQ(loop.snapshot().problems.back().text, "internal error: the sums differ");
}

}  // namespace
}  // namespace tonnage
