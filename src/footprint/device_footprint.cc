#include "footprint/device_footprint.h"

#include <algorithm>
#include <numeric>

#include "footprint/host_footprint.h"

namespace tonnage {
namespace {

constexpr std::int64_t kProcessorSlowness = 8;
constexpr std::int64_t kSplitPermille = 900;

// amount * part / whole, rounded up. Zero of zero.
Bytes share_of(Bytes amount, std::int64_t part, std::int64_t whole) {
  if (whole <= 0)
    return {};
  __extension__ const __int128 product = static_cast<__int128>(amount.count) * part;
  return Bytes(static_cast<std::int64_t>((product + whole - 1) / whole));
}

std::int64_t blocks(const GgufInfo& model) {
  const std::int64_t told = header_number(model, "block_count", 0);
  return std::max<std::int64_t>({1, told, static_cast<std::int64_t>(model.weights.blocks.size())});
}

// The output layer. A model without an output matrix uses its token embeddings for it, and a
// device gets a copy of them.
Bytes output_weights(const GgufInfo& model) {
  return std::max(model.weights.output,
                  std::min(model.weights.input, permille_of(model.tensor_bytes, 500)));
}

Bytes compute(const GgufInfo& model, const ServerSettings& settings, bool with_output) {
  const std::int64_t tokens = settings.micro_batch;
  const std::int64_t numbers = 5 * header_number(model, "embedding_length", 0) +
                               3 * header_number(model, "feed_forward_length", 0);
  Bytes total(tokens * numbers * 4);
  total += Bytes(tokens * settings.placement.context * 2);
  if (with_output)
    total += Bytes(tokens *
                   std::clamp<std::int64_t>(model.vocabulary_size().value_or(0), 0, 1 << 24) * 4);
  return total;
}

}  // namespace

std::int32_t offload_layers(const GgufInfo& model) {
  return static_cast<std::int32_t>(blocks(model) + 1);
}

Bytes device_weights(const GgufInfo& model, std::int32_t gpu_layers) {
  const std::int64_t all = blocks(model);
  const std::int64_t count = std::clamp<std::int64_t>(gpu_layers, 0, all + 1);
  if (count == 0)
    return {};
  if (model.weights.blocks.empty())
    return share_of(model.tensor_bytes, count, all + 1);
  Bytes total = output_weights(model);
  const auto& by_block = model.weights.blocks;
  const auto taken = std::min<std::size_t>(by_block.size(), static_cast<std::size_t>(count));
  for (std::size_t i = by_block.size() - taken; i < by_block.size(); ++i)
    total += by_block[i];
  return total;
}

std::vector<Bytes> device_bytes_analytic(const GgufInfo& model, const ServerSettings& settings,
                                         std::span<const Bytes> shares) {
  const std::int64_t all = blocks(model);
  const std::int64_t layers = std::min<std::int64_t>(settings.placement.gpu_layers, all);
  const Bytes cache = share_of(key_value_cache(model, settings), layers, all);
  const Bytes weights = device_weights(model, settings.placement.gpu_layers);
  std::int64_t whole_mib = 0;
  for (const Bytes share : shares)
    whole_mib += std::max<std::int64_t>(1, share.count / kMiB);
  std::vector<Bytes> devices;
  for (const Bytes share : shares) {
    const std::int64_t part_mib = std::max<std::int64_t>(1, share.count / kMiB);
    // Whole layers are placed: each device may get one more than its share.
    Bytes bytes = share_of(weights + cache, part_mib, whole_mib);
    if (shares.size() > 1)
      bytes += share_of(weights + cache, 1, all + 1);
    const bool with_output =
        settings.placement.gpu_layers > all && devices.size() + 1 == shares.size();
    devices.push_back(bytes + compute(model, settings, with_output));
  }
  return devices;
}

Bytes host_bytes_analytic(const GgufInfo& model, const ServerSettings& settings) {
  const std::int64_t all = blocks(model);
  const std::int64_t layers = std::min<std::int64_t>(settings.placement.gpu_layers, all);
  // Token embeddings stay with the processor, so all of the file but what devices certainly take.
  Bytes weights = model.tensor_bytes - device_weights(model, settings.placement.gpu_layers) +
                  output_weights(model);
  weights = std::clamp(weights, Bytes(0), model.tensor_bytes);
  return weights + share_of(key_value_cache(model, settings), all - layers, all) +
         compute(model, settings, true) + process_overhead(model, settings);
}

std::int32_t speed_permille(const GgufInfo& model, std::int32_t gpu_layers, std::size_t devices) {
  const std::int64_t all = blocks(model) + 1;
  const std::int64_t there = devices == 0 ? 0 : std::clamp<std::int64_t>(gpu_layers, 0, all);
  const std::int64_t time = there + (all - there) * kProcessorSlowness;
  const std::int64_t speed = 1000 * all / time;
  return static_cast<std::int32_t>(devices > 1 ? speed * kSplitPermille / 1000 : speed);
}

}  // namespace tonnage
