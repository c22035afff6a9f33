#include "footprint/host_footprint.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace tonnage {
namespace {

// Measured: peak of RssAnon + RssShmem of the pinned llama-server over rounds of requests that fill
// every slot's context, twice as many at a time as there are slots, minus the dry run's context and
// compute. It levels off after a few rounds. 5 to 200 MB, contexts 512 to 8192, slots 1 to 8:
// 6.2 to 10.8 MiB, 15.5 MiB with 32,768 tokens in all. To be measured again for a new engine.
constexpr Bytes kProcess = 9_MiB;
constexpr Bytes kPerSlot = 256_KiB;
constexpr Bytes kPerToken{300};  // cell tables of the cache, the prompt's tokens and text
// Sampling candidates (12 bytes) and output rows (4 bytes, and a copy), each slot and vocabulary
// entry: 8 slots took 11.5 MiB more than 2 with 128,256 entries.
constexpr Bytes kPerSlotAndToken{20};
// Tokens, merge rules and their hash tables per byte of header: 4.0 to 7.3 with the vocabularies
// of Llama 2, GPT-2, Llama 3 and Gemma 4 (32,000 to 262,144 entries).
constexpr std::int64_t kPerHeaderBytePermille = 7500;
// Patches of an image, or frames of sound, that one pass of a projector takes. There is no dry run
// of projectors, so a fifth is added.
constexpr std::int64_t kPatchesMin = 1500;
constexpr std::int64_t kPatchesMax = 16384;
constexpr std::int64_t kProjectorPermille = 1200;
// The prompt cache counts states, not its own tables: 64 MiB grew to 64.7, 16 MiB to 17.6.
constexpr Bytes kPromptCacheSlack = 2_MiB;

// A header may say anything; what no model has would overflow the products below.
std::int64_t sane(std::int64_t value) {
  return std::clamp<std::int64_t>(value, 0, 1 << 24);
}

std::int64_t vocabulary(const GgufInfo& model) {
  return sane(model.vocabulary_size().value_or(0));
}

// Bytes per 32 numbers of a cache row.
std::int64_t bytes_per_32(KvType type) {
  switch (type) {
    case KvType::f32:
      return 128;
    case KvType::f16:
    case KvType::bf16:
      return 64;
    case KvType::q8_0:
      return 34;
    case KvType::q5_1:
      return 24;
    case KvType::q5_0:
      return 22;
    case KvType::q4_1:
      return 20;
    case KvType::q4_0:
    case KvType::iq4_nl:
      return 18;
  }
  return 128;
}

// Architectures whose layers are norms, attention and a gated feed-forward network, nothing else.
constexpr std::array<std::string_view, 8> kPlainLayers = {"llama", "mistral3", "qwen2",  "qwen3",
                                                          "phi3",  "gemma",    "gemma2", "gemma3"};

// Numbers per token of a micro-batch that a dense decoder's largest graph holds at once: gate, up
// and their product, and the residual stream, its norm and their like. Measured against dry runs
// of models without a large vocabulary: 3 x hidden + 4 x width; 5 leaves room for biases.
std::optional<std::int64_t> dense_numbers_per_token(const GgufInfo& model) {
  const auto hidden = model.of("feed_forward_length");
  const auto width = model.of("embedding_length");
  if (std::ranges::find(kPlainLayers, model.architecture()) == kPlainLayers.end() || !hidden ||
      !width || *hidden <= 0 || *width <= 0 || model.of("expert_count").value_or(0) != 0) {
    return std::nullopt;
  }
  const std::int64_t heads = header_number(model, "attention.head_count", 1);
  const std::int64_t queries = sane(heads * header_number(model, "attention.key_length", 0));
  return 3 * header_number(model, "feed_forward_length", 0) +
         5 * std::max(header_number(model, "embedding_length", 0), queries);
}

// What the layers of a plain decoder need for a micro-batch; empty for any other model, and where
// scores of whole heads are kept.
std::optional<Bytes> layers_compute(const GgufInfo& model, const ServerSettings& settings) {
  const auto numbers = dense_numbers_per_token(model);
  if (!numbers || !settings.flash_attention)
    return std::nullopt;
  // A half-precision mask entry for each token and cell of its slot; a second mask where some
  // layers look back through a window only.
  const std::int64_t masks = model.of("attention.sliding_window").value_or(0) > 0 ? 2 : 1;
  const Bytes mask(std::int64_t{settings.micro_batch} * settings.placement.context * 2 * masks);
  return Bytes(*numbers * settings.micro_batch * 4) + mask;
}

}  // namespace

std::int64_t header_number(const GgufInfo& model, const char* key, std::int64_t otherwise) {
  return sane(model.of(key).value_or(otherwise));
}

Bytes key_value_cache(const GgufInfo& model, const ServerSettings& settings) {
  // Where the header has one number of heads per layer, the embedding's width stands for them.
  if (model.is_embedding() && model.architecture().find("bert") != std::string::npos)
    return {};
  const std::int64_t width = header_number(model, "embedding_length", 0);
  const std::int64_t heads =
      std::max<std::int64_t>(1, header_number(model, "attention.head_count", 1));
  const std::int64_t kv_heads = header_number(model, "attention.head_count_kv", heads);
  const std::int64_t key = header_number(model, "attention.key_length", width / heads);
  const std::int64_t value = header_number(model, "attention.value_length", width / heads);
  constexpr std::int64_t token_bytes_max = std::int64_t{1} << 30;
  const std::int64_t row_bytes = std::min(
      kv_heads * (key + value) * bytes_per_32(settings.placement.kv) / 32, token_bytes_max);
  const std::int64_t layers = header_number(model, "block_count", 0);
  return Bytes(std::min(row_bytes * layers, token_bytes_max) * settings.total_context());
}

Bytes process_overhead(const GgufInfo& model, const ServerSettings& settings) {
  const std::int64_t slots = settings.placement.slots;
  Bytes total = kProcess + permille_of(model.header_bytes, kPerHeaderBytePermille);
  total += Bytes(kPerToken.count * settings.total_context());
  total += Bytes((kPerSlot.count + kPerSlotAndToken.count * vocabulary(model)) * slots);
  if (settings.cache_ram > Bytes(0))
    total += settings.cache_ram + kPromptCacheSlack;
  return total + settings.checkpoints;
}

// llama-server bounds the rows of its output (server-context.cpp, server_output_limits): one for
// each slot, and one more for each token that is proposed there. llama-fit-params reserves one for
// each token of a micro-batch (llama-context.cpp, n_outputs_max of zero means n_batch).
Bytes host_compute(const GgufInfo& model, const DryRunRow& host, const ServerSettings& settings) {
  const Bytes reported = host.compute + kDryRunRounding;
  const auto layers = layers_compute(model, settings);
  const Bytes all_outputs(std::int64_t{settings.micro_batch} * vocabulary(model) * 4);
  // Outputs are what the graph ends with: more than them means that the layers decide.
  if (!layers || model.is_embedding() || host.compute > all_outputs + 16_MiB)
    return reported;
  const std::int64_t rows = std::int64_t{settings.placement.slots} * settings.outputs_per_slot;
  const Bytes outputs(sane(rows) * vocabulary(model) * 4);
  return std::min(reported, *layers + outputs + kDryRunRounding);
}

Bytes repacked_weights(const GgufInfo& model, const DryRun& dry_run) {
  Bytes seen = dry_run.host.weights + kDryRunRounding;
  for (const DryRunRow& device : dry_run.devices)
    seen += device.weights + kDryRunRounding;
  return std::max(Bytes(0), model.tensor_bytes - seen);
}

Bytes host_anon(const GgufInfo& model, const DryRun& dry_run, const ServerSettings& settings) {
  return repacked_weights(model, dry_run) + dry_run.host.context + kDryRunRounding +
         host_compute(model, dry_run.host, settings) + process_overhead(model, settings);
}

Bytes companion_overhead(const GgufInfo& model, const ServerSettings& settings) {
  ServerSettings own = settings;
  own.checkpoints = Bytes(0);
  own.cache_ram = Bytes(0);  // the server's cache is of its main model
  return process_overhead(model, own) - kProcess;
}

Bytes projector_bytes(const GgufInfo& projector) {
  // Names of the projector's header as llama.cpp's clip.cpp reads them; sound has the same.
  Bytes total = projector.tensor_bytes;
  for (const std::string tower : {"clip.vision.", "clip.audio."}) {
    const auto number = [&](const char* key, std::int64_t otherwise) {
      return sane(projector.integer(tower + key).value_or(otherwise));
    };
    const std::int64_t width = number("embedding_length", 0);
    if (width == 0)
      continue;
    const std::int64_t side =
        number("image_size", 0) / std::max<std::int64_t>(1, number("patch_size", 14));
    const std::int64_t patches = std::clamp<std::int64_t>(side * side, kPatchesMin, kPatchesMax);
    const std::int64_t numbers = 3 * number("feed_forward_length", 4 * width) + 5 * width +
                                 number("attention.head_count", 16) * patches;
    total += Bytes(patches * std::min<std::int64_t>(numbers, 1 << 22) * 4);
  }
  return permille_of(total, kProjectorPermille);
}

Bytes host_anon_analytic(const GgufInfo& model, const ServerSettings& settings) {
  return permille_of(model.file_size, 200) + key_value_cache(model, settings) +
         process_overhead(model, settings);
}

}  // namespace tonnage
