#include "api/list_range.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

ApiResult<ListRange> range_of(std::string_view query) {
  const auto found = route("GET", "/api/memory/events?" + std::string(query),
                           [](std::string_view) { return false; });
  return read_range(*found, 100, 2048);
}

TEST(ListRange, HasDefaultsAndABound) {
  EXPECT_EQ(range_of("")->limit, 100U);
  EXPECT_EQ(range_of("")->after, 0U);
  EXPECT_EQ(range_of("limit=7&after=12&follow=1")->limit, 7U);
  EXPECT_EQ(range_of("limit=7&after=12")->after, 12U);
  EXPECT_EQ(range_of("limit=999999")->limit, 2048U);
}

TEST(ListRange, WhatIsNoNumberIsRefusedByName) {
  for (const char* query : {"limit=null", "limit=", "limit=-1", "limit=1&limit=2", "limit=1.5",
                            "limit=99999999999999999999"}) {
    const auto range = range_of(query);
    ASSERT_FALSE(range) << query;
    EXPECT_EQ(range.error().status, 400);
    EXPECT_EQ(range.error().param, "limit");
  }
  EXPECT_EQ(range_of("after=x").error().param, "after");
  EXPECT_EQ(range_of("follow=yes").error().param, "follow");
}

}  // namespace
}  // namespace tonnage::api
