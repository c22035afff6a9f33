#include "tonnage-demo-models/embedder.h"

#include <memory>
#include <string>

#include "tonnage-demo-models/decoder.h"

namespace tonnage {
namespace {

using Pattern = std::shared_ptr<const std::string>;

constexpr std::uint32_t kLayerNormEpsilonF32 = 0x2b8cbccc;  // 1e-12
constexpr std::uint32_t kPoolingMean = 1;

// Positions matter an eighth as much as what stands there.
constexpr int kPositionExponent = -3;

void add_metadata(GgufWriter& file, const DemoModel& model, const DemoShape& shape) {
  const auto u32 = [](std::int64_t n) { return static_cast<std::uint32_t>(n); };
  file.add_string("general.architecture", "bert");
  file.add_string("general.name", model.id);
  file.add_u32("general.file_type", model.element == ElementType::f16 ? 1 : 0);
  file.add_u64(kSeedKey, model.seed);
  file.add_string(kRecipeKey, recipe(model));
  file.add_u32("bert.block_count", u32(shape.layers));
  file.add_u32("bert.context_length", u32(model.context));
  file.add_u32("bert.embedding_length", u32(shape.width));
  file.add_u32("bert.feed_forward_length", u32(shape.hidden));
  file.add_u32("bert.attention.head_count", u32(shape.width / kHeadWidth));
  file.add_f32_bits("bert.attention.layer_norm_epsilon", kLayerNormEpsilonF32);
  file.add_bool("bert.attention.causal", false);
  file.add_u32("bert.pooling_type", kPoolingMean);
}

}  // namespace

GgufWriter build_embedder(const DemoModel& model) {
  const Vocabulary vocabulary = byte_vocabulary();
  const auto tokens = static_cast<std::int64_t>(vocabulary.texts.size());
  const DemoShape shape = choose_shape(model, tokens);
  const std::int64_t width = shape.width;
  const ElementType element = model.element;

  GgufWriter file;
  add_metadata(file, model, shape);
  add_tokenizer(file, vocabulary);
  file.add_u32("tokenizer.ggml.token_type_count", 1);
  file.add_bool("tokenizer.ggml.add_bos_token", true);
  file.add_bool("tokenizer.ggml.add_eos_token", true);

  Prng prng(model.seed);
  const auto noise = [&](ElementType type, int exponent) {
    return std::make_shared<const std::string>(noise_block(prng, type, exponent));
  };
  const Pattern unit = noise(element, 0);
  const Pattern position = noise(ElementType::f32, kPositionExponent);
  const Pattern inner = noise(element, neutral_exponent(width));
  const Pattern down = noise(element, neutral_exponent(shape.hidden));
  std::string number;
  append_number(number, ElementType::f32, kOneF32);
  const Pattern ones = std::make_shared<const std::string>(number);
  const Pattern zeros = std::make_shared<const std::string>(4, '\0');

  const auto norm = [&](const std::string& name) {
    file.add_tensor(name + ".weight", {width}, ElementType::f32, ones);
    file.add_tensor(name + ".bias", {width}, ElementType::f32, zeros);
  };
  file.add_tensor("token_embd.weight", {width, tokens}, element, unit);
  // The engine adds this row without a conversion, so it must be in single precision.
  file.add_tensor("token_types.weight", {width, 1}, ElementType::f32, zeros);
  file.add_tensor("position_embd.weight", {width, model.context}, ElementType::f32, position);
  norm("token_embd_norm");
  const auto start = [&file] { return file.tensor_count() * 4 * 1009; };
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    const auto matrix = [&](const char* name, std::int64_t in, std::int64_t out,
                            const Pattern& pattern) {
      file.add_tensor(layer + name, {in, out}, element, pattern, start());
    };
    matrix("attn_q.weight", width, width, inner);
    matrix("attn_k.weight", width, width, inner);
    matrix("attn_v.weight", width, width, inner);
    matrix("attn_output.weight", width, width, inner);
    norm(layer + "attn_output_norm");
    matrix("ffn_up.weight", width, shape.hidden, inner);
    matrix("ffn_down.weight", shape.hidden, width, down);
    norm(layer + "layer_output_norm");
  }
  return file;
}

}  // namespace tonnage
