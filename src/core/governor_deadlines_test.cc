// Deadlines: the Governor asks to be woken when something is due, and never in a busy loop.
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/governor_stage_test.cc"

namespace tonnage::stage {
namespace {

TEST(GovernorDeadlines, AnIdleGovernorWantsNoTimer) {
  Stage s;
  EXPECT_EQ(s.governor().next_deadline(), std::nullopt);
  s.bring_up(kA);
  s.make_busy(kA, 1);
  s.end(1);
  EXPECT_EQ(s.governor().next_deadline(), std::nullopt);
}

TEST(GovernorDeadlines, ALoadIsWatchedFirstForStallingThenForItsTimeout) {
  Stage s;
  s.tell(LoadModel{CommandId(1), kA});
  s.profiled(kA);
  EXPECT_EQ(s.governor().next_deadline(), s.now() + 20s);
  s.run_for(20s);
  EXPECT_EQ(s.governor().next_deadline(), s.now() + 10min - 20s);
}

TEST(GovernorDeadlines, AWaitIsLookedAtWhenItMayChange) {
  Policy policy = plain_policy();
  policy.queue.yield_after = 30s;
  policy.queue.degrade_after = 60s;
  policy.queue.queue_timeout = 600s;
  Stage s(policy, 4_GiB);
  s.make_busy(kA, 1);
  s.run_for(10s);
  const Tick start = s.now();
  s.request(2, kB);
  s.settle();
  for (const Duration due : {Duration{30s}, Duration{60s}, Duration{600s}}) {
    ASSERT_EQ(s.governor().next_deadline(), start + due);
    s.run_for(start + due - s.now());
  }
  EXPECT_EQ(s.governor().next_deadline(), std::nullopt);
}

TEST(GovernorDeadlines, AFailedModelIsLookedAtAfterItsRest) {
  Stage s;
  s.request(1, kA);
  s.tell(ProfileFailed{kA, {FailureKind::exited, "no"}});
  EXPECT_EQ(s.governor().next_deadline(), s.now() + 1s);
  s.run_for(1s);
  EXPECT_EQ(s.governor().next_deadline(), std::nullopt);
}

// Draws one event, possible or not, about few enough ids that most of them exist.
// Commands are numbered by `step`, because none is given twice.
Event draw_event(int step) {
  const ModelId model(*rc::gen::inRange<std::uint32_t>(0, 4));
  const Generation generation(*rc::gen::inRange<std::uint64_t>(1, 12));
  const RequestId request(*rc::gen::inRange<std::uint64_t>(1, 40));
  const CommandId command(static_cast<std::uint64_t>(step));
  const Failure failure{
      *rc::gen::element(FailureKind::crashed, FailureKind::bad_model, FailureKind::stale_profile),
      "drawn"};
  const auto gib = [] { return Bytes(*rc::gen::inRange<std::int64_t>(0, 6) * kGiB); };
  switch (*rc::gen::inRange(0, 20)) {
    case 0:
      return ClientGone{request};
    case 1:
      return ProfileFailed{model, failure};
    case 2:
      return ServerExited{generation, failure};
    case 3:
      return ServerUnresponsive{generation, {FailureKind::unresponsive, "drawn"}};
    case 4:
      return ServerSampled{generation, gib()};
    case 5:
      return PoolSampled{kHostPool, 8_GiB, gib()};
    case 6:
      return LoadModel{command, model};
    case 7:
      return UnloadModel{command, model};
    case 8:
      return PinModel{command, model, *rc::gen::arbitrary<bool>()};
    case 9:
      return Flush{command};
    case 10:
    case 11:
    case 12:
      return ServerReady{generation};
    case 13:
    case 14: {
      const auto outcome = *rc::gen::inRange(0, 4);
      return RequestEnded{request, generation, static_cast<RequestOutcome>(outcome)};
    }
    case 15:
    case 16:
      return ModelProfiled{
          model,
          {own_row(Bytes(*rc::gen::inRange<std::int64_t>(1, 9) * kGiB)), own_row(1_GiB, 1024, 1)}};
    default:
      return RequestArrived{request, model, Priority::normal,
                            *rc::gen::element<std::int32_t>(0, 0, 512, 2048), true};
  }
}

// What each kind of id was answered with, over a whole run.
struct Answers {
  std::map<CommandId, int> commands;
  std::set<CommandId> asked;

  void take(const Event& event, const Actions& actions) {
    std::visit(
        [&](const auto& e) {
          if constexpr (requires { e.command; })
            asked.insert(e.command);
        },
        event);
    for (const Action& action : actions) {
      if (const auto* done = std::get_if<CommandDone>(&action)) {
        RC_ASSERT(asked.contains(done->command));
        RC_ASSERT(++commands[done->command] == 1);
      }
    }
  }
};

RC_GTEST_PROP(GovernorProperty, SurvivesAnyEventsAndMovesItsDeadlineOn, ()) {
  Policy policy = plain_policy();
  policy.models[kC.value].ttl = 20s;
  if (*rc::gen::arbitrary<bool>())
    policy.residency.grace_on_demand = 5s;
  policy.residency.single_model = *rc::gen::inRange(0, 4) == 0;
  Tick now{1h};
  Governor governor(policy, now);
  Actions actions;
  Answers answers;
  governor.step(now, PoolSampled{kHostPool, 8_GiB, 0_B}, actions);
  const int steps = *rc::gen::inRange(1, 150);
  for (int i = 0; i < steps; ++i) {
    now += Duration{*rc::gen::element<std::int64_t>(0, 1'000, 900'000, 20'000'000)};
    const auto due = governor.next_deadline();
    const Event event = due && *due <= now ? Event{Timer{}} : draw_event(i);
    actions.clear();
    governor.step(now, event, actions);
    answers.take(event, actions);
    const auto broken = governor.violations();
    RC_ASSERT(broken.empty());
    if (std::holds_alternative<Timer>(event)) {
      const auto next = governor.next_deadline();
      RC_ASSERT((!next || *next > now));
    }
  }
}

// The daemon may be late, and the world may be silent: timers alone must come to an end.
RC_GTEST_PROP(GovernorProperty, TimersAloneComeToAnEnd, ()) {
  Tick now{1h};
  Governor governor(plain_policy(), now);
  Actions actions;
  governor.step(now, PoolSampled{kHostPool, 8_GiB, 0_B}, actions);
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i)
    governor.step(now, draw_event(i), actions);
  int timers = 0;
  while (const auto due = governor.next_deadline()) {
    now = std::max(now, *due);
    governor.step(now, Timer{}, actions);
    RC_ASSERT(++timers < 1'000);
  }
}

}  // namespace
}  // namespace tonnage::stage
