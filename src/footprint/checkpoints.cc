#include "footprint/checkpoints.h"

#include <algorithm>
#include <string>

#include "footprint/host_footprint.h"

namespace tonnage {
namespace {

constexpr std::int32_t kOfWindow = 2;
constexpr std::int32_t kOfState = 4;
constexpr std::int32_t kOfStateMin = 2;
constexpr std::int64_t kWeightsShare = 20;
// Small models may spend this whatever they weigh.
constexpr Bytes kAlways = 32_MiB;
// No model has more of any of these; a header that says so is damaged.
constexpr std::int64_t kNumbersMax = std::int64_t{1} << 30;
constexpr Bytes kCheckpointMax = 64_GiB;
// The engine counts a state in single precision (llama-hparams.cpp: n_embd_r, n_embd_s).
constexpr std::int64_t kStateNumberBytes = 4;

std::int64_t bounded(std::int64_t product) {
  return std::clamp<std::int64_t>(product, 0, kNumbersMax);
}

// Numbers of one recurrent layer's state; zero without one.
std::int64_t state_numbers(const GgufInfo& model) {
  const auto number = [&](const char* key) { return bounded(header_number(model, key, 0)); };
  if (const std::int64_t state = number("ssm.state_size"); state > 0) {
    const std::int64_t inner = number("ssm.inner_size");
    const std::int64_t kernel = std::max<std::int64_t>(1, number("ssm.conv_kernel"));
    const std::int64_t mixed = bounded(inner + 2 * bounded(number("ssm.group_count") * state));
    return bounded(bounded((kernel - 1) * mixed) + bounded(state * inner));
  }
  const std::int64_t width = number("embedding_length");
  if (const std::int64_t head = number("wkv.head_size"); head > 0)
    return bounded(bounded(width * head) + 2 * width);
  if (const std::int64_t length = number("shortconv.l_cache"); length > 0)
    return bounded(width * (length - 1));
  return 0;
}

// Of six layers in Gemma 3 one sees everything, of two in Gemma 2 and gpt-oss. Where the engine's
// pattern is not known here, all layers count.
std::int64_t window_layers(const GgufInfo& model) {
  const std::int64_t layers = bounded(header_number(model, "block_count", 0));
  const std::string architecture = model.architecture();
  if (architecture == "gemma3")
    return layers - layers / 6;
  if (architecture == "gemma2" || architecture == "gpt-oss")
    return layers - layers / 2;
  return layers;
}

}  // namespace

PromptMemory prompt_memory(const GgufInfo& model) {
  if (model.is_embedding() || model.is_reranker())
    return PromptMemory::whole;
  if (state_numbers(model) > 0)
    return PromptMemory::recurrent;
  return header_number(model, "attention.sliding_window", 0) > 0 ? PromptMemory::window
                                                                 : PromptMemory::whole;
}

Bytes checkpoint_bytes(const GgufInfo& model, const Placement& placement) {
  const std::int64_t layers = bounded(header_number(model, "block_count", 0));
  switch (prompt_memory(model)) {
    case PromptMemory::whole:
      return Bytes(0);
    case PromptMemory::recurrent:
      return std::min(kCheckpointMax,
                      Bytes(bounded(state_numbers(model) * std::min<std::int64_t>(layers, 4096)) *
                            kStateNumberBytes));
    case PromptMemory::window: {
      const std::int64_t window = std::min<std::int64_t>(
          header_number(model, "attention.sliding_window", 0), std::max(1, placement.context));
      if (layers == 0)
        return Bytes(0);
      ServerSettings one_token{.placement = placement};
      one_token.placement.context = one_token.placement.slots = 1;
      const std::int64_t token = key_value_cache(model, one_token).count / layers;
      return std::min(kCheckpointMax, Bytes(bounded(token * window_layers(model)) * window));
    }
  }
  return Bytes(0);
}

std::int32_t default_checkpoints(const GgufInfo& model, const Placement& placement) {
  const Bytes one = checkpoint_bytes(model, placement);
  const PromptMemory memory = prompt_memory(model);
  if (memory == PromptMemory::whole || one == Bytes(0))
    return 0;
  const Bytes affordable = std::max(kAlways, Bytes(model.tensor_bytes.count / kWeightsShare));
  const std::int64_t fit = affordable.count / (one.count * std::max(1, placement.slots));
  if (memory == PromptMemory::window)
    return static_cast<std::int32_t>(std::min<std::int64_t>(kOfWindow, fit));
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(fit, kOfStateMin, kOfState));
}

}  // namespace tonnage
