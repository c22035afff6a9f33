#include "sim/fairness.h"

#include <gtest/gtest.h>

#include "sim/fifo.h"

namespace tonnage::sim {
namespace {

TEST(Waits, percentiles_are_waits_that_were_had) {
  Waits waits;
  EXPECT_EQ(waits.permille(500), 0s);
  for (int i = 1; i <= 200; ++i)
    waits.add(std::chrono::seconds(i));
  EXPECT_EQ(waits.permille(500), 100s);
  EXPECT_EQ(waits.permille(950), 190s);
  EXPECT_EQ(waits.permille(990), 198s);
  EXPECT_EQ(waits.mean(), 100'500ms);
}

// Every request is served, whoever decides.
TEST(Fairness, every_request_is_counted_once) {
  for (std::size_t discipline = 0; discipline < kDisciplines; ++discipline) {
    const Fairness fairness =
        measure_fairness(Pattern::zipf, static_cast<Discipline>(discipline), 1);
    EXPECT_EQ(fairness.all.count() + fairness.refused, 400U) << discipline;
    EXPECT_GT(fairness.switches, 5U) << discipline;
    EXPECT_GE(fairness.worst_model_permille(), 1000) << discipline;
  }
}

// The reason to have a policy at all: requests for what is loaded do not wait behind others.
TEST(Fairness, the_governor_switches_less_than_first_come_first_served) {
  const Fairness fifo = measure_fairness(Pattern::alternate, Discipline::fifo, 2);
  const Fairness value = measure_fairness(Pattern::alternate, Discipline::value, 2);
  EXPECT_LT(2 * value.switches, fifo.switches);
  EXPECT_LT(value.all.mean(), fifo.all.mean());
}

TEST(Fifo, the_head_of_the_queue_decides_and_the_first_loaded_makes_room) {
  Policy policy;
  policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  policy.models.resize(2);
  Fifo fifo(policy);
  const auto tell = [&](const Event& event) {
    Actions actions;
    fifo.step(Tick{}, event, actions);
    return actions;
  };
  PlacementRow row;
  row.host_anon = 3_GiB;
  tell(PoolSampled{kHostPool, 4_GiB, 0_B});
  EXPECT_EQ(tell(RequestArrived{RequestId(1), ModelId(0)}), Actions{Profile{ModelId(0)}});
  const Actions started = tell(ModelProfiled{ModelId(0), {row}});
  ASSERT_EQ(started.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<StartServer>(started[0]));
  EXPECT_TRUE(tell(RequestArrived{RequestId(2), ModelId(1)}).empty());
  EXPECT_TRUE(tell(RequestArrived{RequestId(3), ModelId(0)}).empty());
  EXPECT_EQ(tell(ServerReady{Generation(1)}).size(), 2U);  // admits 1, looks at what 2 needs
  EXPECT_TRUE(tell(ModelProfiled{ModelId(1), {row}}).empty()) << "request 1 is at work";
  const Actions stopped = tell(RequestEnded{RequestId(1), Generation(1)});
  EXPECT_EQ(stopped, (Actions{StopServer{ModelId(0), Generation(1), false}}));
}

}  // namespace
}  // namespace tonnage::sim
