#include "footprint/checkpoints.h"

#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr Placement kTwoSlots{.context = 4096, .slots = 2};

GgufInfo model_of(const std::string& architecture, Bytes weights) {
  GgufInfo model;
  model.keys["general.architecture"] = architecture;
  model.tensor_bytes = weights;
  return model;
}

void set(GgufInfo& model, const std::string& key, std::uint64_t value) {
  model.keys[model.architecture() + "." + key] = value;
}

GgufInfo gemma3(std::uint64_t layers, std::uint64_t kv_heads, std::uint64_t head,
                std::uint64_t window, Bytes weights) {
  GgufInfo model = model_of("gemma3", weights);
  set(model, "block_count", layers);
  set(model, "embedding_length", 640);
  set(model, "attention.head_count", kv_heads * 4);
  set(model, "attention.head_count_kv", kv_heads);
  set(model, "attention.key_length", head);
  set(model, "attention.value_length", head);
  set(model, "attention.sliding_window", window);
  return model;
}

GgufInfo hybrid(Bytes weights) {
  GgufInfo model = model_of("qwen3next", weights);
  set(model, "block_count", 48);
  set(model, "embedding_length", 2048);
  set(model, "ssm.state_size", 128);
  set(model, "ssm.inner_size", 4096);
  set(model, "ssm.conv_kernel", 4);
  set(model, "ssm.group_count", 16);
  return model;
}

TEST(Checkpoints, full_attention_needs_none) {
  GgufInfo model = model_of("llama", 100_MiB);
  set(model, "block_count", 30);
  EXPECT_EQ(prompt_memory(model), PromptMemory::whole);
  EXPECT_EQ(checkpoint_bytes(model, kTwoSlots), Bytes(0));
  EXPECT_EQ(default_checkpoints(model, kTwoSlots), 0);
}

// Measured with the engine: 512 tokens x 15,360 bytes.
TEST(Checkpoints, a_window_holds_its_tokens_in_the_layers_that_have_one) {
  const GgufInfo model = gemma3(18, 1, 256, 512, 235_MiB);
  EXPECT_EQ(prompt_memory(model), PromptMemory::window);
  EXPECT_EQ(checkpoint_bytes(model, kTwoSlots), Bytes(512 * 15'360));
  EXPECT_EQ(default_checkpoints(model, kTwoSlots), 2);
}

TEST(Checkpoints, a_context_shorter_than_the_window_bounds_it) {
  const GgufInfo model = gemma3(18, 1, 256, 512, 235_MiB);
  EXPECT_EQ(checkpoint_bytes(model, {.context = 256, .slots = 1}), Bytes(256 * 15'360));
}

// 416 MiB each, some 840 MiB of weights' twentieth: one for each of two slots would be too many.
TEST(Checkpoints, a_window_that_costs_much_has_none_by_default) {
  const GgufInfo model = gemma3(62, 16, 128, 1024, 15'000_MiB);
  EXPECT_EQ(checkpoint_bytes(model, kTwoSlots), Bytes(1024LL * 52 * 16 * 256 * 2));
  EXPECT_EQ(default_checkpoints(model, kTwoSlots), 0);
  EXPECT_EQ(default_checkpoints(model, {.context = 4096, .slots = 1}), 1);
}

TEST(Checkpoints, a_state_is_counted_in_every_layer) {
  const GgufInfo model = hybrid(20'000_MiB);
  EXPECT_EQ(prompt_memory(model), PromptMemory::recurrent);
  EXPECT_EQ(checkpoint_bytes(model, kTwoSlots),
            Bytes(48LL * 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096)));
  EXPECT_EQ(default_checkpoints(model, kTwoSlots), 4);
}

TEST(Checkpoints, a_state_has_two_whatever_they_cost) {
  EXPECT_EQ(default_checkpoints(hybrid(500_MiB), kTwoSlots), 2);
}

TEST(Checkpoints, an_encoder_has_none) {
  GgufInfo model = model_of("gemma-embedding", 300_MiB);
  set(model, "block_count", 24);
  set(model, "attention.sliding_window", 512);
  set(model, "pooling_type", 1);
  EXPECT_EQ(default_checkpoints(model, kTwoSlots), 0);
}

TEST(Checkpoints, a_damaged_header_stays_within_bounds) {
  GgufInfo model = hybrid(1_GiB);
  for (const char* key : {"block_count", "ssm.state_size", "ssm.inner_size", "ssm.group_count"})
    set(model, key, std::uint64_t{1} << 62);
  EXPECT_GE(checkpoint_bytes(model, kTwoSlots), Bytes(0));
  EXPECT_EQ(default_checkpoints(model, kTwoSlots), 2);
}

}  // namespace
}  // namespace tonnage
