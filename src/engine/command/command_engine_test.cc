#include "engine/command/command_engine.h"

#include <map>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class Gpus final : public GpuSight {
 public:
  VisibleGpus visible(std::span<const PoolId> pools) const override {
    return pools.empty() ? VisibleGpus{{"CUDA_VISIBLE_DEVICES="}, {}, {}}
                         : VisibleGpus{{"CUDA_VISIBLE_DEVICES=GPU-a"}, {}, {}};
  }
  VisibleGpus visible_for_dry_run(std::size_t) const override { return {}; }
  DeviceSpace space() const override { return {capacities, {}}; }
  std::vector<Bytes> capacities;
};

class Told final : public EngineObserver {
 public:
  void profiled(ModelId, std::vector<PlacementRow> told) override { rows = std::move(told); }
  void profile_failed(ModelId, Failure) override { ADD_FAILURE(); }
  void profile_paused(ModelId) override { ADD_FAILURE(); }
  void files_mended(ModelId) override { ADD_FAILURE(); }
  std::vector<PlacementRow> rows;
};

class CommandEngineTest : public testing::Test {
 protected:
  CommandEngineTest() {
    ModelConfig model;
    model.command = {"/bin/sh", "--at", "${PORT}", "${MODEL}", "${GPU_UUIDS}"};
    model.declared_host = 1_GiB;
    model.env = {{"MINE", "yes"}};
    model.health = "/ready";
    config_.models = {model};
    config_.policy.models = {{.id = "own"}};
  }

  // Nothing of the loop may go while a worker knows the way to it.
  ~CommandEngineTest() override { EXPECT_TRUE(workers_.finish(20s)); }

  CommandEngine engine() {
    return CommandEngine({io_, workers_, config_, gpus_, told_, {"PATH=/bin"}});
  }

  std::expected<ServerSpec, Failure> prepared(CommandEngine& engine,
                                              std::vector<PoolId> devices = {}) {
    std::optional<std::expected<ServerSpec, Failure>> got;
    engine.prepare({.model = kOwn,
                    .generation = Generation(7),
                    .placement = {},
                    .devices = std::move(devices),
                    .socket = "/run/t/0-7.sock"},
                   [&got](const auto& spec) { got = spec; });
    EXPECT_FALSE(got) << "from within the call";
    io_.restart();
    io_.run();
    return got.value();
  }

  static constexpr ModelId kOwn{0};
  boost::asio::io_context io_;
  Workers workers_;
  Config config_;
  Gpus gpus_;
  Told told_;
};

TEST_F(CommandEngineTest, a_server_of_words_variables_and_a_port_of_its_own) {
  CommandEngine engine = this->engine();
  const auto spec = prepared(engine);
  ASSERT_TRUE(spec) << spec.error().text;
  EXPECT_GT(spec->endpoint.port, 0);
  EXPECT_EQ(spec->endpoint.host, "127.0.0.1");
  EXPECT_THAT(spec->argv,
              ElementsAre("/bin/sh", "--at", std::to_string(spec->endpoint.port), "own", ""));
  EXPECT_EQ(spec->health_path, "/ready");
  EXPECT_EQ(spec->slots_path, "");
  EXPECT_THAT(spec->env, Contains("MINE=yes"));
  EXPECT_THAT(spec->env, Contains("TONNAGE_SERVER=/run/t/0-7.sock"));
}

TEST_F(CommandEngineTest, a_socket_is_its_endpoint_where_the_command_names_it) {
  config_.models[0].command = {"sh", "${SOCKET}"};
  CommandEngine engine = this->engine();
  const auto spec = prepared(engine);
  ASSERT_TRUE(spec) << spec.error().text;
  EXPECT_THAT(spec->argv, ElementsAre("/bin/sh", "/run/t/0-7.sock"));
  EXPECT_EQ(spec->endpoint.unix_path, "/run/t/0-7.sock");
}

TEST_F(CommandEngineTest, a_program_that_is_not_there_is_said_with_a_remedy) {
  config_.models[0].command.front() = "no-such-program";
  CommandEngine engine = this->engine();
  const auto spec = prepared(engine);
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().kind, FailureKind::bad_setup);
  EXPECT_THAT(spec.error().text, HasSubstr("no such program on PATH"));
}

TEST_F(CommandEngineTest, declared_memory_counts_where_it_is) {
  config_.models[0].declared_gpu = 3_GiB;
  CommandEngine engine = this->engine();
  engine.profile(kOwn, false);
  ASSERT_EQ(told_.rows.size(), 1U);
  EXPECT_EQ(told_.rows[0].host_anon, 4_GiB) << "there is no GPU";
  EXPECT_EQ(told_.rows[0].source, FootprintSource::declared);
  gpus_.capacities = {8_GiB};
  engine.profile(kOwn, false);
  EXPECT_EQ(told_.rows[0].host_anon, 1_GiB);
  EXPECT_THAT(told_.rows[0].device_bytes, ElementsAre(3_GiB));
  const auto spec = prepared(engine, {PoolId(1)});
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->argv.back(), "GPU-a");
}

TEST_F(CommandEngineTest, what_counts_in_the_host_without_a_gpu_counts_once) {
  config_.models[0].declared_gpu = 3_GiB;
  CommandEngine engine = this->engine();
  ASSERT_TRUE(prepared(engine));
  engine.server_held(kOwn, 2_GiB, {});
  engine.profile(kOwn, false);
  EXPECT_EQ(told_.rows[0].host_anon, 4_GiB) << "both declarations, and less was seen";
  engine.server_held(kOwn, 5_GiB, {});
  engine.profile(kOwn, false);
  EXPECT_EQ(told_.rows[0].host_anon, 5_GiB);
}

TEST_F(CommandEngineTest, a_server_of_the_command_before_teaches_nothing_of_the_next) {
  CommandEngine engine = this->engine();
  ASSERT_TRUE(prepared(engine));
  config_.models[0].command.push_back("--smaller");
  engine.server_held(kOwn, 7_GiB, {});  // it is still there while the new one is configured
  engine.profile(kOwn, false);
  EXPECT_EQ(told_.rows[0].host_anon, 1_GiB);
  ASSERT_TRUE(prepared(engine));
  engine.profile(kOwn, false);
  EXPECT_EQ(told_.rows[0].host_anon, 1_GiB);
}

TEST_F(CommandEngineTest, more_than_declared_is_learned_before_the_next_start) {
  CommandEngine engine = this->engine();
  engine.profile(kOwn, false);
  ASSERT_TRUE(prepared(engine));
  engine.server_held(kOwn, 900_MiB, {});
  EXPECT_TRUE(prepared(engine)) << "less than declared changes nothing";
  engine.server_held(kOwn, 1500_MiB, {});
  engine.server_held(kOwn, 100_MiB, {});
  const auto spec = prepared(engine);
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().kind, FailureKind::stale_profile);
  engine.profile(kOwn, false);
  EXPECT_EQ(told_.rows[0].host_anon, 1500_MiB);
  EXPECT_EQ(told_.rows[0].source, FootprintSource::learned);
  EXPECT_TRUE(prepared(engine));
}

}  // namespace
}  // namespace tonnage
