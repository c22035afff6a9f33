// Each checker must fire on a bad list of actions, and stay silent on a good one: a checker that
// cannot fail proves nothing.
#include "sim/checkers_stage_test.cc"

namespace tonnage::sim {
namespace {

TEST_F(Checkers, are_quiet_about_a_good_run) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(ended(1, 1));
  step(Timer{}, {decide(DecisionKind::evict, ReasonCode::room_for_other, A), stop(A, 1)});
  step(ServerExited{Generation(1)}, {load_decision(B, 2), start(B, 2)});
  step(ServerReady{Generation(2)});
  step(PinModel{CommandId(1), B, true}, {CommandDone{CommandId(1), true, "pinned"}});
  expect_quiet();
}

TEST_F(Checkers, bytes_beyond_the_budget) {
  policy_.pools[0].limit = 2_GiB;
  make_ready(A, 1);
  step(Timer{}, {load_decision(B, 2), start(B, 2)});
  expect_finding("bytes: loading B makes 2.50 GiB of a budget of 2.00 GiB");
}

TEST_F(Checkers, bytes_measured_above_the_prediction_count) {
  policy_.pools[0].limit = 3_GiB;
  make_ready(A, 1);
  step(ServerSampled{Generation(1), 1_GiB});
  step(Timer{}, {load_decision(B, 2), start(B, 2)});
  expect_finding("bytes: loading B makes 3.25 GiB");
}

TEST_F(Checkers, bytes_beside_foreign_use) {
  make_ready(A, 1);
  step(PoolSampled{kHostPool, 4_GiB, 2_GiB});
  step(Timer{}, {load_decision(B, 2), start(B, 2)});
  expect_finding("beside 2.00 GiB foreign");
}

TEST_F(Checkers, bytes_of_a_shared_file_count_once) {
  policy_.pools[0].limit = 2_GiB;
  make_ready(A, 1);
  books().apply(now_, Event(ModelProfiled{B, rows(0)}));
  step(Timer{}, {load_decision(B, 2), start(B, 2)});
  expect_quiet();
}

TEST_F(Checkers, a_second_server_of_one_model) {
  make_ready(A, 1);
  step(Timer{}, {load_decision(A, 2), start(A, 2, kSmall)});
  expect_finding("start: A while its last server still lives");
}

TEST_F(Checkers, a_generation_that_goes_back) {
  make_ready(A, 7);
  step(Timer{}, {load_decision(B, 7), start(B, 7)});
  expect_finding("as generation 7 after 7");
}

TEST_F(Checkers, a_placement_that_nobody_announced) {
  step(Timer{}, {load_decision(A, 1), start(A, 1, {.context = 99, .slots = 1})});
  expect_finding("a placement that no profile named");
}

TEST_F(Checkers, two_loads_at_once_unless_one_has_stalled) {
  step(Timer{}, {load_decision(A, 1), start(A, 1)});
  now_ += policy_.load.stall_after - 1us;
  step(Timer{}, {load_decision(B, 2), start(B, 2)});
  expect_finding("B while the load of A is in progress");
  findings_ = {};
  now_ += 1us;
  step(Timer{}, {decide(DecisionKind::stall, ReasonCode::load_in_progress, A)});
  step(ServerExited{Generation(2), Failure{}});
  step(Timer{}, {load_decision(C, 3), start(C, 3)});
  expect_quiet();
}

TEST_F(Checkers, two_models_under_single_model) {
  policy_.residency.single_model = true;
  make_ready(A, 1);
  step(Timer{}, {load_decision(B, 2), start(B, 2)});
  expect_finding("under single_model");
}

TEST_F(Checkers, two_heavy_models_in_the_heavy_slot) {
  policy_.residency.heavy_slot = true;
  make_ready(A, 1);
  make_ready(B, 2);
  expect_quiet();
  step(Timer{}, {load_decision(C, 3), start(C, 3)});
  expect_finding("both heavy");
}

TEST_F(Checkers, a_load_after_shutdown) {
  step(Shutdown{});
  step(Timer{}, {load_decision(A, 1), start(A, 1)});
  expect_finding("after shutdown began");
}

TEST_F(Checkers, a_dry_run_beside_its_server) {
  make_ready(A, 1);
  step(Timer{}, {Profile{A}});
  expect_finding("a dry run of A beside its server");
}

TEST_F(Checkers, a_stop_under_a_lease) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 1)});
  expect_finding("stop: A g1 holds 1 leases");
}

TEST_F(Checkers, a_stop_of_a_pinned_model) {
  policy_.models[0].pinned = true;
  make_ready(A, 1);
  step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 1)});
  expect_finding("stop: A g1 is pinned");
}

TEST_F(Checkers, a_kill_of_a_healthy_server) {
  make_ready(A, 1);
  step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 1, true)});
  expect_finding("was killed although it could leave by itself");
}

TEST_F(Checkers, a_kill_of_a_hung_server_with_leases_is_right) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(ServerUnresponsive{Generation(1), {}},
       {decide(DecisionKind::unload, ReasonCode::stopped_hung, A), stop(A, 1, true)});
  expect_quiet();
}

TEST_F(Checkers, a_server_that_ran_out_of_memory_and_goes_on) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(ServerOutOfMemory{Generation(1), {}});
  expect_finding("stop: A g1 is of no use and goes on");
}

TEST_F(Checkers, what_a_server_lost_that_ran_out_of_memory_is_not_judged_before_it_has_gone) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(ServerOutOfMemory{Generation(1), {}},
       {decide(DecisionKind::unload, ReasonCode::stopped_short, A), stop(A, 1, true)});
  expect_quiet();
  step(RequestEnded{RequestId(1), Generation(1), RequestOutcome::lost},
       {refuse(1, RefusalStatus::bad_gateway, ReasonCode::server_lost)});
  expect_finding("its server ran out of memory");
}

TEST_F(Checkers, a_request_that_is_blamed_for_kills) {
  for (std::uint64_t server = 1; server <= 2; ++server) {
    make_ready(A, server);
    if (server == 1)
      step(arrive(1, A), {admit(1, A, server)});
    else
      step(Timer{}, {admit(1, A, server)});
    step(ServerExited{Generation(server), Failure{FailureKind::killed, "signal 9"}});
    step(RequestEnded{RequestId(1), Generation(server), RequestOutcome::lost});
  }
  step(Timer{}, {refuse(1, RefusalStatus::bad_gateway, ReasonCode::crash_suspect)});
  expect_finding("it met less than two crashes");
}

TEST_F(Checkers, a_load_that_is_given_up_for_nobody) {
  step(arrive(1, A), {load_decision(A, 1), start(A, 1)});
  Action given_up = decide(DecisionKind::unload, ReasonCode::nobody_waits, A);
  std::get<Decided>(given_up).decision.other = B;
  step(Timer{}, {given_up, stop(A, 1, true)});
  expect_finding("A is given up although somebody waits for it");
  expect_finding("A is given up for nobody");
}

TEST_F(Checkers, a_stop_of_a_server_that_nobody_knows) {
  step(Timer{}, {decide(DecisionKind::unload, ReasonCode::idle_ttl, A), stop(A, 5)});
  expect_finding("stop: unknown server g5");
}

TEST_F(Checkers, a_victim_with_a_queue) {
  policy_.models[0].in_flight_max = 1;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(arrive(2, A));
  step(ended(1, 1), {decide(DecisionKind::evict, ReasonCode::room_for_other, A), stop(A, 1)});
  expect_finding("victim: A has 1 requests waiting");
}

TEST_F(Checkers, a_yield_before_the_minimum_residency) {
  policy_.models[0].in_flight_max = 1;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(arrive(2, A), {decide(DecisionKind::yield, ReasonCode::waited_too_long, A)});
  expect_finding("yield: A was ready for 0s of 500ms");
}

TEST_F(Checkers, an_admission_to_a_server_that_is_not_ready) {
  step(arrive(1, A), {load_decision(A, 1), start(A, 1), admit(1, A, 1)});
  expect_finding("answers: request 1 goes to a server that is not ready");
}

TEST_F(Checkers, an_admission_to_another_model) {
  make_ready(B, 1);
  step(arrive(1, A), {admit(1, B, 1)});
  expect_finding("goes to another model");
}

TEST_F(Checkers, two_admissions_of_one_request) {
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1), admit(1, A, 1)});
  expect_finding("Admit of request 1, which is at a server");
}

TEST_F(Checkers, an_answer_after_the_answer) {
  step(arrive(1, A), {refuse(1, RefusalStatus::unavailable, ReasonCode::queue_full),
                      refuse(1, RefusalStatus::unavailable, ReasonCode::queue_full)});
  expect_finding("Refuse of request 1, which was answered");
}

TEST_F(Checkers, an_admission_after_the_client_has_gone) {
  make_ready(B, 1);
  step(arrive(1, A));
  step(ClientGone{RequestId(1)}, {admit(1, A, 1)});
  expect_finding("Admit of request 1, whose client has gone");
}

TEST_F(Checkers, more_requests_than_slots) {
  make_ready(A, 1);
  for (std::uint64_t i = 1; i <= 3; ++i)
    step(arrive(i, A), {admit(i, A, 1)});
  expect_finding("slots: A has 2 requests and gets request 3");
}

TEST_F(Checkers, a_context_that_is_too_small) {
  step(Timer{}, {load_decision(A, 1), start(A, 1, kSmall)});
  step(ServerReady{Generation(1)});
  RequestArrived request{RequestId(1), A};
  request.context_needed = 2048;
  step(request, {admit(1, A, 1)});
  expect_finding("needs a context of 2048 and gets 1024");
}

TEST_F(Checkers, a_wish_for_context_that_is_ignored) {
  step(Timer{}, {load_decision(A, 1), start(A, 1, kSmall)});
  step(ServerReady{Generation(1)});
  RequestArrived request{RequestId(1), A};
  request.context_wished = 2048;
  step(request, {admit(1, A, 1)});
  expect_finding("wishes for a context of 2048, gets 1024, and 4096 would fit");
}

TEST_F(Checkers, a_wish_for_context_beyond_every_row) {
  step(Timer{}, {load_decision(A, 1), start(A, 1, kSmall)});
  step(ServerReady{Generation(1)});
  RequestArrived request{RequestId(1), A};
  request.context_wished = 1'000'000;
  step(request, {admit(1, A, 1)});
  expect_quiet();
}

TEST_F(Checkers, too_many_replays) {
  policy_.queue.replays_max = 0;
  make_ready(A, 1);
  step(arrive(1, A), {admit(1, A, 1)});
  step(ended(1, 1, RequestOutcome::lost), {admit(1, A, 1)});
  expect_finding("replayed more than replays_max times");
}

TEST_F(Checkers, a_request_that_waits_beside_a_free_slot) {
  make_ready(A, 1);
  step(arrive(1, A));
  expect_finding("slots: A is ready with 0 of 2 slots in use while 1 requests wait");
}

TEST_F(Checkers, queues_beyond_their_bounds) {
  policy_.queue.waiting_max = 2;
  policy_.queue.waiting_per_model_max = 1;
  step(Timer{}, {load_decision(C, 1), start(C, 1)});
  step(arrive(1, A));
  step(arrive(2, B));
  expect_quiet();
  step(arrive(3, B));
  expect_finding("queues: 3 requests wait, the bound is 2");
  expect_finding("queues: B has 2 waiting");
}

TEST_F(Checkers, a_count_of_waiting_requests_that_is_wrong) {
  wrong_waiting_ = 1;
  step(arrive(1, A));
  expect_finding("the core counts 2 waiting requests, there are 1");
}

TEST_F(Checkers, a_refusal_of_what_fits) {
  step(arrive(1, A), {refuse(1, RefusalStatus::too_large, ReasonCode::never_fits)});
  expect_finding("never_fits, but a placement fits an empty pool");
}

TEST_F(Checkers, a_wait_for_what_never_fits) {
  policy_.pools[0].limit = 1_GiB;
  step(arrive(1, A));
  expect_finding("requests wait for A, which fits in no placement");
}

TEST_F(Checkers, refusals_whose_reason_is_not_true) {
  step(arrive(1, A), {refuse(1, RefusalStatus::unavailable, ReasonCode::queue_full)});
  expect_finding("the queues have room");
  step(arrive(2, A), {refuse(2, RefusalStatus::unavailable, ReasonCode::queue_timeout)});
  expect_finding("its time was not over");
  step(arrive(3, A), {refuse(3, RefusalStatus::bad_gateway, ReasonCode::crash_suspect)});
  expect_finding("it met less than two crashes");
  step(arrive(4, A), {refuse(4, RefusalStatus::bad_gateway, ReasonCode::server_lost)});
  expect_finding("it never was at a server");
  step(arrive(5, A), {refuse(5, RefusalStatus::bad_gateway, ReasonCode::load_failed)});
  expect_finding("nothing failed");
  step(arrive(6, A), {refuse(6, RefusalStatus::unavailable, ReasonCode::shutting_down)});
  expect_finding("nobody asked for a shutdown");
  step(arrive(7, A), {refuse(7, RefusalStatus::unavailable, ReasonCode::pinned_models)});
  expect_finding("no model is pinned");
  step(arrive(8, A), {refuse(8, RefusalStatus::unavailable, ReasonCode::demand)});
  expect_finding("that is no reason to refuse");
}

TEST_F(Checkers, a_refusal_with_the_wrong_status) {
  policy_.pools[0].limit = 1_GiB;
  step(arrive(1, A), {refuse(1, RefusalStatus::unavailable, ReasonCode::never_fits)});
  expect_finding("with a status that says something else");
}

TEST_F(Checkers, a_failure_where_nothing_may_fail) {
  nothing_may_fail_ = true;
  step(arrive(1, A), {refuse(1, RefusalStatus::bad_gateway, ReasonCode::model_failed)});
  expect_finding("nothing can fail in this run");
}

TEST_F(Checkers, a_resident_refusal_while_a_model_is_ready) {
  make_ready(A, 1);
  step(RequestArrived{RequestId(1), std::nullopt},
       {refuse(1, RefusalStatus::unavailable, ReasonCode::no_resident)});
  expect_finding("no_resident, but A is ready");
}

TEST_F(Checkers, commands_answered_twice_or_falsely) {
  make_ready(A, 1);
  step(UnloadModel{CommandId(1), A}, {CommandDone{CommandId(1), true, "unloaded"}});
  expect_finding("command 1 says unloaded while the server lives");
  step(Timer{}, {CommandDone{CommandId(1), true, "unloaded"}});
  expect_finding("a second answer to command 1");
  step(Timer{}, {CommandDone{CommandId(9), true, "done"}});
  expect_finding("an answer to unknown command 9");
  step(LoadModel{CommandId(2), B}, {CommandDone{CommandId(2), true, "loaded"}});
  expect_finding("command 2 says loaded without a ready server");
  step(PinModel{CommandId(3), A, true});
  expect_finding("pinning was not answered at once");
}

TEST_F(Checkers, an_end_before_everything_ended) {
  make_ready(A, 1);
  step(Timer{}, {Drained{}});
  expect_finding("Drained without a shutdown");
  expect_finding("Drained while servers live");
}

TEST_F(Checkers, acts_without_a_decision) {
  step(Timer{}, {start(A, 1)});
  expect_finding("a server of A was started or stopped without a decision");
}

TEST_F(Checkers, decisions_about_nothing) {
  step(Timer{}, {decide(DecisionKind::wait, ReasonCode::busy_models, ModelId(77))});
  expect_finding("names an unknown model");
  step(Timer{}, {decide(DecisionKind::load, ReasonCode::fits_headroom, A)});
  expect_finding("names no placement or no generation");
  Decision old{DecisionKind::wait, ReasonCode::busy_models, Tick{1s}, A};
  step(Timer{}, {Decided{old}});
  expect_finding("is dated to another time");
}

TEST_F(Checkers, illegal_edges_and_false_states) {
  shown_wrongly_ = {A, ResidencyState::ready};
  step(Timer{});
  expect_finding("A went from absent to ready");
  expect_finding("A is shown as ready, but it has no ready server");
  shown_wrongly_.reset();
  findings_ = {};
  make_ready(B, 1);
  shown_wrongly_ = {B, ResidencyState::absent};
  step(Timer{});
  expect_finding("B is shown as absent, but its server lives");
}

}  // namespace
}  // namespace tonnage::sim
