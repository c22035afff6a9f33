#include "daemon/history_keeper.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <boost/asio/executor_work_guard.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/history_view.h"

namespace tonnage {
namespace {

using nlohmann::json;

Snapshot snapshot_of(ResidencyState state) {
  Snapshot snapshot;
  PoolSnapshot pool;
  pool.name = "host";
  pool.capacity = 16_GiB;
  pool.budget = 8_GiB;
  pool.foreign = 2_GiB;
  pool.reserved = 3_GiB;
  pool.measured = 1_GiB;
  pool.headroom = Bytes(-5);
  snapshot.pools.push_back(pool);
  ModelSnapshot model;
  model.id = "chat";
  model.state = state;
  model.weights = 4_GiB;
  model.reserved = 1_GiB;
  model.measured = 900_MiB;
  model.leases = 2;
  snapshot.models.push_back(model);
  return snapshot;
}

TEST(HistoryView, ASampleHoldsPoolsAndTheModelsThatHaveAServer) {
  const HistorySample sample =
      history_sample(snapshot_of(ResidencyState::ready), 1'700'000'000, 10s);
  EXPECT_EQ(sample.at_s, 1'700'000'000);
  EXPECT_EQ(sample.span_s, 10);
  ASSERT_EQ(sample.pools.size(), 1u);
  EXPECT_EQ(sample.pools[0].headroom, Bytes(-5));
  ASSERT_EQ(sample.models.size(), 1u);
  EXPECT_EQ(sample.models[0].measured, 900_MiB);
  EXPECT_EQ(sample.models[0].leases, 2);
  for (const auto state :
       {ResidencyState::loading, ResidencyState::draining, ResidencyState::stopping})
    EXPECT_EQ(history_sample(snapshot_of(state), 0, 10s).models.size(), 1u) << to_text(state);
  for (const auto state :
       {ResidencyState::absent, ResidencyState::profiling, ResidencyState::failed})
    EXPECT_EQ(history_sample(snapshot_of(state), 0, 10s).models.size(), 0u) << to_text(state);
}

class Keeping : public testing::Test {
 protected:
  Keeping() : folder_(testing::TempDir() + "tonnage-keeper-XXXXXX") {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    config_.state_dir = folder_;
    config_.history = {.enabled = true, .every = 1s, .keep = 24h};
  }
  ~Keeping() override { std::filesystem::remove_all(folder_); }

  HistoryKeeper keeper() {
    return {io_, workers_, config_, [] { return snapshot_of(ResidencyState::ready); }};
  }

  boost::asio::io_context io_;
  Workers workers_;
  Config config_;
  std::string folder_;
};

const HistoryQuery kEverything{
    .since_s = 0, .until_s = std::int64_t{1} << 40, .step_s = 1, .model = {}};

TEST_F(Keeping, ASampleIsTakenAtOnceAndCanBeAskedFor) {
  HistoryKeeper keeper = this->keeper();
  keeper.start();
  json found;
  ASSERT_TRUE(keeper.query(kEverything, [&](Result<HistoryKeeper::Found> answer) {
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_TRUE(answer->model_known);
    found = json::parse(answer->json);
    keeper.stop();
  }));
  EXPECT_TRUE(found.is_null()) << "the answer comes later, on the loop";
  // What the worker hands back keeps no loop alive by itself.
  const auto work = boost::asio::make_work_guard(io_);
  while (found.is_null())
    io_.run_one();
  EXPECT_EQ(found["object"], "list");
  ASSERT_EQ(found["data"].size(), 1u);
  const json& point = found["data"][0];
  EXPECT_EQ(point["pools"][0]["pool"], "host");
  EXPECT_EQ(point["pools"][0]["headroom_min_bytes"], -5);
  EXPECT_EQ(point["pools"][0]["reserved_max_bytes"], (3_GiB).count);
  EXPECT_EQ(point["models"][0]["model"], "chat");
  EXPECT_EQ(point["models"][0]["leases_max"], 2);
}

TEST_F(Keeping, SwitchedOffItTouchesNothing) {
  config_.history.enabled = false;
  {
    HistoryKeeper keeper = this->keeper();
    EXPECT_FALSE(keeper.is_enabled());
    keeper.start();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Keeping, QuestionsAreBounded) {
  HistoryKeeper keeper = this->keeper();
  int answers = 0;
  int taken = 0;
  while (keeper.query(kEverything, [&](Result<HistoryKeeper::Found>) { ++answers; }))
    ASSERT_LT(++taken, 1000);
  const auto work = boost::asio::make_work_guard(io_);
  while (answers < taken)
    io_.run_one();
  EXPECT_TRUE(keeper.query(kEverything, [](Result<HistoryKeeper::Found>) {})) << "room again";
}

TEST_F(Keeping, WhereThereIsNoFileTheErrorNamesIt) {
  HistoryKeeper keeper = this->keeper();
  std::string error;
  keeper.query(kEverything, [&](Result<HistoryKeeper::Found> answer) {
    error = answer ? "none" : answer.error().text();
  });
  const auto work = boost::asio::make_work_guard(io_);
  while (error.empty())
    io_.run_one();
  EXPECT_NE(error.find("history.sqlite"), std::string::npos) << error;
}

}  // namespace
}  // namespace tonnage
