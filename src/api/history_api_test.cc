#include "api/history_api.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

ApiResult<HistoryOrder> order_of(std::string_view query) {
  const auto found = route("GET", "/api/memory/history" + std::string(query),
                           [](std::string_view) { return false; });
  EXPECT_TRUE(found);
  return read_history_order(*found);
}

TEST(HistoryApi, AsksForAnHourUnlessItSaysOtherwise) {
  const auto plain = order_of("");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->since, 1h);
  EXPECT_EQ(plain->step, 10s);
  EXPECT_EQ(plain->model, "");
  const auto full = order_of("?since=7d&step=5m&model=org%2Fqwen%3A8b");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->since, 24h * 7);
  EXPECT_EQ(full->step, 5min);
  EXPECT_EQ(full->model, "org/qwen:8b");
}

TEST(HistoryApi, SaysWhichParameterIsWrong) {
  for (const char* query : {"?since=5", "?since=soon", "?since=-1h", "?since=0s", "?since=999999d",
                            "?since=1h%00", "?since=%FF"}) {
    const auto order = order_of(query);
    ASSERT_FALSE(order) << query;
    EXPECT_EQ(order.error().status, 400) << query;
    EXPECT_EQ(order.error().param, "since") << query;
  }
  const auto order = order_of("?step=0s");
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().message, "step='0s' must be between 1s and 3650d.");
}

}  // namespace
}  // namespace tonnage::api
