#include "api/log_api.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

TEST(LogApi, ShowsLevelAndFormat) {
  EXPECT_EQ(log_json("info", "json"), R"({"level":"info","format":"json"})");
}

TEST(LogApi, TakesEveryLevel) {
  for (const std::string_view level : kLogLevels) {
    const auto read = read_log_level("{\"level\": \"" + std::string(level) + "\"}");
    ASSERT_TRUE(read) << level;
    EXPECT_EQ(*read, level);
  }
}

TEST(LogApi, SaysWhatIsWrongAndWhatIsWanted) {
  struct Case {
    const char* body;
    const char* code;
    const char* says;
  };
  for (const Case& c : {Case{"", "invalid_json", "not JSON"},
                        {"debug", "invalid_json", "not JSON"},
                        {"[]", "invalid_json", "not a JSON object"},
                        {"{}", "missing_level", "'level' is missing"},
                        {R"({"level":"loud"})", "invalid_level", "\"loud\" is not a level"},
                        {R"({"level":5})", "invalid_level", "5 is not a level"},
                        {R"({"level":null})", "invalid_level", "null is not a level"},
                        {R"({"level":"info","x":1})", "unknown_field", "no field 'x'"},
                        {"{\"level\":\"\xFF\"}", "invalid_json", "not JSON"}}) {
    const auto read = read_log_level(c.body);
    ASSERT_FALSE(read) << c.body;
    EXPECT_EQ(read.error().status, 400) << c.body;
    EXPECT_EQ(read.error().code, c.code) << c.body;
    EXPECT_NE(read.error().message.find(c.says), std::string::npos) << read.error().message;
    EXPECT_NE(read.error().message.find("debug, info, warn or error"), std::string::npos);
  }
}

}  // namespace
}  // namespace tonnage::api
