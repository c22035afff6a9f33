// SnapshotFixture: a machine with a GPU, three models and some decisions, for tests only.
#pragma once

#include <vector>

#include <gtest/gtest.h>

#include "api/decision_log.h"
#include "api/memory_api.h"
#include "core/pressure_policy.h"

namespace tonnage::api {

// `chat` runs on gpu0 and is in use, `embed` runs on the CPU, `big` is on disk.
class SnapshotFixture : public testing::Test {
 protected:
  SnapshotFixture() {
    policy_.pools = {{.name = "host"}, {.name = "gpu0"}};
    policy_.models.push_back({.id = "org/chat", .heavy = true});
    policy_.models.push_back({.id = "embed", .type = ModelType::embedding, .ttl = 10min});
    policy_.models.push_back({.id = "big"});
    policy_.pressure = *pressure_preset("balanced");
    faces_ = {{{"gpt-4o-mini"}, "llama", 1700000000, "chat-Q4_K_M.gguf", "Q4_K_M"},
              {{}, "llama", 1700000000, "embed.gguf", ""},
              {{}, "llama", 1700000000, "big.gguf", ""}};
    snapshot_.at = Tick(1h);
    snapshot_.preset = "balanced";
    snapshot_.waiting = 2;
    snapshot_.leases = 1;
    add_pools();
    add_models();
    log_.append({.kind = DecisionKind::load,
                 .reason = ReasonCode::demand,
                 .at = Tick(50min),
                 .model = ModelId{0},
                 .generation = Generation{7},
                 .placement = Placement{32, 8192, 2, KvType::f16},
                 .pool = PoolId{1},
                 .need = 5_GiB,
                 .tried = {{Placement{}, 9_GiB}}});
    log_.append({.kind = DecisionKind::evict,
                 .reason = ReasonCode::room_for_other,
                 .at = Tick(55min),
                 .model = ModelId{2},
                 .other = ModelId{0},
                 .victims = {ModelId{2}}});
  }

  ApiContext context() const { return {policy_, faces_, {1'750'000'000'000'000}}; }
  std::vector<const LoggedDecision*> all() const { return log_.query({}); }

  Policy policy_;
  Snapshot snapshot_;
  std::vector<ModelFace> faces_;
  DecisionLog log_;

 private:
  void add_pools() {
    PoolSnapshot host;
    host.name = "host";
    host.capacity = 32_GiB;
    host.budget = 24_GiB;
    host.used = 12_GiB;
    host.ours = 2_GiB;
    host.foreign = 10_GiB;
    host.reserved = 3_GiB;
    host.headroom = 11_GiB;
    host.sample_age = 200ms;
    PoolSnapshot gpu;
    gpu.pool = PoolId{1};
    gpu.name = "gpu0";
    gpu.capacity = 8_GiB;
    gpu.budget = 7_GiB;
    gpu.used = 7_GiB;
    gpu.ours = 5_GiB;
    gpu.foreign = 2_GiB;
    gpu.orphaned = 256_MiB;
    gpu.reserved = 5_GiB;
    gpu.measured = 5_GiB;
    gpu.releasing = 512_MiB;
    gpu.level = "high";
    gpu.level_for = 90s;
    gpu.sample_age = 300ms;
    snapshot_.pools = {host, gpu};
  }

  void add_models() {
    ModelSnapshot chat;
    chat.model = ModelId{0};
    chat.id = "org/chat";
    chat.state = ResidencyState::ready;
    chat.tier = Tier::gpu;
    chat.generation = Generation{7};
    chat.placement = Placement{32, 8192, 2, KvType::f16};
    chat.leases = 1;
    chat.predicted = 1_GiB;
    chat.weights = 768_MiB;
    chat.reserved = 256_MiB;
    chat.measured = 256_MiB;
    chat.devices = {PoolId{1}};
    chat.device_predicted = {4_GiB};
    chat.device_reserved = {5_GiB};
    chat.device_measured = {4608_MiB};
    chat.source = FootprintSource::learned;
    chat.uses = 12;
    chat.evictions = 1;
    chat.device_failures = 2;
    chat.failure_kind = FailureKind::out_of_device_memory;
    chat.failure = "CUDA error: out of memory";
    ModelSnapshot embed;
    embed.model = ModelId{1};
    embed.id = "embed";
    embed.type = ModelType::embedding;
    embed.state = ResidencyState::ready;
    embed.tier = Tier::host;
    embed.generation = Generation{8};
    embed.placement = Placement{0, 512, 1, KvType::f16};
    embed.weights = 90_MiB;
    embed.reserved = 110_MiB;
    embed.predicted = 200_MiB;
    embed.device_reserved = {Bytes{}};
    embed.idle_for = 2min;
    ModelSnapshot big;
    big.model = ModelId{2};
    big.id = "big";
    big.predicted = 6_GiB;
    big.evictions = 3;
    big.cpu_only = true;
    snapshot_.models = {chat, embed, big};
  }
};

}  // namespace tonnage::api
