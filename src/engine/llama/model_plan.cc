#include "engine/llama/model_plan.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "engine/llama/llama_flags.h"
#include "footprint/checkpoints.h"
#include "footprint/device_footprint.h"
#include "footprint/host_footprint.h"

namespace tonnage {
namespace {

// A control vector is kept as one row of numbers per layer; its file may have fewer.
Bytes control_vector_bytes(const GgufInfo& vector, const GgufInfo& model) {
  const std::int64_t numbers =
      header_number(model, "embedding_length", 0) * header_number(model, "block_count", 0);
  return std::max(vector.tensor_bytes, Bytes(std::min<std::int64_t>(numbers, 1 << 28) * 4));
}

Result<void> read_companion(const NamedFile& file, ModelFacts& facts) {
  if (file.role == FileRole::model || file.role == FileRole::other)
    return {};
  auto header = read_gguf_model(file.path);
  if (!header) {
    Error error = header.error();
    error.why += " (named by `" + file.named_by + "`)";
    return std::unexpected(std::move(error));
  }
  switch (file.role) {
    case FileRole::draft:
      facts.companions.draft = std::move(*header);
      break;
    case FileRole::projector:
      facts.companions.projectors += projector_bytes(*header);
      break;
    case FileRole::adapter:
      facts.companions.adapters += header->tensor_bytes;
      break;
    case FileRole::control_vector:
      facts.companions.adapters += control_vector_bytes(*header, facts.gguf);
      break;
    case FileRole::model:
    case FileRole::other:
      break;
  }
  return {};
}

bool same_rung(const ProfiledPlacement& a, const ProfiledPlacement& b) {
  return a.devices == b.devices && a.settings.placement == b.settings.placement;
}

// Contexts that are the same once they are cut make rungs that are the same.
void drop_repeated(std::vector<ProfiledPlacement>& ladder) {
  std::vector<ProfiledPlacement> kept;
  for (ProfiledPlacement& rung : ladder) {
    if (std::ranges::none_of(kept, [&](const auto& other) { return same_rung(rung, other); }))
      kept.push_back(std::move(rung));
  }
  ladder = std::move(kept);
}

}  // namespace

LlamaModel llama_model(const Config& all, ModelId id) {
  const ModelConfig& config = all.models[id.value];
  LlamaModel model;
  model.id = id;
  model.name = all.policy.models[id.value].id;
  model.gguf = config.gguf;
  model.draft = config.draft;
  model.projector = config.mmproj;
  model.adapters = config.lora;
  model.control_vectors = config.control_vector;
  model.type = all.policy.models[id.value].type;
  if (config.ubatch)
    model.ubatch = *config.ubatch;
  // One micro-batch at a time: a larger batch costs memory and wins nothing in the host.
  model.batch = config.batch.value_or(model.ubatch);
  model.prompt_cache = config.cache_ram;
  model.threads = config.threads;
  model.args = config.args;
  if (!config.pooling.empty())
    model.args.insert(model.args.begin(), {"--pooling", config.pooling});
  return model;
}

Result<ModelFacts> read_model_facts(const LlamaModel& model) {
  const std::vector<NamedFile> named = llama_files(model);
  auto files = read_model_files(named);
  if (!files)
    return std::unexpected(files.error());
  auto gguf = read_gguf_model(model.gguf.string());
  if (!gguf)
    return std::unexpected(gguf.error());
  ModelFacts facts{std::move(*files), std::move(*gguf), {}, {}};
  for (const NamedFile& file : named) {
    if (auto read = read_companion(file, facts); !read)
      return std::unexpected(read.error());
  }
  const auto& overrides = read_llama_args(model.args).overrides;
  const auto found = overrides.find(facts.gguf.architecture() + ".context_length");
  facts.trained_context =
      found != overrides.end() ? found->second : facts.gguf.of("context_length");
  return facts;
}

std::int32_t checkpoints_of(const ModelConfig& config, const ModelFacts& facts) {
  return config.checkpoints.value_or(default_checkpoints(facts.gguf, config.configured));
}

std::vector<ProfiledPlacement> ladder_of(const ModelConfig& config, const LlamaModel& model,
                                         const ModelFacts& facts, const DeviceSpace& space) {
  const bool named = std::ranges::any_of(
      config.ladder, [](const LadderStep& step) { return step.gpu_layers.has_value(); });
  const LlamaArgs args = read_llama_args(model.args);
  std::vector<ProfiledPlacement> all;
  const auto rungs = [&](Placement placement, std::optional<std::int32_t> gpu_layers) {
    if (!gpu_layers && named)
      gpu_layers = offload_layers(facts.gguf);
    placement.context = enforced_context(placement.context, facts.trained_context);
    const LlamaBatches batches = llama_batches(model, placement);
    const ServerSettings settings{
        .placement = placement,
        .batch = batches.batch,
        .micro_batch = batches.ubatch,
        .cache_ram = model.prompt_cache,
        .checkpoints = Bytes(checkpoint_bytes(facts.gguf, placement).count *
                             checkpoints_of(config, facts) * placement.slots),
        .outputs_per_slot = 1 + args.tokens_proposed,
        .flash_attention = !args.flash_attention_off};
    for (ProfiledPlacement& p : placements_of(facts.gguf, settings, space, gpu_layers))
      all.push_back(std::move(p));
  };
  rungs(config.configured, config.gpu_layers);
  for (const LadderStep& step : config.ladder)
    rungs(apply(step, config.configured), step.gpu_layers ? step.gpu_layers : config.gpu_layers);
  if (!named) {
    std::ranges::stable_partition(all, [](const ProfiledPlacement& p) { return p.devices > 0; });
  }
  drop_repeated(all);
  if (all.size() > kPlacementRowsMax)
    all.resize(kPlacementRowsMax);
  return all;
}

std::string file_sizes(const ModelFiles& files) {
  struct Whole {
    FileRole role;
    std::string name;
    Bytes size;
  };
  std::vector<Whole> all;
  for (const ModelFile& file : files.files) {
    // Parts follow each other; of adapters each is a file of its own.
    if (!all.empty() && all.back().role == file.role && file.role != FileRole::adapter)
      all.back().size += file.size;
    else if (file.role != FileRole::other)
      all.push_back({file.role, std::filesystem::path(file.path).filename(), file.size});
  }
  if (all.size() < 2)
    return {};
  std::string text;
  for (const Whole& file : all) {
    text += (text.empty() ? "" : ", ") +
            (file.role == FileRole::model ? std::string() : std::string(to_text(file.role)) + " ") +
            file.name + " " + tonnage::to_text(file.size);
  }
  return text;
}

std::string context_note(const ModelConfig& config, const LlamaModel& model,
                         const ModelFacts& facts) {
  const std::int32_t asked = config.configured.context;
  if (!facts.trained_context || *facts.trained_context <= 0 || asked <= *facts.trained_context)
    return {};
  const std::string trained = std::to_string(*facts.trained_context);
  std::string note =
      (config.context_given ? "the configured context of " : "the default context of ") +
      std::to_string(asked) + " tokens is more than the " + trained +
      " that the model was trained for; " + trained + " are used";
  if (read_llama_args(model.args).scaled_positions) {
    note +=
        ". llama-server keeps to the trained length whatever --rope and --yarn flags say; add "
        "--override-kv " +
        facts.gguf.architecture() + ".context_length=int:" + std::to_string(asked) +
        " to `args` to raise it";
  }
  return note;
}

}  // namespace tonnage
