// The rules about order, times, the ledger and idle memory: each fires, and each can be quiet.
#include "sim/checkers_stage_test.cc"

namespace tonnage::sim {
namespace {

TEST_F(Checkers, an_admission_while_an_operator_unloads) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(UnloadModel{CommandId(1), A});
  step(arrive(2, A), {admit(2, A, 1)});
  expect_finding("answers: request 2 goes to a server that an operator unloads");
}

TEST_F(Checkers, a_request_that_overtakes) {
  policy_.models[0].in_flight_max = 1;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(arrive(2, A));
  step(arrive(3, A));
  step(ended(1, 1), {admit(3, A, 1)});
  expect_finding("order: request 3 overtakes request 2");
}

TEST_F(Checkers, a_more_urgent_request_goes_first) {
  policy_.models[0].in_flight_max = 1;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(arrive(2, A));
  step(RequestArrived{RequestId(3), A, Priority::high});
  step(ended(1, 1), {admit(3, A, 1)});
  expect_quiet();
}

TEST_F(Checkers, a_charge_below_the_measurement) {
  make_ready(A, 1);
  charged_more_ = 0_B - 1_B;
  step(ServerSampled{Generation(1), 300_MiB});
  expect_finding("ledger: A is charged 300 MiB, it was predicted 256 MiB and measured 300 MiB");
}

TEST_F(Checkers, a_charge_above_its_margin) {
  policy_.margin.analytic_permille = 500;
  make_ready(A, 1);
  charged_more_ = 128_MiB;
  step(Timer{});
  expect_quiet();
  charged_more_ = 128_MiB + 1_B;
  step(Timer{});
  expect_finding("more than 384 MiB with its margin");
}

TEST_F(Checkers, a_reservation_that_is_nobodys) {
  reserved_more_ = 1_B;
  step(Timer{});
  expect_finding("ledger: the core reserves 1 B beside its servers, where 0 B is for dry runs");
  findings_ = {};
  books().apply(now_, Action(Profile{A}));
  step(Timer{});
  expect_quiet();
  reserved_more_ = policy_.load.profile_reservation + 1_B;
  step(Timer{});
  expect_finding("beside its servers");
}

TEST_F(Checkers, headroom_that_is_not_there) {
  make_ready(A, 1);
  free_more_ = 1_MiB;
  step(Timer{});
  expect_finding("ledger: the core says is free");
}

TEST_F(Checkers, a_model_that_leaves_before_its_time) {
  policy_.models[0].ttl = 7s;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(ended(1, 1));
  const auto leave = [&] {
    step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 1)});
  };
  now_ += 7s - 1us;
  leave();
  expect_finding("times: A leaves before its ttl or its grace is over");
}

TEST_F(Checkers, a_model_that_leaves_after_its_time) {
  policy_.models[0].ttl = 1s;
  make_ready(A, 1);
  now_ += policy_.residency.grace;
  step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 1)});
  expect_quiet();
}

TEST_F(Checkers, a_model_without_a_ttl_that_leaves_by_it) {
  make_ready(A, 1);
  step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 1)});
  expect_finding("leaves by a ttl that it does not have");
}

TEST_F(Checkers, a_victim_within_its_grace_on_demand) {
  policy_.residency.grace_on_demand = 3s;
  make_ready(A, 1);
  now_ += 3s - 1us;
  step(Timer{}, {decide(DecisionKind::evict, ReasonCode::room_for_other, A), stop(A, 1)});
  expect_finding("times: A gives way within its grace on demand");
}

TEST_F(Checkers, a_yield_for_whom_did_not_wait) {
  policy_.pools[0].limit = 2_GiB;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(arrive(2, B));
  Decision yield{DecisionKind::yield, ReasonCode::waited_too_long, now_, A};
  yield.other = B;
  const auto let_yield = [&] {
    now_ += policy_.queue.yield_after - 1us;
    yield.at = now_;
    step(Timer{}, {Decided{yield}});
  };
  let_yield();
  expect_finding("times: B made another yield before it had waited for yield_after");
  findings_ = {};
  let_yield();
  expect_quiet();
}

TEST_F(Checkers, a_yield_of_a_pinned_model) {
  policy_.models[0].pinned = true;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(Timer{}, {decide(DecisionKind::yield, ReasonCode::waited_too_long, A)});
  expect_finding("yield: A is pinned");
}

TEST_F(Checkers, less_before_the_wait_was_long) {
  step(arrive(1, A));
  now_ += policy_.queue.degrade_after - 1us;
  step(Timer{}, {decide(DecisionKind::degrade, ReasonCode::expected_wait, A)});
  expect_finding("times: A takes less before it had waited for degrade_after");
}

TEST_F(Checkers, less_at_once_that_is_not_good_enough) {
  step(arrive(1, A));
  Decision less{DecisionKind::degrade, ReasonCode::good_enough, now_, A};
  less.placement = kSmall;
  step(Timer{}, {Decided{less}});
  expect_finding("times: A takes at once what is not good enough");
}

TEST_F(Checkers, a_move_up_while_others_wait) {
  step(Timer{}, {load_decision(A, 1), start(A, 1, kSmall)});
  step(ServerReady{Generation(1)});
  step(arrive(1, B));
  now_ += policy_.residency.grace - 1us;
  step(Timer{}, {decide(DecisionKind::upgrade, ReasonCode::memory_returned, A), stop(A, 1)});
  expect_finding("times: A is moved up while requests wait");
  expect_finding("times: A is moved up within its grace");
}

TEST_F(Checkers, a_stall_too_early) {
  step(Timer{}, {load_decision(A, 1), start(A, 1)});
  now_ += policy_.load.stall_after - 1us;
  step(Timer{}, {decide(DecisionKind::stall, ReasonCode::load_in_progress, A)});
  expect_finding("times: A stalls too early");
}

TEST_F(Checkers, a_start_within_the_rest_after_crashes) {
  make_ready(A, 1);
  step(ServerExited{Generation(1), Failure{}}, {load_decision(A, 2), start(A, 2)});
  step(ServerReady{Generation(2)});
  step(ServerExited{Generation(2), Failure{}});
  now_ += 2 * policy_.load.retry_backoff_min - 1us;
  step(Timer{}, {load_decision(A, 3), start(A, 3)});
  expect_finding("times: A is started before its rest after crashes is over");
}

TEST_F(Checkers, an_answer_ends_the_row_of_crashes) {
  make_ready(A, 1);
  step(ServerExited{Generation(1), Failure{}}, {load_decision(A, 2), start(A, 2)});
  step(ServerReady{Generation(2)});
  step(arrive(1, A), {admit(1, A, 2)});
  step(ended(1, 2));
  step(ServerExited{Generation(2), Failure{}}, {load_decision(A, 3), start(A, 3)});
  expect_quiet();
}

TEST_F(Checkers, a_model_that_waits_for_nothing) {
  step(arrive(1, A));
  expect_finding("idle: A waits, 4.00 GiB is free and nothing goes on");
}

TEST_F(Checkers, a_model_that_waits_for_memory) {
  policy_.pools[0].limit = 2_GiB;
  make_ready(B, 1);
  step(arrive(1, A));
  expect_quiet();
}

}  // namespace
}  // namespace tonnage::sim
