#include "tonnage-demo-models/decoder.h"

#include <algorithm>
#include <memory>
#include <string>

namespace tonnage {
namespace {

using Pattern = std::shared_ptr<const std::string>;

constexpr std::uint32_t kTenThousandF32 = 0x461c4000;  // 10000.0, the usual base of the rotation
constexpr std::uint32_t kRmsEpsilonF32 = 0x3727c5ac;   // 1e-5

// Each damped pair of matrices shrinks what a layer adds to 2^-10 of the residual stream.
constexpr int kDampExponent = 5;

// One token per role: a byte-level prompt is long enough as it is.
constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + "
    "'<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

// Rows of signs, one per token.
std::vector<std::vector<bool>> sign_codes(Prng& prng, std::size_t tokens, std::int64_t width) {
  std::vector<std::vector<bool>> codes(tokens);
  for (auto& code : codes) {
    code.resize(static_cast<std::size_t>(width));
    for (std::size_t i = 0; i < code.size(); ++i)
      code[i] = prng.chance(500);
  }
  return codes;
}

Pattern embedding_rows(Prng& prng, const Vocabulary& vocabulary,
                       const std::vector<std::vector<bool>>& codes, ElementType element) {
  std::string bytes;
  for (const std::int32_t next : vocabulary.successor) {
    for (const bool negative : codes[static_cast<std::size_t>(next)]) {
      const auto random = static_cast<std::uint32_t>(prng.next() >> 32);
      append_number(bytes, element, number_bits(element, negative, 0, random));
    }
  }
  return std::make_shared<const std::string>(std::move(bytes));
}

// 2^e is the smallest power of two with width x 2^e >= 64.
int output_exponent(std::int64_t width) {
  int exponent = 0;
  while (exponent > -14 && width >= (std::int64_t{128} << -exponent))
    --exponent;
  return exponent;
}

Pattern output_rows(const Vocabulary& vocabulary, const std::vector<std::vector<bool>>& codes,
                    std::int64_t width, ElementType element) {
  std::vector<bool> is_successor(codes.size());
  for (const std::int32_t next : vocabulary.successor) {
    is_successor[static_cast<std::size_t>(next)] = true;
  }
  std::string bytes;
  for (std::size_t token = 0; token < codes.size(); ++token) {
    // What nothing leads to has a random code too, but a faint one.
    const int exponent = std::max(-14, output_exponent(width) - (is_successor[token] ? 0 : 3));
    for (const bool negative : codes[token]) {
      append_number(bytes, element, number_bits(element, negative, exponent, 0));
    }
  }
  return std::make_shared<const std::string>(std::move(bytes));
}

void add_metadata(GgufWriter& file, const DemoModel& model, const DemoShape& shape,
                  std::int64_t tokens) {
  const auto u32 = [](std::int64_t n) { return static_cast<std::uint32_t>(n); };
  file.add_string("general.architecture", "llama");
  file.add_string("general.name", model.id);
  file.add_u32("general.file_type", model.element == ElementType::f16 ? 1 : 0);
  file.add_u64(kSeedKey, model.seed);
  file.add_string(kRecipeKey, recipe(model));
  file.add_u32("llama.block_count", u32(shape.layers));
  file.add_u32("llama.context_length", u32(model.context));
  file.add_u32("llama.embedding_length", u32(shape.width));
  file.add_u32("llama.feed_forward_length", u32(shape.hidden));
  file.add_u32("llama.attention.head_count", u32(shape.width / kHeadWidth));
  file.add_u32("llama.attention.head_count_kv", 1);
  file.add_f32_bits("llama.attention.layer_norm_rms_epsilon", kRmsEpsilonF32);
  file.add_u32("llama.rope.dimension_count", u32(kHeadWidth));
  file.add_f32_bits("llama.rope.freq_base", kTenThousandF32);
  file.add_u32("llama.vocab_size", u32(tokens));
}

}  // namespace

void add_tokenizer(GgufWriter& file, const Vocabulary& vocabulary) {
  file.add_string("tokenizer.ggml.model", "gpt2");
  file.add_string("tokenizer.ggml.pre", "gpt-2");
  file.add_strings("tokenizer.ggml.tokens", vocabulary.texts);
  file.add_i32s("tokenizer.ggml.token_type", vocabulary.types);
  file.add_strings("tokenizer.ggml.merges", {});
  file.add_u32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(vocabulary.bos));
  file.add_u32("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(vocabulary.end_of_turn));
  file.add_u32("tokenizer.ggml.padding_token_id", static_cast<std::uint32_t>(vocabulary.pad));
}

GgufWriter build_decoder(const DemoModel& model) {
  const Vocabulary vocabulary = decoder_vocabulary(model.id + ":", model.seed, model.eos_after);
  const auto tokens = static_cast<std::int64_t>(vocabulary.texts.size());
  const DemoShape shape = choose_shape(model, tokens);
  const std::int64_t width = shape.width;
  const std::int64_t hidden = shape.hidden;
  const ElementType element = model.element;

  GgufWriter file;
  add_metadata(file, model, shape, tokens);
  add_tokenizer(file, vocabulary);
  file.add_bool("tokenizer.ggml.add_bos_token", true);  // so that an empty prompt has an answer too
  file.add_string("tokenizer.chat_template", kChatTemplate);

  Prng prng(model.seed);
  const auto codes = sign_codes(prng, vocabulary.texts.size(), width);
  const int neutral = neutral_exponent(width);
  const auto noise = [&](int exponent) {
    return std::make_shared<const std::string>(noise_block(prng, element, std::max(-14, exponent)));
  };
  const Pattern full = noise(neutral);
  const Pattern damped = noise(neutral - kDampExponent);
  const Pattern damped_down = noise(neutral_exponent(hidden) - kDampExponent);
  std::string one;
  append_number(one, ElementType::f32, kOneF32);
  const Pattern ones = std::make_shared<const std::string>(one);

  file.add_tensor("token_embd.weight", {width, tokens}, element,
                  embedding_rows(prng, vocabulary, codes, element));
  file.add_tensor("output_norm.weight", {width}, ElementType::f32, ones);
  file.add_tensor("output.weight", {width, tokens}, element,
                  output_rows(vocabulary, codes, width, element));
  // Each matrix begins elsewhere in its block: a multiple of any number's size, so still aligned.
  const auto start = [&file] { return file.tensor_count() * 4 * 1009; };
  for (std::int64_t i = 0; i < shape.layers; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    const auto matrix = [&](const char* name, std::int64_t in, std::int64_t out,
                            const Pattern& pattern) {
      file.add_tensor(layer + name, {in, out}, element, pattern, start());
    };
    file.add_tensor(layer + "attn_norm.weight", {width}, ElementType::f32, ones);
    matrix("attn_q.weight", width, width, full);
    matrix("attn_k.weight", width, kHeadWidth, full);
    matrix("attn_v.weight", width, kHeadWidth, damped);
    matrix("attn_output.weight", width, width, damped);
    file.add_tensor(layer + "ffn_norm.weight", {width}, ElementType::f32, ones);
    matrix("ffn_gate.weight", width, hidden, full);
    matrix("ffn_up.weight", width, hidden, damped);
    matrix("ffn_down.weight", hidden, width, damped_down);
  }
  return file;
}

}  // namespace tonnage
