#include "footprint/host_footprint.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

GgufInfo decoder(std::uint64_t width, std::uint64_t hidden, std::uint64_t layers) {
  GgufInfo model;
  model.file = FileId(7);
  model.keys["general.architecture"] = std::string("llama");
  model.keys["llama.embedding_length"] = width;
  model.keys["llama.feed_forward_length"] = hidden;
  model.keys["llama.block_count"] = layers;
  model.keys["llama.attention.head_count"] = width / 64;
  model.keys["llama.attention.head_count_kv"] = std::uint64_t{1};
  return model;
}

DryRun host_only(Bytes weights, Bytes context, Bytes compute) {
  return {.devices = {}, .host = {"Host", weights, context, compute}};
}

ServerSettings at(std::int32_t context, std::int32_t slots, Bytes cache_ram = Bytes(0)) {
  return {.placement = {.context = context, .slots = slots}, .cache_ram = cache_ram};
}

// A run of the pinned engine: its dry run, and the largest RssAnon + RssShmem while rounds of
// requests filled every slot's context.
struct Measured {
  const char* what;
  std::uint64_t width, hidden, vocabulary;
  Bytes header, tensors;
  std::int32_t context, slots;
  Bytes cache_ram;
  std::int64_t dry_weights, dry_context, dry_compute;  // MiB
  double peak;                                         // MiB
};

const std::vector<Measured>& measurements() {
  static const std::vector<Measured> all = {
      {"5 MB", 128, 480, 328, 8915_B, 5010944_B, 512, 1, 0_B, 4, 0, 4, 11.4},
      {"5 MB, 8 slots", 128, 480, 328, 8915_B, 5010944_B, 512, 8, 0_B, 4, 5, 4, 19.6},
      {"5 MB, long", 128, 480, 328, 8915_B, 5010944_B, 8192, 1, 0_B, 4, 10, 11, 31.2},
      {"5 MB, 4 long", 128, 480, 328, 8915_B, 5010944_B, 8192, 4, 0_B, 4, 40, 11, 66.5},
      {"5 MB, 24 clients", 128, 480, 328, 8915_B, 5010944_B, 1024, 4, 0_B, 4, 5, 4, 21.8},
      {"5 MB, cache", 128, 480, 328, 8915_B, 5010944_B, 1024, 4, 16_MiB, 4, 5, 4, 36.7},
      {"30 MB, cache", 320, 1248, 328, 8916_B, 29730560_B, 2048, 4, 64_MiB, 28, 10, 11, 96.4},
      {"200 MB", 576, 2176, 328, 12097_B, 199450368_B, 512, 1, 0_B, 190, 1, 17, 24.2},
      {"200 MB, 8 slots", 576, 2176, 328, 12097_B, 199450368_B, 512, 8, 0_B, 190, 11, 17, 37.8},
      {"200 MB, long", 576, 2176, 328, 12097_B, 199450368_B, 8192, 1, 0_B, 190, 22, 25, 56.3},
      {"Llama 2's vocabulary", 256, 1024, 32000, 725997_B, 40379392_B, 1024, 2, 0_B, 38, 2, 63,
       22.9},
      {"GPT-2's", 256, 1024, 50257, 1769069_B, 59074560_B, 1024, 2, 0_B, 56, 2, 99, 33.5},
      {"Llama 3's", 256, 1024, 128256, 7820232_B, 138945536_B, 1024, 2, 0_B, 132, 2, 251, 72.0},
      {"Llama 3's, wide", 1024, 4096, 128256, 7822348_B, 768675840_B, 1024, 2, 0_B, 733, 16, 254,
       111.6},
      {"Q4_0, repacked", 1024, 4096, 32000, 729171_B, 169578496_B, 512, 1, 0_B, 62, 5, 66, 139.2},
      {"Q4_0, in place", 1024, 4096, 32000, 729171_B, 169578496_B, 512, 1, 0_B, 161, 5, 66, 40.0},
  };
  return all;
}

TEST(HostFootprint, IsATightUpperBoundOfWhatWasMeasured) {
  for (const Measured& m : measurements()) {
    GgufInfo model = decoder(m.width, m.hidden, 4);
    model.keys["tokenizer.ggml.tokens"] = GgufArray{m.vocabulary};
    model.header_bytes = m.header;
    model.tensor_bytes = m.tensors;
    const Bytes predicted =
        host_anon(model,
                  host_only(Bytes(m.dry_weights * kMiB), Bytes(m.dry_context * kMiB),
                            Bytes(m.dry_compute * kMiB)),
                  at(m.context, m.slots, m.cache_ram));
    const Bytes peak(static_cast<std::int64_t>(m.peak * static_cast<double>(kMiB)));
    EXPECT_GE(predicted, peak) << m.what;
    // Of the whole footprint, the mapped weights included.
    const Bytes whole = m.tensors + peak;
    EXPECT_LE(predicted - peak, std::max(15_MiB, permille_of(whole, 100))) << m.what;
  }
}

TEST(HostFootprint, TakesTheDryRunsWordForGraphsThatAreNotKnownHere) {
  GgufInfo model = decoder(256, 1024, 4);
  model.keys["tokenizer.ggml.tokens"] = GgufArray{128256};
  const DryRunRow host{"Host", 132_MiB, 2_MiB, 251_MiB};
  EXPECT_LT(host_compute(model, host, at(1024, 2)), 20_MiB);
  // The layers need more than the outputs of all tokens would.
  const DryRunRow large{"Host", 132_MiB, 2_MiB, 400_MiB};
  EXPECT_EQ(host_compute(model, large, at(1024, 2)), 401_MiB);
  model.keys["llama.expert_count"] = std::uint64_t{8};
  EXPECT_EQ(host_compute(model, host, at(1024, 2)), 252_MiB);
  model.keys.erase("llama.expert_count");
  model.keys["general.architecture"] = std::string("gemma3n");
  EXPECT_EQ(host_compute(model, host, at(1024, 2)), 252_MiB);
}

TEST(HostFootprint, OutputsAreCountedBySlotsAndNotByTheMicroBatch) {
  // Gemma 3 270M: 262,144 entries, of which the dry run reserves 512 rows, 514 MiB.
  GgufInfo model = decoder(640, 2048, 18);
  for (const char* key : {"embedding_length", "feed_forward_length", "block_count"})
    model.keys["gemma3." + std::string(key)] = model.keys["llama." + std::string(key)];
  model.keys["general.architecture"] = std::string("gemma3");
  model.keys["gemma3.attention.head_count"] = std::uint64_t{4};
  model.keys["gemma3.attention.key_length"] = std::uint64_t{256};
  model.keys["gemma3.attention.sliding_window"] = std::uint64_t{512};
  model.keys["tokenizer.ggml.tokens"] = GgufArray{262144};
  const DryRunRow host{"Host", 222_MiB, 54_MiB, 514_MiB};
  const Bytes two_slots = host_compute(model, host, at(4096, 2));
  EXPECT_LT(two_slots, 48_MiB);
  ServerSettings drafted = at(4096, 2);
  drafted.outputs_per_slot = 4;
  EXPECT_EQ(host_compute(model, host, drafted) - two_slots, 6_MiB);
  ServerSettings scores = at(4096, 2);
  scores.flash_attention = false;
  EXPECT_EQ(host_compute(model, host, scores), 515_MiB);
}

TEST(HostFootprint, AProjectorTakesItsWeightsAndTheBuffersOfAPicture) {
  GgufInfo projector;
  projector.tensor_bytes = 100_MiB;
  projector.keys["clip.vision.embedding_length"] = std::uint64_t{1152};
  projector.keys["clip.vision.feed_forward_length"] = std::uint64_t{4304};
  projector.keys["clip.vision.image_size"] = std::uint64_t{896};
  projector.keys["clip.vision.patch_size"] = std::uint64_t{14};
  projector.keys["clip.vision.attention.head_count"] = std::uint64_t{16};
  EXPECT_GT(projector_bytes(projector), 1024_MiB);
  GgufInfo hostile;
  hostile.keys["clip.audio.embedding_length"] = ~std::uint64_t{0} >> 1;
  hostile.keys["clip.audio.image_size"] = ~std::uint64_t{0} >> 1;
  EXPECT_GT(projector_bytes(hostile), 0_B);
}

TEST(HostFootprint, WithoutADryRunTakesTheFileAndAFifthAndTheCache) {
  GgufInfo model = decoder(1024, 4096, 10);
  model.file_size = 1000_MiB;
  const ServerSettings settings = at(2048, 2);
  // 10 layers x 2 x 64 numbers x 2 bytes x 4096 tokens = 10 MiB.
  EXPECT_EQ(host_anon_analytic(model, settings),
            200_MiB + 10_MiB + process_overhead(model, settings));
  ServerSettings quantised = settings;
  quantised.placement.kv = KvType::q8_0;
  EXPECT_EQ(host_anon_analytic(model, settings) - host_anon_analytic(model, quantised),
            Bytes(10 * kMiB - 10 * kMiB / 32 * 17));
}

TEST(HostFootprint, AHostileHeaderDoesNotOverflow) {
  GgufInfo model = decoder(~std::uint64_t{0} >> 1, 1 << 30, ~std::uint64_t{0} >> 1);
  model.keys["llama.attention.head_count"] = ~std::uint64_t{0} >> 1;
  model.keys["llama.attention.head_count_kv"] = ~std::uint64_t{0} >> 1;
  model.keys["llama.attention.key_length"] = ~std::uint64_t{0} >> 1;
  model.keys["llama.vocab_size"] = ~std::uint64_t{0} >> 1;
  const ServerSettings settings = at(1 << 30, 1 << 10);
  EXPECT_GT(host_anon_analytic(model, settings), 0_B);
  EXPECT_GT(host_anon(model, host_only(1_MiB, 1_MiB, 1_MiB), settings), 0_B);
  model.keys["llama.attention.head_count"] = std::int64_t{-5};
  EXPECT_GT(host_anon_analytic(model, settings), 0_B);
}

}  // namespace
}  // namespace tonnage
