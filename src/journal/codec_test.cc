#include "journal/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "journal/state_fields.h"

namespace tonnage::journal {

// Stands for a value of any type where only types are looked at. It is never defined, so it cannot
// live in the nameless namespace.
struct Anything {
  template <typename T>
  operator T() const;  // NOLINT(google-explicit-constructor): that is what it is for
};

namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

// How many members an aggregate has: as many as it can be made from.
template <typename T, typename... Values>
consteval std::size_t members_of() {
  if constexpr (requires { T{Values{}..., Anything{}}; }) {
    return members_of<T, Values..., Anything>();
  } else {
    return sizeof...(Values);
  }
}
template <typename T>
consteval bool complete() {
  return std::tuple_size_v<decltype(Fields<T>::kList)> == members_of<T>();
}
template <typename Variant, std::size_t... I>
consteval bool all_complete(std::index_sequence<I...>) {
  return (complete<std::variant_alternative_t<I, Variant>>() && ...);
}

// A field that is added to a type of the core belongs into its list.
static_assert(all_complete<Event>(std::make_index_sequence<std::variant_size_v<Event>>()));
static_assert(all_complete<Action>(std::make_index_sequence<std::variant_size_v<Action>>()));
static_assert(complete<Placement>() && complete<PlacementRow>() && complete<Failure>());
static_assert(complete<PlacementNeed>() && complete<Decision>());
static_assert(complete<Reserve>() && complete<PoolPolicy>() && complete<ModelPolicy>());
static_assert(complete<QueuePolicy>() && complete<ResidencyPolicy>() && complete<LoadPolicy>());
static_assert(complete<MarginPolicy>() && complete<Policy>());
static_assert(complete<Charge>() && complete<PoolSample>() && complete<LedgerState>());
static_assert(complete<Usage::Memory>() && complete<LoadWish>() && complete<ModelState>());
static_assert(complete<RequestState>() && complete<FlushState>() && complete<GovernorState>());

Policy policy() {
  Policy policy;
  policy.pools.push_back(
      {.name = "host", .reserve = {.permille = 100, .size = 1_GiB}, .limit = {}});
  policy.models.push_back({.id = "org/a:8b \"q4\"", .ttl = 5min});
  policy.models.push_back({.id = "b", .pinned = true, .ttl = {}});
  policy.queue.yield_after = 3s;
  policy.residency.eviction = EvictionKind::lru;
  policy.pools.push_back({.name = "gpu0", .reserve = {}, .limit = {}, .deficit_tolerance = 1_GiB});
  policy.pools.push_back({.name = "gpu1", .reserve = {}, .limit = {}});
  policy.pressure = *pressure_preset("guard");
  policy.pressure.fallback = ModelId(0);
  policy.recovery.cooldown.reset();
  return policy;
}

PlacementRow row() {
  PlacementRow row;
  row.placement = {.gpu_layers = 3, .context = 4096, .slots = 2, .kv = KvType::q8_0};
  row.device_bytes = {1_GiB, 2_GiB};
  row.host_anon = 100_MiB;
  row.weights[0].file = FileId(~std::uint64_t{0});
  row.weights[0].size = 3_GiB;
  row.source = FootprintSource::dry_run;
  return row;
}

Decision decision() {
  Decision d;
  d.kind = DecisionKind::refuse;
  d.reason = ReasonCode::never_fits;
  d.at = Tick{7s};
  d.model = ModelId(1);
  d.request = RequestId(9);
  d.placement = row().placement;
  d.need = 5_GiB;
  d.headroom = Bytes{-1};
  d.victims = {ModelId(0), ModelId(1)};
  d.tried = {{row().placement, 4_GiB}};
  d.retry_after = 3s;
  d.failure = FailureKind::exited;
  d.text = "it said \"no\"\n\x01";
  return d;
}

std::vector<Event> every_event() {
  return {RequestArrived{RequestId(1), ModelId(0), Priority::high, 512, false},
          RequestArrived{RequestId(2), std::nullopt},
          RequestArrived{.request = RequestId(3), .model = ModelId(1), .context_wished = 9000},
          RequestEnded{RequestId(1), Generation(4), RequestOutcome::lost, 7, 5, 3},
          ClientGone{RequestId(1)},
          ModelProfiled{ModelId(1), {row(), {}}},
          ProfileFailed{ModelId(0), {FailureKind::bad_model, "truncated"}},
          DryRunEnded{ModelId(1)},
          ServerReady{Generation(1)},
          ServerExited{Generation(1), Failure{FailureKind::out_of_memory, "bye"}},
          ServerExited{Generation(2), std::nullopt},
          ServerUnresponsive{Generation(3), {FailureKind::unresponsive, ""}},
          ServerOutOfMemory{Generation(3), {FailureKind::out_of_device_memory, "HTTP 500"}},
          ServerSampled{Generation(3), 77_MiB, {1_GiB, 0_B}},
          PoolSampled{PoolId(1), 16_GiB, 1_GiB, 3_GiB, 512_MiB, 2_GiB},
          LoadModel{CommandId(1), ModelId(0), false},
          UnloadModel{CommandId(2), ModelId(0)},
          PinModel{CommandId(3), ModelId(0), false},
          ClearModel{CommandId(7), ModelId(1)},
          PoolLost{PoolId(1), "it fell off the bus"},
          StallSampled{120, 7},
          Flush{CommandId(4)},
          Shutdown{},
          Timer{},
          PolicyChanged{policy(), {ModelId(1)}}};
}

Actions every_action() {
  return {Profile{ModelId(0)},
          StartServer{ModelId(1), Generation(2), row().placement, {PoolId(2), PoolId(1)}},
          StopServer{ModelId(1), Generation(2), true},
          Admit{RequestId(5), ModelId(1), Generation(2)},
          Refuse{RequestId(9), RefusalStatus::too_large, decision()},
          CommandDone{CommandId(1), false, "no such model"},
          Decided{decision()},
          LevelChanged{PoolId(1), "high", "", 7_GiB, 8_GiB, true},
          Trim{PoolId(1), true},
          KillRemains{ModelId(1), Generation(2)},
          Drained{}};
}

TEST(Codec, EveryEventComesBackAsItWas) {
  std::uint64_t number = 0;
  std::set<std::size_t> seen;
  for (const Event& event : every_event()) {
    std::string line;
    encode_step(++number, Tick{12us}, event, {}, line);
    EXPECT_THAT(line, EndsWith("}\n"));
    const auto step = decode_step(line);
    ASSERT_TRUE(step) << line << step.error().text();
    EXPECT_EQ(*step, (Step{number, Tick{12us}, event, {}})) << line;
    seen.insert(event.index());
  }
  EXPECT_EQ(seen.size(), std::variant_size_v<Event>);
}

TEST(Codec, EveryActionComesBackAsItWas) {
  const Actions actions = every_action();
  ASSERT_EQ(actions.size(), std::variant_size_v<Action>);
  std::string line;
  encode_step(1, Tick{}, Timer{}, actions, line);
  const auto step = decode_step(line);
  ASSERT_TRUE(step) << step.error().text();
  EXPECT_EQ(step->actions, actions);
}

TEST(Codec, AHeaderBringsTheWholeStateBack) {
  GovernorState state;
  state.policy = policy();
  state.now = Tick{9s};
  PoolSample sample;
  sample.capacity = 16_GiB;
  sample.foreign = 1_GiB;
  sample.used = 3_GiB;
  sample.orphaned = 512_MiB;
  sample.expected = 2_GiB;
  sample.lost = true;
  sample.sampled_at = Tick{8s};
  sample.release = {{{Generation(2), 4_GiB}}, 256_MiB};
  sample.held_back = 1_GiB;
  state.ledger.pools = {sample, {}, {}};
  state.releases = {{Generation(2), ModelId(1), Tick{7s}, true}};
  state.pressure = {{1, Tick{5s}, Tick{6s}, Tick{7s}}, {}, {}};
  state.stall = {300, 20};
  state.ledger.charges[Generation(3)] = {{100_MiB}, {{{FileId(7), 3_GiB}}}};
  state.models.resize(2);
  ModelState& model = state.models[0];
  model.state = ResidencyState::draining;
  model.rows = {row()};
  model.generation = Generation(3);
  model.placement = row().placement;
  model.devices = {PoolId(1), PoolId(2)};
  model.device_measured = {3_GiB};
  model.memory_failures = {Tick{1s}, Tick{2s}};
  model.cpu_since = Tick{2s};
  model.least_row = 1;
  model.retry_extra_permille = 125;
  model.pressed_at = Tick{4s};
  model.drain_cause = DrainCause::yielding;
  model.yielding_to = ModelId(1);
  model.load_commands = {{CommandId(4), false}};
  model.usage.use(Tick{5s});
  model.reload_for = ReasonCode::config_changed;
  model.stop_failure = Failure{FailureKind::load_timeout, "late"};
  state.requests[RequestId(8)] = {
      .model = ModelId(1), .arrived = Tick{6s}, .replays = 1, .losses = 1};
  state.flushes = {{CommandId(5), {Generation(3)}, 1, 2}};
  state.next_generation = 4;
  state.deadline = Tick{11s};
  const SegmentHeader header{"1.2.3", "run", 4, 9, 1'700'000'000'000'000, true, state};
  std::string line;
  encode(header, line);
  const auto back = decode_header(line);
  ASSERT_TRUE(back) << line << back.error().text();
  EXPECT_EQ(*back, header);
}

TEST(Codec, NamesAreThoseOfTheJournal) {
  EXPECT_EQ(type_of(Event(Timer{})), "timer");
  EXPECT_EQ(type_of(Action(Drained{})), "drained");
}

TEST(Codec, WhomAnEventIsAboutIsAlwaysSaid) {
  std::string line;
  encode_step(1, Tick{}, UnloadModel{CommandId(0), ModelId(0)}, {}, line);
  EXPECT_EQ(line,
            "{\"step\":1,\"at\":0,\"event\":{\"type\":\"unload_model\",\"command\":0,"
            "\"model\":0}}\n");
}

TEST(Codec, TextThatIsNotUtf8IsReplaced) {
  std::string line;
  encode_step(1, Tick{}, ProfileFailed{ModelId(0), {FailureKind::exited, "a\xFF\xC3(\xE2\x82"}}, {},
              line);
  const auto step = decode_step(line);
  ASSERT_TRUE(step) << step.error().text();
  EXPECT_EQ(std::get<ProfileFailed>(step->event).failure.text, "a\uFFFD\uFFFD(\uFFFD\uFFFD");
}

std::string problem_of(std::string_view line) {
  const auto step = decode_step(line);
  return step ? "no problem" : step.error().text();
}

TEST(Codec, DamagedLinesAreNamed) {
  EXPECT_EQ(problem_of(""), "it is not JSON");
  EXPECT_EQ(problem_of("{\"step\":1,\"at\":0,\"event\":{\"type\":\"tim"), "it is not JSON");
  EXPECT_EQ(problem_of("[]"), "it is not a JSON object");
  EXPECT_EQ(problem_of("{\"at\":0}"), "step: it is missing");
  EXPECT_EQ(problem_of("{\"step\":1,\"at\":0}"), "the event is missing");
  EXPECT_EQ(problem_of(R"({"step":1,"at":0,"event":{"type":"teleported"}})"),
            "event: the type 'teleported' is not known");
  EXPECT_EQ(problem_of(R"({"step":1,"at":0,"event":{"type":"flush","colour":3}})"),
            "event: the field 'colour' is not known");
  EXPECT_EQ(problem_of(R"({"step":1,"at":0,"event":{"type":"flush","command":-3}})"),
            "event.command: the number is out of range");
  EXPECT_EQ(problem_of(R"({"step":1,"at":"soon","event":{"type":"timer"}})"),
            "at: a whole number is wanted");
  EXPECT_EQ(problem_of(R"({"step":1,"at":0,"event":{"type":"timer"},"actions":[{"type":"admit",)"
                       R"("model":4294967296}]})"),
            "actions.model: the number is too large");
  EXPECT_EQ(problem_of(R"({"step":1,"at":0,"event":{"type":"request_ended","outcome":"well"}})"),
            "event.outcome: 'well' is not known");
}

TEST(Codec, HeadersOfOtherVersionsAndOtherFilesAreRefused) {
  const auto wrong = [](std::string_view line) {
    const auto header = decode_header(line);
    return header ? "no problem" : header.error().text();
  };
  EXPECT_EQ(wrong(R"({"step":1})"), "it is not the first line of a journal of tonnage");
  EXPECT_EQ(wrong(R"({"journal":7})"), "it is not the first line of a journal of tonnage");
  EXPECT_THAT(wrong(R"({"journal":"tonnage","version":2})"),
              HasSubstr("it is of version 2 (this tonnage reads version 1"));
  EXPECT_THAT(wrong(R"({"journal":"tonnage","version":1,"program":"1","run":"r","segment":1,)"
                    R"("first_step":1,"unix_us_at_zero":0,"gap":false,"state":{}})"),
              HasSubstr("the state is not one of a governor"));
}

}  // namespace
}  // namespace tonnage::journal
