#include "metrics/metrics.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

MetricsSetup setup() {
  return {{"host"}, {"a", "b \"q\"\n"}, {"absent", "ready"}, "0.1.0"};
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, CountsARequest) {
  Metrics metrics(setup());
  metrics.request({0, 200, 20ms, 3s, 100, 2000});
  metrics.request({0, 503, 0ms, 1ms, 0, 50});
  metrics.request({std::nullopt, 404, {}, {}, 0, 0});
  metrics.request({std::nullopt, 0, {}, {}, 0, 0});
  const std::string text = metrics.scrape({}, {});
  EXPECT_TRUE(has_line(text, R"(tonnage_requests_total{model="a",status="2xx"} 1)")) << text;
  EXPECT_TRUE(has_line(text, R"(tonnage_requests_total{model="a",status="5xx"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_requests_total{model="",status="4xx"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_requests_total{model="",status="none"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_request_wait_seconds_bucket{model="a",le="0.01"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_request_wait_seconds_bucket{model="a",le="0.05"} 2)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_request_duration_seconds_sum{model="a"} 3.001)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_relayed_bytes_total{direction="down",model="a"} 2050)"));
}

TEST(Metrics, CountsIncidents) {
  Metrics metrics(setup());
  metrics.replay(0);
  metrics.load(0, 300ms);
  metrics.refusal("never_fits");
  metrics.refusal("never_fits");
  metrics.eviction(0, "room_for_other");
  metrics.failure(0, "crashed");
  metrics.recovery(0, "lesser_placement");
  metrics.leak(1, 2_GiB);
  metrics.level_change(0, "high");
  metrics.level_change(0, "");
  metrics.connections(1);
  const std::string text = metrics.scrape({}, {});
  EXPECT_TRUE(has_line(text, R"(tonnage_replays_total{model="a"} 1)")) << text;
  EXPECT_TRUE(has_line(text, R"(tonnage_load_seconds_count{model="a"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_refusals_total{reason="never_fits"} 2)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_evictions_total{model="a",reason="room_for_other"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_failures_total{kind="crashed",model="a"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_recoveries_total{model="a",step="lesser_placement"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_leaks_total{model="b \"q\"\n"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_leaked_bytes_total{model="b \"q\"\n"} 2147483648)"));
  EXPECT_TRUE(
      has_line(text, R"(tonnage_pressure_level_changes_total{level="high",pool="host"} 1)"));
  EXPECT_TRUE(
      has_line(text, R"(tonnage_pressure_level_changes_total{level="none",pool="host"} 1)"));
  EXPECT_TRUE(has_line(text, "tonnage_connections 1"));
  EXPECT_TRUE(has_line(text, R"(tonnage_build_info{version="0.1.0"} 1)"));
}

TEST(Metrics, ShowsGaugesAsTheyAreAtTheScrape) {
  Metrics metrics(setup());
  PoolGauges pool;
  pool.capacity = 16_GiB;
  pool.headroom = Bytes(-5);
  ModelGauges model;
  model.model = 1;
  model.state = 1;
  model.leases = 3;
  std::string text = metrics.scrape({&pool, 1}, {&model, 1});
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_capacity_bytes{pool="host"} 17179869184)")) << text;
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_headroom_bytes{pool="host"} -5)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_sample_age_seconds{pool="host"} Nan)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_state{model="b \"q\"\n",state="ready"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_state{model="b \"q\"\n",state="absent"} 0)"));
  model.state = 0;
  pool.sample_age = 1500ms;
  text = metrics.scrape({&pool, 1}, {&model, 1});
  EXPECT_TRUE(has_line(text, R"(tonnage_model_state{model="b \"q\"\n",state="ready"} 0)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_sample_age_seconds{pool="host"} 1.5)"));
}

TEST(Metrics, ShowsEachModelInEachPool) {
  MetricsSetup two = setup();
  two.pools.emplace_back("gpu0");
  Metrics metrics(two);
  PoolGauges gpu;
  gpu.pool = 1;
  gpu.used = 7_GiB;
  gpu.releasing = 1_GiB;
  gpu.level = 2;
  gpu.lost = true;
  ModelGauges model;
  model.weights = 3_GiB;
  model.pools = {{4_GiB, 1_GiB, 1_GiB}, {5_GiB, 6_GiB, std::nullopt}};
  model.device_failures = 2;
  model.cpu_only = true;
  std::string text = metrics.scrape({&gpu, 1}, {&model, 1});
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_used_bytes{pool="gpu0"} 7516192768)")) << text;
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_orphaned_bytes{pool="gpu0"} Nan)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_releasing_bytes{pool="gpu0"} 1073741824)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_pressure_level{pool="gpu0"} 2)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_pool_lost{pool="gpu0"} 1)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_weights_bytes{model="a"} 3221225472)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_predicted_bytes{model="a",pool="host"} 4294967296)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_predicted_bytes{model="a",pool="gpu0"} 5368709120)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_reserved_bytes{model="a",pool="gpu0"} 6442450944)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_measured_bytes{model="a",pool="host"} 1073741824)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_measured_bytes{model="a",pool="gpu0"} Nan)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_device_failures{model="a"} 2)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_cpu_only{model="a"} 1)"));
  model.pools.clear();  // its server has gone
  text = metrics.scrape({&gpu, 1}, {&model, 1});
  EXPECT_TRUE(has_line(text, R"(tonnage_model_reserved_bytes{model="a",pool="gpu0"} 0)"));
  EXPECT_TRUE(has_line(text, R"(tonnage_model_measured_bytes{model="a",pool="host"} Nan)"));
}

TEST(Metrics, UnboundedWordsDoNotGrowIt) {
  Metrics metrics(setup());
  for (int i = 0; i < 1000; ++i)
    metrics.refusal("word" + std::to_string(i));
  const std::string text = metrics.scrape({}, {});
  EXPECT_TRUE(has_line(text, R"(tonnage_refusals_total{reason="other"} 936)")) << text;
}

TEST(Metrics, TokensFirstTokensAndAbortedAnswersAreCounted) {
  Metrics metrics({.pools = {"host"}, .models = {"a", "b"}, .states = {"absent"}, .version = "1"});
  metrics.request({.model = 0, .status = 200, .tokens = {20, 12, 8}, .first_token = 30ms});
  metrics.request({.model = 0, .status = 200, .aborted = EndedBy::client});
  metrics.request({.model = 1, .status = 200, .aborted = EndedBy::server});
  metrics.request({.model = 1, .status = 0});
  const std::string page = metrics.scrape({}, {});
  for (const char* line : {"tonnage_tokens_total{kind=\"prompt\",model=\"a\"} 20",
                           "tonnage_tokens_total{kind=\"kept\",model=\"a\"} 12",
                           "tonnage_tokens_total{kind=\"generated\",model=\"a\"} 8",
                           "tonnage_time_to_first_token_seconds_count{model=\"a\"} 1",
                           "tonnage_aborted_answers_total{by=\"client\",model=\"a\"} 1",
                           "tonnage_aborted_answers_total{by=\"server\",model=\"b\"} 1",
                           "tonnage_requests_total{model=\"b\",status=\"none\"} 1",
                           "tonnage_requests_total{model=\"a\",status=\"2xx\"} 2"}) {
    EXPECT_NE(page.find(line), std::string::npos) << line << "\n" << page;
  }
}

TEST(Metrics, AKeyThatMaySeeOneModelGetsItsSeriesOnly) {
  Metrics metrics(
      {.pools = {"host"}, .models = {"mine", "other"}, .states = {"absent"}, .version = "1"});
  metrics.request({.model = 1, .status = 200});
  metrics.failure(1, "crashed");
  const std::string page =
      metrics.scrape({}, {}, [](const std::string& model) { return model == "mine"; });
  EXPECT_NE(page.find("model=\"mine\""), std::string::npos);
  EXPECT_EQ(page.find("other"), std::string::npos) << page;
}

}  // namespace
}  // namespace tonnage
