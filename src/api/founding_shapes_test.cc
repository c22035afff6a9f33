#include "api/founding_shapes.h"

#include <nlohmann/json.hpp>

#include "api/snapshot_fixture.h"

namespace tonnage::api {
namespace {

using nlohmann::json;
using FoundingShapes = SnapshotFixture;

TEST_F(FoundingShapes, StatsAreOfTheDevicesAndOfTheHost) {
  const json stats = json::parse(memory_stats_json(snapshot_, context()));
  EXPECT_EQ(stats["cuda_available"], true);
  EXPECT_EQ(stats["total_mb"], 8192);
  EXPECT_EQ(stats["used_mb"], 7168);
  EXPECT_EQ(stats["free_mb"], 1024);
  EXPECT_EQ(stats["used_percent"], 87.5);
  EXPECT_EQ(stats["usage_percent"], 0.875);
  EXPECT_EQ(stats["allocated_mb"], 5120);
  EXPECT_EQ(stats["reserved_mb"], 5120);
  EXPECT_EQ(stats["budget_usable_mb"], 7168);
  EXPECT_EQ(stats["cpu_budget_total_mb"], 32768);
  EXPECT_EQ(stats["cpu_budget_usable_mb"], 24576);
  EXPECT_EQ(stats["cpu_used_mb"], 3072);
  EXPECT_EQ(stats["models_loaded"], 2);
  EXPECT_EQ(stats["models_on_gpu"], 1);
  EXPECT_EQ(stats["pressure_level"], "HIGH");
  EXPECT_EQ(stats["total_evictions"], 4);
  EXPECT_EQ(stats["cuda_errors"], 2);
  EXPECT_EQ(stats["cuda_errors_max"], 3);
  EXPECT_EQ(stats["pools"][1]["releasing_bytes"], (512_MiB).count);
}

TEST_F(FoundingShapes, WithoutAGpuThereIsOnlyTheHost) {
  snapshot_.pools.pop_back();
  const json stats = json::parse(memory_stats_json(snapshot_, context()));
  EXPECT_EQ(stats["cuda_available"], false);
  EXPECT_EQ(stats["total_mb"], 0);
  EXPECT_EQ(stats["used_percent"], 0);
  EXPECT_EQ(stats["cpu_budget_total_mb"], 32768);
  const json health = json::parse(memory_health_json(snapshot_, context()));
  EXPECT_EQ(health["mode"], "cpu");
  EXPECT_EQ(health["used_percent"], 37.5);
  EXPECT_EQ(json::parse(system_memory_json(snapshot_, context()))["gpus"], json::array());
}

TEST_F(FoundingShapes, UnifiedMemoryIsBoth) {
  snapshot_.pools.pop_back();
  snapshot_.pools[0].unified = true;
  const json stats = json::parse(memory_stats_json(snapshot_, context()));
  EXPECT_EQ(stats["cuda_available"], true);
  EXPECT_EQ(stats["total_mb"], 32768);
  const json memory = json::parse(system_memory_json(snapshot_, context()));
  EXPECT_EQ(memory["gpus"][0]["unified"], true);
  EXPECT_EQ(memory["ram_total_mb"], 32768.0);
}

TEST_F(FoundingShapes, ALostGpuHasNothingFree) {
  snapshot_.pools[1].lost = true;
  EXPECT_EQ(json::parse(memory_stats_json(snapshot_, context()))["cuda_available"], false);
  const json memory = json::parse(system_memory_json(snapshot_, context()));
  EXPECT_EQ(memory["gpus"][0]["lost"], true);
  EXPECT_EQ(memory["gpus"][0]["free_mb"], 0.0);
  EXPECT_EQ(memory["total_vram_free_mb"], 0.0);
}

TEST_F(FoundingShapes, LoadedModelsSayWhereAndHowMuch) {
  const json models = json::parse(loaded_models_json(snapshot_, context()));
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0]["model_name"], "org/chat");
  EXPECT_EQ(models[0]["quantization"], "Q4_K_M");
  EXPECT_EQ(models[0]["location"], "gpu");
  EXPECT_EQ(models[0]["memory_mb"], 256 + 768 + 4608);
  EXPECT_EQ(models[0]["idle_seconds"], 0.0);
  EXPECT_EQ(models[0]["use_count"], 12);
  EXPECT_EQ(models[1]["location"], "cpu");
  EXPECT_EQ(models[1]["memory_mb"], 200);
  EXPECT_EQ(models[1]["idle_seconds"], 120.0);
  EXPECT_EQ(models[1]["last_used"], 1'750'003'480.0);
}

TEST_F(FoundingShapes, EvictionsHaveTheirReason) {
  const auto entries = log_.query({.kinds = {DecisionKind::evict}});
  const json rows = json::parse(eviction_history_json(entries, snapshot_, context()));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["model_name"], "big");
  EXPECT_EQ(rows[0]["reason"], "room_for_other");
  EXPECT_EQ(rows[0]["action"], "unloaded");
  EXPECT_EQ(rows[0]["memory_freed_mb"], 6144);
  EXPECT_EQ(rows[0]["timestamp"], 1'750'003'300.0);
  EXPECT_NE(rows[0]["explain"].get<std::string>().find("org/chat"), std::string::npos);
}

TEST_F(FoundingShapes, HealthIsBadAtTheHighestLevelOnly) {
  json health = json::parse(memory_health_json(snapshot_, context()));
  EXPECT_EQ(health["healthy"], true);
  EXPECT_EQ(health["pressure"], "HIGH");
  EXPECT_EQ(health["message"], "memory pressure is high");
  EXPECT_EQ(health["used_percent"], 87.5);
  snapshot_.pools[1].level = "critical";
  health = json::parse(memory_health_json(snapshot_, context()));
  EXPECT_EQ(health["healthy"], false);
  EXPECT_EQ(health["pressure"], "CRITICAL");
  snapshot_.pools[1].level = "";
  health = json::parse(memory_health_json(snapshot_, context()));
  EXPECT_EQ(health["healthy"], true);
  EXPECT_EQ(health["pressure"], "LOW");
  snapshot_.problems.push_back({"probe_stale", "pool gpu0 has no recent sample"});
  health = json::parse(memory_health_json(snapshot_, context()));
  EXPECT_EQ(health["healthy"], false);
  EXPECT_EQ(health["message"], "pool gpu0 has no recent sample");
}

TEST_F(FoundingShapes, TheHighestLevelOfAnyPoolCounts) {
  snapshot_.pools[0].level = "critical";
  EXPECT_EQ(pressure_word(snapshot_, policy_), "CRITICAL");
  snapshot_.pools[0].level = "moderate";
  EXPECT_EQ(pressure_word(snapshot_, policy_), "HIGH");
  snapshot_.pools[0].level = "";
  snapshot_.pools[1].level = "";
  EXPECT_EQ(pressure_word(snapshot_, policy_), "LOW");
  policy_.pressure = *pressure_preset("guard");
  EXPECT_EQ(pressure_word(snapshot_, policy_), "NORMAL");
}

TEST_F(FoundingShapes, SystemMemoryListsGpusAndModels) {
  const json memory = json::parse(system_memory_json(snapshot_, context()));
  EXPECT_EQ(memory["ram_total_mb"], 32768.0);
  EXPECT_EQ(memory["ram_used_mb"], 12288.0);
  EXPECT_EQ(memory["ram_available_mb"], 20480.0);
  EXPECT_EQ(memory["gpus"][0]["name"], "gpu0");
  EXPECT_EQ(memory["gpus"][0]["free_mb"], 1024.0);
  EXPECT_EQ(memory["total_vram_free_mb"], 1024.0);
  EXPECT_EQ(memory["timestamp"], 1'750'003'600.0);
  EXPECT_EQ(memory["heavy_slot"], "org/chat");
  const json& chat = memory["loaded_models"]["org/chat"];
  EXPECT_EQ(chat["path"], "chat-Q4_K_M.gguf");
  EXPECT_EQ(chat["n_ctx"], 8192);
  EXPECT_EQ(chat["n_gpu_layers"], 32);
  EXPECT_EQ(chat["is_heavy"], true);
  EXPECT_EQ(chat["estimated_vram_mb"], 4096.0);
  EXPECT_EQ(memory["loaded_models"].size(), 2U);
}

TEST_F(FoundingShapes, TheStatusHasTheRoutersView) {
  const json status = json::parse(status_json(snapshot_, context(), {.last_unload = Tick(55min)}));
  EXPECT_EQ(status["system"]["total_gb"], 32.0);
  EXPECT_EQ(status["system"]["available_gb"], 20.0);
  EXPECT_EQ(status["system"]["pressure_percent"], 37.5);
  const json& loaded = status["ollama"]["loaded_models"];
  ASSERT_EQ(loaded.size(), 2U);
  EXPECT_EQ(loaded[0]["name"], "org/chat");
  EXPECT_EQ(loaded[0]["size_gb"], 5.5);
  EXPECT_TRUE(loaded[0]["expires_at"].is_null());
  EXPECT_EQ(loaded[1]["expires_at"], "2025-06-15T16:14:40Z");  // 8 of its 10 minutes are left
  EXPECT_EQ(status["ollama"]["total_loaded_gb"], 5.7);
  EXPECT_EQ(status["router"]["active_member"], "org/chat");
  EXPECT_EQ(status["router"]["last_unload"], "2025-06-15T16:01:40Z");
  EXPECT_EQ(status["pools"][1]["level"], "high");
  EXPECT_EQ(status["preset"], "balanced");
}

TEST(QuantizationOf, IsWhatTheFilesNameEndsIn) {
  EXPECT_EQ(quantization_of("qwen3-8b-q4_k_m.gguf"), "Q4_K_M");
  EXPECT_EQ(quantization_of("Llama-3.2-1B.IQ4_NL.gguf"), "IQ4_NL");
  EXPECT_EQ(quantization_of("m-bf16.gguf"), "BF16");
  EXPECT_EQ(quantization_of("demo-small.gguf"), "");
  EXPECT_EQ(quantization_of("model.gguf"), "");
  EXPECT_EQ(quantization_of(""), "");
}

TEST_F(FoundingShapes, NothingIsInventedBeforeTheFirstSample) {
  const Snapshot empty;
  for (const std::string& text :
       {memory_stats_json(empty, context()), memory_health_json(empty, context()),
        system_memory_json(empty, context()), loaded_models_json(empty, context()),
        status_json(empty, context(), {})}) {
    EXPECT_FALSE(json::parse(text, nullptr, false).is_discarded()) << text;
  }
}

}  // namespace
}  // namespace tonnage::api
