#include "api/memory_api.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tonnage::api {
namespace {

using nlohmann::json;

class MemoryApi : public testing::Test {
 protected:
  MemoryApi() {
    policy_.pools.push_back({.name = "host"});
    policy_.models.push_back({.id = "chat"});
    policy_.models.push_back({.id = "embed", .type = ModelType::embedding});
    policy_.models.push_back({.id = "code"});
    for (std::uint32_t i = 0; i < 3; ++i) {
      ModelSnapshot model;
      model.model = ModelId{i};
      model.id = policy_.models[i].id;
      model.type = policy_.models[i].type;
      snapshot_.models.push_back(model);
    }
    PoolSnapshot pool;
    pool.name = "host";
    pool.capacity = 16_GiB;
    pool.headroom = Bytes(-7);
    snapshot_.pools.push_back(pool);
    faces_.push_back({{"gpt-4o-mini"}, "llama", 1700000000});
  }

  ApiContext context() const { return {policy_, faces_, {1'000'000'000}}; }
  ModelSnapshot& model(std::size_t i) { return snapshot_.models[i]; }

  Policy policy_;
  Snapshot snapshot_;
  std::vector<ModelFace> faces_;
};

void run(ModelSnapshot& model) {
  model.state = ResidencyState::ready;
  model.tier = Tier::host;
  model.generation = Generation{7};
  model.placement = Placement{0, 4096, 2, KvType::q8_0};
  model.reserved = 1_GiB;
  model.weights = 2_GiB;
  model.measured = 900_MiB;
  model.source = FootprintSource::dry_run;
  model.idle_for = 1500ms;
}

TEST_F(MemoryApi, StatusHoldsPoolsModelsAndTheDaemon) {
  run(model(0));
  snapshot_.at = Tick(5s);
  const json status = json::parse(
      status_json(snapshot_, context(), {"0.1.0", "127.0.0.1:8726", 42, 3s, "machine"}));
  EXPECT_EQ(status["time_ms"], 1'005'000);
  EXPECT_EQ(status["daemon"]["uptime_ms"], 3000);
  EXPECT_EQ(status["healthy"], true);
  EXPECT_EQ(status["pools"][0]["headroom_bytes"], -7);
  EXPECT_TRUE(status["pools"][0]["sample_age_ms"].is_null());
  const json& row = status["models"][0];
  EXPECT_EQ(row["id"], "chat");
  EXPECT_EQ(row["aliases"], json({"gpt-4o-mini"}));
  EXPECT_EQ(row["state"], "ready");
  EXPECT_EQ(row["placement"]["kv"], "q8_0");
  EXPECT_EQ(row["placement"]["slots"], 2);
  EXPECT_EQ(row["measured_bytes"], (900_MiB).count);
  EXPECT_EQ(row["source"], "dry_run");
  EXPECT_EQ(row["idle_for_ms"], 1500);
}

TEST_F(MemoryApi, EveryModelHasTheSameFields) {
  run(model(0));
  const json list = json::parse(memory_models_json(snapshot_, context()));
  const auto keys = [](const json& object) {
    std::vector<std::string> names;
    for (const auto& item : object.items())
      names.push_back(item.key());
    return names;
  };
  EXPECT_EQ(list["object"], "list");
  EXPECT_EQ(keys(list["data"][0]), keys(list["data"][1]));
  EXPECT_EQ(list["data"][1]["aliases"], json::array());
  EXPECT_TRUE(list["data"][1]["placement"].is_null());
  EXPECT_EQ(json::parse(memory_model_json(snapshot_, ModelId{2}, context()))["id"], "code");
  EXPECT_TRUE(json::parse(memory_model_json(snapshot_, ModelId{9}, context())).is_null());
}

TEST_F(MemoryApi, OpenAisListNamesEveryVisibleModelAndResident) {
  const json all = json::parse(openai_models_json(snapshot_, context()));
  ASSERT_EQ(all["data"].size(), 4u);
  EXPECT_EQ(all["data"][0]["object"], "model");
  EXPECT_EQ(all["data"][0]["created"], 1700000000);
  EXPECT_EQ(all["data"][0]["tonnage"]["state"], "absent");
  EXPECT_EQ(all["data"][3]["id"], "resident");
  EXPECT_TRUE(all["data"][3]["tonnage"]["stands_for"].is_null());
  const json some = json::parse(openai_models_json(snapshot_, context(), {false, true, false}));
  ASSERT_EQ(some["data"].size(), 2u);
  EXPECT_EQ(some["data"][0]["id"], "embed");
}

TEST_F(MemoryApi, ResidentIsTheLlmInUseElseTheLatestUsed) {
  EXPECT_EQ(resident_model(snapshot_), std::nullopt);
  run(model(0));
  run(model(1));
  run(model(2));
  model(1).idle_for = 0ms;  // an embedding model does not chat
  model(2).idle_for = 100ms;
  EXPECT_EQ(resident_model(snapshot_), ModelId{2});
  model(0).leases = 1;
  model(0).idle_for.reset();
  EXPECT_EQ(resident_model(snapshot_), ModelId{0});
  model(0).leases = 0;  // loaded, but never used
  EXPECT_EQ(resident_model(snapshot_), ModelId{2});
  model(2).state = ResidencyState::draining;
  EXPECT_EQ(resident_model(snapshot_), ModelId{0});
}

TEST_F(MemoryApi, HealthCarriesEveryProblem) {
  EXPECT_EQ(health(snapshot_, true).status, 200);
  EXPECT_EQ(health(snapshot_, true).body, R"({"status":"ok"})");
  snapshot_.problems.push_back({"load_stalled", "chat has been loading for 30s"});
  const std::vector<HealthProblem> more = {{"loop_late", "the loop is late"}};
  HealthAnswer answer = health(snapshot_, true, more);
  EXPECT_EQ(answer.status, 200) << "a restart of the daemon mends no load";
  const json body = json::parse(answer.body);
  EXPECT_EQ(body["status"], "degraded");
  EXPECT_EQ(body["problems"][0]["code"], "load_stalled");
  EXPECT_EQ(body["problems"][1]["code"], "loop_late");
  answer = health(snapshot_, false);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(json::parse(answer.body)["problems"][0]["code"], "scheduler_stalled");
}

Decision eviction() {
  Decision decision;
  decision.kind = DecisionKind::evict;
  decision.reason = ReasonCode::room_for_other;
  decision.at = Tick(2s);
  decision.model = ModelId{0};
  decision.other = ModelId{2};
  decision.victims = {ModelId{0}};
  decision.need = 3_GiB;
  decision.text = "two\nlines";
  return decision;
}

TEST_F(MemoryApi, DecisionsAreTold) {
  DecisionLog log(10);
  log.append(eviction());
  const json list = json::parse(decisions_json(log.query({}), log, context()));
  EXPECT_EQ(list["first_seq"], 1);
  EXPECT_EQ(list["last_seq"], 1);
  const json& row = list["data"][0];
  EXPECT_EQ(row["time_ms"], 1'002'000);
  EXPECT_EQ(row["kind"], "evict");
  EXPECT_EQ(row["model"], "chat");
  EXPECT_EQ(row["other"], "code");
  EXPECT_EQ(row["victims"], json({"chat"}));
  EXPECT_NE(row["explain"].get<std::string>().find("code"), std::string::npos);
}

TEST_F(MemoryApi, ALogLineCarriesTheFieldsThatApply) {
  const json fields = json::parse(decision_fields_json({5, eviction()}, context()));
  EXPECT_EQ(fields["seq"], 5);
  EXPECT_EQ(fields["kind"], "evict");
  EXPECT_EQ(fields["reason"], "room_for_other");
  EXPECT_EQ(fields["model"], "chat");
  EXPECT_EQ(fields["other"], "code");
  EXPECT_EQ(fields["need_bytes"], (3_GiB).count);
  EXPECT_EQ(fields["victims"], json({"chat"}));
  for (const char* absent : {"time_ms", "explain", "request", "generation", "placement",
                             "waited_ms", "tried", "retry_after_ms"}) {
    EXPECT_FALSE(fields.contains(absent)) << absent;
  }
}

TEST_F(MemoryApi, AnEventIsOneFrame) {
  const std::string event = decision_event({5, eviction()}, context());
  EXPECT_TRUE(event.starts_with("id: gjdgxs-5\nevent: evict\ndata: {\"seq\":5,")) << event;
  EXPECT_EQ(event.find("\n\n"), event.size() - 2);
}

TEST_F(MemoryApi, AReaderGoesOnWhereItWasInThisRunOnly) {
  const WallClock clock = context().clock;
  EXPECT_EQ(resume_after("gjdgxs-5", clock), 5u);
  EXPECT_EQ(resume_after("5", clock), 5u);
  for (const char* other : {"gjdgxt-5", "-5", "", "gjdgxs-", "gjdgxs-5x",
                            "gjdgxs-99999999999999999999", "five", "gjdgxs--5"}) {
    EXPECT_EQ(resume_after(other, clock), 0u) << other;
  }
}

TEST_F(MemoryApi, CommandsTellWhatMoved) {
  Snapshot after = snapshot_;
  run(after.models[2]);
  const json reply = json::parse(
      command_json({"load", ModelId{2}, true, "code is ready"}, snapshot_, after, context()));
  EXPECT_EQ(reply["ok"], true);
  EXPECT_EQ(reply["command"], "load");
  EXPECT_EQ(reply["model"], "code");
  ASSERT_EQ(reply["moved"].size(), 1u);
  EXPECT_EQ(reply["moved"][0]["from_state"], "absent");
  EXPECT_EQ(reply["moved"][0]["to_state"], "ready");
  EXPECT_EQ(reply["moved"][0]["reserved_after_bytes"], (1_GiB).count);
  EXPECT_EQ(reply["before"]["model"]["state"], "absent");
  EXPECT_EQ(reply["after"]["model"]["state"], "ready");
  const json flush = json::parse(command_json({"flush", {}, true, ""}, after, after, context()));
  EXPECT_TRUE(flush["model"].is_null());
  EXPECT_TRUE(flush["after"]["model"].is_null());
  EXPECT_EQ(flush["moved"], json::array());
}

TEST_F(MemoryApi, SurvivesTextThatIsNotUtf8) {
  model(0).failure = "\xFF\xFE";
  EXPECT_FALSE(
      json::parse(memory_models_json(snapshot_, context()), nullptr, false).is_discarded());
}

TEST(WallClock, EachTickHasTheTimeOfDayThatHeldThen) {
  WallClock clock{1'000'000, {}};
  EXPECT_EQ(clock.unix_ms(Tick(5s)), 6'000);
  clock.moved(Tick(10s), 3'601'000'000);  // an hour of suspend
  EXPECT_EQ(clock.unix_ms(Tick(5s)), 6'000) << "what was decided before stays where it was";
  EXPECT_EQ(clock.unix_ms(Tick(10s)), 3'611'000);
  clock.moved(Tick(20s), 0);
  EXPECT_EQ(clock.unix_ms(Tick(19s)), 3'620'000);
  EXPECT_EQ(clock.unix_ms(Tick(20s)), 20'000);
  for (int i = 0; i < 1000; ++i)
    clock.moved(Tick(30s), i);
  EXPECT_EQ(clock.moves.size(), WallClock::kMovesMax);
}

}  // namespace
}  // namespace tonnage::api
