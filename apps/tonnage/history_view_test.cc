#include "tonnage/history_view.h"

#include <sstream>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

std::tm utc(std::int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm out{};
  ::gmtime_r(&time, &out);
  return out;
}

Json pool(Bytes reserved, Bytes headroom) {
  return {{"pool", "host"},
          {"capacity_bytes", (16_GiB).count},
          {"budget_bytes", (8_GiB).count},
          {"foreign_bytes", (2_GiB).count},
          {"foreign_max_bytes", (3_GiB).count},
          {"reserved_bytes", reserved.count},
          {"reserved_max_bytes", (reserved + 1_GiB).count},
          {"headroom_bytes", headroom.count},
          {"headroom_min_bytes", headroom.count}};
}

Json point(std::int64_t time_s, std::vector<std::string> models) {
  Json rows = Json::array();
  for (const std::string& model : models)
    rows.push_back({{"model", model}});
  return {
      {"time_ms", time_s * 1000}, {"pools", Json::array({pool(4_GiB, 2_GiB)})}, {"models", rows}};
}

Json history(std::int64_t step_s, Json points) {
  return {{"object", "list"}, {"step_ms", step_s * 1000}, {"data", std::move(points)}};
}

constexpr std::int64_t kTenOClock = 1'700'042'400;  // 2023-11-15 10:00:00

TEST(HistoryView, ARowHasTimeBarPeaksAndModels) {
  const std::string text =
      history_view(history(300, Json::array({point(kTenOClock, {"chat", "embed"})})), 1h, utc, {});
  EXPECT_EQ(text,
            "host, budget 8.00 GiB. Bars: # models, + others, means of 5m. Figures: peaks.\n"
            "TIME   OF THE BUDGET             MODELS    OTHERS  LOADED\n"
            "10:00  [##########+++++.....]  5.00 GiB  3.00 GiB  chat, embed\n");
}

TEST(HistoryView, TimesSayAsMuchAsTheRangeNeeds) {
  const Json points = Json::array({point(kTenOClock + 10, {})});
  EXPECT_NE(history_view(history(10, points), 4min, utc, {}).find("\n10:00:10  ["),
            std::string::npos);
  EXPECT_NE(history_view(history(3600, points), 48h, utc, {}).find("\n11-15 10:00  ["),
            std::string::npos);
}

TEST(HistoryView, AGapIsShown) {
  const std::string text =
      history_view(history(60, Json::array({point(kTenOClock, {}), point(kTenOClock + 60, {}),
                                            point(kTenOClock + 600, {})})),
                   1h, utc, {});
  EXPECT_NE(text.find("\n..     no data for 8m\n10:10"), std::string::npos) << text;
  EXPECT_EQ(text.find("no data"), text.rfind("no data")) << text;
}

TEST(HistoryView, FitsEightyColumns) {
  const Json points = Json::array(
      {point(kTenOClock, std::vector<std::string>(20, "org/a-model-with-a-long-name"))});
  for (const Duration since : {Duration{1min}, Duration{1h}, Duration{72h}}) {
    std::istringstream lines(history_view(history(10, points), since, utc, {}));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(columns_of(line), 80u) << line;
  }
}

TEST(HistoryView, NothingRecordedIsSaid) {
  EXPECT_EQ(history_view(history(10, Json::array()), 2h, utc, {}),
            "nothing was recorded in the last 2h\n");
  EXPECT_EQ(history_view(Json("rubbish"), 1h, utc, {}), "nothing was recorded in the last 1h\n");
}

TEST(HistoryView, TheStepGivesAScreenful) {
  EXPECT_EQ(readable_step(1min), 10s);
  EXPECT_EQ(readable_step(1h), 5min);
  EXPECT_EQ(readable_step(24h), 1h);
  EXPECT_EQ(readable_step(24h * 7), 12h);
  for (const Duration since :
       {Duration{1s}, Duration{10min}, Duration{24h * 30}, Duration{24h * 3650}})
    EXPECT_LE(since / readable_step(since), 24) << to_text(since);
}

}  // namespace
}  // namespace tonnage
