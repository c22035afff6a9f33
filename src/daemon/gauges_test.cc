#include "daemon/gauges.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(Gauges, APoolsLevelIsItsPlaceInThePolicy) {
  const PressurePolicy policy = *pressure_preset("balanced");
  PoolSnapshot pool;
  pool.pool = PoolId{1};
  pool.used = 3_GiB;
  pool.releasing = 1_GiB;
  EXPECT_EQ(gauges_of(pool, policy).level, 0U);
  pool.level = "moderate";
  EXPECT_EQ(gauges_of(pool, policy).level, 1U);
  pool.level = "critical";
  const PoolGauges gauges = gauges_of(pool, policy);
  EXPECT_EQ(gauges.level, 3U);
  EXPECT_EQ(gauges.pool, 1U);
  EXPECT_EQ(gauges.used, 3_GiB);
  EXPECT_EQ(gauges.releasing, 1_GiB);
  pool.level = "of another policy";
  EXPECT_EQ(gauges_of(pool, policy).level, 0U);
}

TEST(Gauges, AModelIsShownInEveryPool) {
  ModelSnapshot model;
  model.predicted = 2_GiB;
  model.weights = 1_GiB;
  model.reserved = 512_MiB;
  model.measured = 500_MiB;
  model.device_predicted = {4_GiB, Bytes{}};
  model.device_reserved = {5_GiB, Bytes{}};
  model.cpu_only = true;
  ModelGauges gauges = gauges_of(model);
  ASSERT_EQ(gauges.pools.size(), 3U);
  EXPECT_EQ(gauges.weights, 1_GiB);
  EXPECT_EQ(gauges.pools[0].predicted, 2_GiB);
  EXPECT_EQ(gauges.pools[0].measured, 500_MiB);
  EXPECT_EQ(gauges.pools[1].predicted, 4_GiB);
  EXPECT_EQ(gauges.pools[1].reserved, 5_GiB);
  EXPECT_FALSE(gauges.pools[1].measured) << "nobody can tell";
  EXPECT_TRUE(gauges.cpu_only);
  model.device_measured = {3_GiB, Bytes{}};
  gauges = gauges_of(model);
  EXPECT_EQ(gauges.pools[1].measured, 3_GiB);
}

}  // namespace
}  // namespace tonnage
