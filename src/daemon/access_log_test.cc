#include "daemon/access_log.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tonnage {
namespace {

using nlohmann::json;

constexpr std::chrono::system_clock::time_point kAt{std::chrono::milliseconds(784111777007)};

net::ExchangeNote note() {
  net::ExchangeNote made;
  made.request = 17;
  made.model = "qwen3 8b";
  made.key = "app";
  made.wait = 12ms;
  return made;
}

net::AnswerRecord record(const net::ExchangeNote& note) {
  net::AnswerRecord made;
  made.method = "POST";
  made.path = "/v1/chat\ncompletions";
  made.peer = "127.0.0.1:9";
  made.status = 200;
  made.bytes_in = 5;
  made.bytes_out = 70;
  made.first_byte = 80ms;
  made.total = 300ms;
  made.note = &note;
  return made;
}

TEST(AccessLog, IsOneLineForPeople) {
  const net::ExchangeNote told = note();
  EXPECT_EQ(access_line(record(told), AccessLog::line, kAt),
            "1994-11-06T08:49:37.007Z access request=17 client=127.0.0.1:9 key=app method=POST "
            "path=/v1/chat%0Acompletions model=qwen3%208b status=200 bytes_in=5 bytes_out=70 "
            "queue_ms=12 first_byte_ms=80 total_ms=300 client_left=false");
}

TEST(AccessLog, IsOneObjectForPrograms) {
  const net::ExchangeNote told = note();
  const std::string line = access_line(record(told), AccessLog::json, kAt);
  EXPECT_EQ(line.find('\n'), line.npos);
  const json fields = json::parse(line);
  EXPECT_EQ(fields["log"], "access");
  EXPECT_EQ(fields["request"], 17);
  EXPECT_EQ(fields["model"], "qwen3 8b");
  EXPECT_EQ(fields["queue_ms"], 12);
  EXPECT_EQ(fields["client_left"], false);
}

TEST(AccessLog, SaysWhatBecameOfARequestWithoutAnAnswer) {
  net::AnswerRecord left;
  left.client_left = true;
  const json fields = json::parse(access_line(left, AccessLog::json, kAt));
  EXPECT_EQ(fields["status"], 499);
  EXPECT_TRUE(fields["request"].is_null());
  EXPECT_TRUE(fields["path"].is_null());
  EXPECT_TRUE(fields["first_byte_ms"].is_null());
}

TEST(AccessLog, HasTheStatusOfAnErrorWithinAStream) {
  net::ExchangeNote told = note();
  told.status = 503;
  EXPECT_EQ(json::parse(access_line(record(told), AccessLog::json, kAt))["status"], 503);
}

}  // namespace
}  // namespace tonnage
