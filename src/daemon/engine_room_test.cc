#include "daemon/engine_room.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "process/loop_fixture.h"

namespace tonnage {
namespace {

class NoGpus final : public GpuSight {
 public:
  VisibleGpus visible(std::span<const PoolId>) const override { return {}; }
  VisibleGpus visible_for_dry_run(std::size_t) const override { return {}; }
  DeviceSpace space() const override { return {}; }
};

// A room with one model, whose server ends at once with a word of its own.
class EngineRoomTest : public LoopFixture {
 protected:
  EngineRoomTest() {
    ModelConfig model;
    model.command = {"/bin/sh", "-c", "echo out of luck; exit 3", "${PORT}"};
    model.declared_host = 5_MiB;
    config_.models = {model};
    config_.policy.models = {{.id = "own"}};
    config_.state_dir = scratch_.path();
    folder_.emplace(*RuntimeFolder::open(scratch_.path() / "run"));
    room_.emplace(loop_, workers_, config_, LlamaPrograms{}, std::vector<std::string>{"PATH=/bin"},
                  gpus_, *folder_, [this](Event event) { events_.push_back(std::move(event)); });
  }

  // Nothing of the loop may go while a worker knows the way to it.
  ~EngineRoomTest() override { EXPECT_TRUE(workers_.finish(20s)); }

  template <typename T>
  const T* told() const {
    for (const Event& event : events_) {
      if (const T* found = std::get_if<T>(&event))
        return found;
    }
    return nullptr;
  }

  static constexpr ModelId kOwn{0};
  Workers workers_;
  Config config_;
  NoGpus gpus_;
  std::optional<RuntimeFolder> folder_;
  std::vector<Event> events_;
  std::optional<EngineRoom> room_;
};

TEST_F(EngineRoomTest, asks_the_engine_of_the_model) {
  EXPECT_EQ(room_->engine_name(kOwn), "command");
  config_.models[0].command.clear();
  EXPECT_EQ(room_->engine_name(kOwn), "llama");
}

TEST_F(EngineRoomTest, a_profile_becomes_an_event) {
  room_->profile({.model = kOwn, .next = false});
  const auto* profiled = told<ModelProfiled>();
  ASSERT_NE(profiled, nullptr);
  EXPECT_EQ(profiled->rows.at(0).host_anon, 5_MiB);
}

TEST_F(EngineRoomTest, a_server_that_ends_is_told_once_with_its_last_words) {
  room_->start({.model = kOwn, .generation = Generation(4), .placement = {}, .devices = {}});
  EXPECT_TRUE(events_.empty()) << "never from within the call";
  ASSERT_TRUE(run_until([this] { return told<ServerExited>() != nullptr; }));
  const auto* exited = told<ServerExited>();
  EXPECT_EQ(exited->generation, Generation(4));
  ASSERT_TRUE(exited->failure);
  EXPECT_THAT(exited->failure->text, testing::HasSubstr("out of luck"));
  EXPECT_EQ(events_.size(), 1U);
  EXPECT_FALSE(room_->endpoint(Generation(4)));
}

TEST_F(EngineRoomTest, one_that_is_stopped_before_it_began_never_starts) {
  room_->start({.model = kOwn, .generation = Generation(4), .placement = {}, .devices = {}});
  room_->stop({.model = kOwn, .generation = Generation(4)});
  ASSERT_TRUE(run_until([this] { return told<ServerExited>() != nullptr; }));
  EXPECT_FALSE(told<ServerExited>()->failure);
  EXPECT_TRUE(room_->servers().empty());
}

TEST_F(EngineRoomTest, what_a_server_was_seen_to_hold_is_the_next_profile) {
  config_.models[0].command = {"/bin/sleep", "600", "${PORT}"};
  room_->start({.model = kOwn, .generation = Generation(4), .placement = {}, .devices = {}});
  ASSERT_TRUE(run_until([this] { return !room_->servers().empty(); }));
  room_->held({.generation = Generation(4), .host_anon = 50_MiB, .device_bytes = {}});
  room_->held({.generation = Generation(3), .host_anon = 90_MiB, .device_bytes = {}});
  room_->profile({.model = kOwn, .next = false});
  EXPECT_EQ(told<ModelProfiled>()->rows.at(0).host_anon, 50_MiB);
}

}  // namespace
}  // namespace tonnage
