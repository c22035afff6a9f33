#include "engine/slots.h"

#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(Slots, CountsThoseThatWork) {
  EXPECT_EQ(count_busy_slots("[]"), 0);
  EXPECT_EQ(count_busy_slots(R"([{"id":0,"is_processing":false}])"), 0);
  EXPECT_EQ(count_busy_slots(R"( [ {"is_processing" : true}, {"is_processing":false},
                                   {"id":2,"is_processing": true,"next_token":[{"n":1}]} ] )"),
            2);
}

TEST(Slots, WhatAClientWroteDoesNotCount) {
  const std::string json =
      R"([{"is_processing":false,"params":{"is_processing":true,"stop":["\"is_processing\":true",)"
      R"("]","{\\"]},"x":"is_processing","y":"\"}]"}])";
  EXPECT_EQ(count_busy_slots(json), 0);
}

TEST(Slots, AnythingElseGivesNothing) {
  for (const std::string_view json :
       {"", "{}", "null", R"({"error":{"code":501}})", "[{}]", "[", R"([{"is_processing":true})",
        R"([{"is_processing":1}])", R"([{"is_processing":true},{"id":1}])", R"([{"a)", R"([{"a\)",
        R"([{"is_processing")", R"([{"is_processing":)"}) {
    EXPECT_FALSE(count_busy_slots(json)) << json;
  }
}

}  // namespace
}  // namespace tonnage
