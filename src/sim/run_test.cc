#include "sim/run.h"

#include <gtest/gtest.h>

#include "sim/budget.h"
#include "sim/digest.h"

namespace tonnage::sim {
namespace {

TEST(Knobs, the_same_seed_draws_the_same) {
  EXPECT_EQ(describe(draw_knobs(7)), describe(draw_knobs(7)));
  EXPECT_NE(describe(draw_knobs(7)), describe(draw_knobs(8)));
}

TEST(Knobs, rows_of_a_model_are_different_placements) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    for (const ModelTruth& truth : draw_knobs(seed).models) {
      for (std::size_t i = 1; i < truth.rows.size(); ++i)
        EXPECT_TRUE(truth.rows[i].placement != truth.rows[i - 1].placement ||
                    truth.rows[i].device_bytes.size() != truth.rows[i - 1].device_bytes.size())
            << "seed " << seed;
    }
  }
}

TEST(Budget, is_the_smallest_of_reserve_maximum_and_limit) {
  PoolPolicy pool;
  EXPECT_EQ(budget_for(pool, 10_GiB), 10_GiB);
  pool.reserve.size = 1_GiB;
  EXPECT_EQ(budget_for(pool, 10_GiB), 9_GiB);
  pool.reserve.permille = 50;
  EXPECT_EQ(budget_for(pool, 10_GiB), 10_GiB - 512_MiB);
  pool.max_permille = 500;
  EXPECT_EQ(budget_for(pool, 10_GiB), 5_GiB);
  pool.limit = 2_GiB;
  EXPECT_EQ(budget_for(pool, 10_GiB), 2_GiB);
  EXPECT_EQ(room_of(pool, 10_GiB), 5_GiB);
  EXPECT_EQ(budget_for(pool, 0_B), 0_B);
}

TEST(Digest, changes_with_every_field_and_with_the_order) {
  auto of = [](const std::vector<Event>& events) {
    Digest digest;
    for (const Event& event : events)
      digest.add(Tick{1s}, event);
    return digest.value();
  };
  const RequestArrived first{RequestId(1), ModelId(0)};
  RequestArrived other = first;
  other.counted = false;
  EXPECT_NE(of({first}), of({other}));
  EXPECT_NE(of({first, Timer{}}), of({Timer{}, first}));
  EXPECT_EQ(of({first, Timer{}}), of({first, Timer{}}));
  EXPECT_NE(of({ServerExited{Generation(1)}}), of({ServerExited{Generation(1), Failure{}}}));
}

// The digest of a fixed list is fixed: it may not depend on the compiler or the machine.
TEST(Digest, is_the_same_everywhere) {
  Digest digest;
  digest.add(Tick{3s}, PoolSampled{kHostPool, 4_GiB, 1_MiB});
  digest.add(Action(CommandDone{CommandId(4), false, "no such model"}));
  EXPECT_EQ(digest.value(), 9270912200843949957ULL);
}

TEST(Run, a_seed_gives_the_same_digest_every_time) {
  const RunReport once = run_seed(3);
  const RunReport again = run_seed(3);
  EXPECT_EQ(once.digest, again.digest);
  EXPECT_GT(once.events, 50U);
}

TEST(Run, the_liveness_bound_is_longer_than_what_one_request_may_wait_for) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const Knobs knobs = draw_knobs(seed);
    EXPECT_GT(liveness_bound(knobs), knobs.policy.queue.yield_after + 10s) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tonnage::sim
