#include "engine/llama/llama_arguments.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "engine/llama/llama_flags.h"
#include "footprint/server_settings.h"

namespace tonnage {
namespace {

using Arguments = std::vector<std::string>;

// The engine gives a thread to each connection for as long as it is open, an idle one too. It makes
// more when none is idle, but one that is only waking up counts as idle: of connections that come
// at once, some then wait for seconds, until others close. So there is one for each slot and these
// for the calls that Tonnage makes beside requests.
constexpr int kHttpThreadsBesideSlots = 4;
// All layers of a draft: no model has more.
constexpr std::int32_t kAllLayers = 999;

void add(Arguments& argv, std::string flag, std::string value) {
  argv.push_back(std::move(flag));
  argv.push_back(std::move(value));
}

void add_all(Arguments& argv, const Arguments& more) {
  argv.insert(argv.end(), more.begin(), more.end());
}

bool is_quantised(KvType kv) {
  return kv != KvType::f32 && kv != KvType::f16 && kv != KvType::bf16;
}

bool is_encoder(ModelType type) {
  return type == ModelType::embedding || type == ModelType::reranker;
}

// The server splits an alias at commas into several names.
std::string alias_of(std::string name) {
  std::ranges::replace(name, ',', '_');
  return name;
}

// Context, slots and batches: the same for a model, its draft and their dry runs.
void add_sizes(Arguments& argv, const LlamaModel& model, const Placement& placement) {
  const auto batches = llama_batches(model, placement);
  add(argv, "--ctx-size", std::to_string(context_of_all_slots(placement)));
  add(argv, "--parallel", std::to_string(placement.slots));
  add(argv, "--batch-size", std::to_string(batches.batch));
  add(argv, "--ubatch-size", std::to_string(batches.ubatch));
}

void add_placement(Arguments& argv, const LlamaModel& model, const Placement& placement,
                   const VisibleGpus& gpus) {
  const std::string kv(to_text(placement.kv));
  add_sizes(argv, model, placement);
  add(argv, "--cache-type-k", kv);
  add(argv, "--cache-type-v", kv);
  // The engine refuses a quantised value cache unless flash attention is asked for by name.
  if (is_quantised(placement.kv))
    add(argv, "--flash-attn", "on");
  add_all(argv, gpu_arguments(placement.gpu_layers, gpus));
}

void add_dry_run(Arguments& argv) {
  add(argv, "--fit", "off");
  add(argv, "--fit-print", "on");
  argv.emplace_back("--offline");
}

bool names(const std::vector<std::string>& args, std::string_view flag) {
  return std::ranges::find(args, flag) != args.end();
}

// The files that keys of the configuration name; those of `args` speak for themselves.
void add_files(Arguments& argv, const LlamaModel& model) {
  if (!model.draft.empty()) {
    add(argv, "--model-draft", model.draft.string());
    if (!names(model.args, "--spec-type"))
      add(argv, "--spec-type", "draft-simple");
  }
  if (!model.projector.empty())
    add(argv, "--mmproj", model.projector.string());
  if (!model.adapters.empty())
    add(argv, "--lora", comma_list(model.adapters));
  if (!model.control_vectors.empty())
    add(argv, "--control-vector", comma_list(model.control_vectors));
}

bool names_any(const std::vector<std::string>& args,
               std::initializer_list<std::string_view> flags) {
  return std::ranges::any_of(args, [flags](const std::string& arg) {
    return std::ranges::find(flags, std::string_view(arg).substr(0, arg.find('='))) != flags.end();
  });
}

void add_threads(std::vector<std::string>& argv, const LlamaModel& model) {
  if (model.threads)
    return add(argv, "--threads", std::to_string(*model.threads));
  // Those for prompts are as many as the others, where nobody says more.
  if (!model.threads_allowed || names_any(model.args, {"-t", "--threads"}))
    return;
  add(argv, "--threads", std::to_string(*model.threads_allowed));
  if (!names_any(model.args, {"-tb", "--threads-batch"}))
    add(argv, "--threads-batch", std::to_string(*model.threads_allowed));
}

}  // namespace

LlamaBatches llama_batches(const LlamaModel& model, const Placement& placement) {
  if (is_encoder(model.type))
    return {.batch = placement.context, .ubatch = placement.context};
  return {.batch = model.batch, .ubatch = std::min(model.ubatch, model.batch)};
}

std::int64_t context_of_all_slots(const Placement& placement) {
  const std::int64_t steps =
      (std::int64_t{placement.context} + kContextStep - 1) / kContextStep * kContextStep;
  return std::min(steps * placement.slots, kTotalContextMax);
}

std::int32_t enforced_context(std::int32_t asked, std::optional<std::int64_t> trained) {
  const std::int64_t enforced = context_of_all_slots({.context = asked});
  if (!trained || *trained <= 0)
    return static_cast<std::int32_t>(enforced);
  return static_cast<std::int32_t>(std::min(enforced, *trained));
}

std::vector<NamedFile> llama_files(const LlamaModel& model) {
  std::vector<NamedFile> files{{FileRole::model, model.gguf.string(), "gguf"}};
  if (!model.draft.empty())
    files.push_back({FileRole::draft, model.draft.string(), "draft"});
  if (!model.projector.empty())
    files.push_back({FileRole::projector, model.projector.string(), "mmproj"});
  for (const std::string& path : model.adapters)
    files.push_back({FileRole::adapter, path, "lora"});
  for (const std::string& path : model.control_vectors)
    files.push_back({FileRole::control_vector, path, "control_vector"});
  for (NamedFile& file : read_llama_args(model.args).files)
    files.push_back(std::move(file));
  return files;
}

std::string llama_draft(const LlamaModel& model) {
  std::string draft = model.draft.string();
  for (const NamedFile& file : read_llama_args(model.args).files) {
    if (file.role == FileRole::draft)
      draft = file.path;  // the engine takes the last one
  }
  return draft;
}

std::vector<std::string> llama_server_arguments(const LlamaModel& model, const Placement& placement,
                                                const VisibleGpus& gpus,
                                                const std::filesystem::path& socket) {
  Arguments argv;
  add(argv, "--host", socket.string());
  add(argv, "--model", model.gguf.string());
  add(argv, "--alias", alias_of(model.name));
  add_placement(argv, model, placement, gpus);
  // The draft sees the devices of its model.
  if (placement.gpu_layers > 0 && !llama_draft(model).empty())
    add(argv, "--spec-draft-ngl", std::to_string(kAllLayers));
  add_files(argv, model);
  add(argv, "--ctx-checkpoints", std::to_string(model.ctx_checkpoints));
  add(argv, "--cache-ram", std::to_string(model.prompt_cache.count / kMiB));
  // By a tenth of a prompt, a chat template in common would make one prompt continue another.
  add(argv, "--slot-prompt-similarity", "0.5");
  add(argv, "--fit", "off");
  add(argv, "--load-mode", "mmap");
  add(argv, "--threads-http", std::to_string(placement.slots + kHttpThreadsBesideSlots));
  add_threads(argv, model);
  for (const char* flag : {"--no-warmup", "--offline", "--no-ui"})
    argv.emplace_back(flag);
  if (model.type == ModelType::embedding)
    argv.emplace_back("--embeddings");
  if (model.type == ModelType::reranker)
    argv.emplace_back("--reranking");
  add_all(argv, model.args);
  return argv;
}

std::vector<std::string> llama_dry_run_arguments(const LlamaModel& model,
                                                 const Placement& placement,
                                                 const VisibleGpus& gpus) {
  Arguments argv;
  add(argv, "--model", model.gguf.string());
  add_placement(argv, model, placement, gpus);
  add_all(argv, read_llama_args(model.args).shared);
  add_dry_run(argv);
  return argv;
}

std::vector<std::string> llama_draft_dry_run_arguments(const LlamaModel& model,
                                                       const Placement& placement,
                                                       const VisibleGpus& gpus) {
  Arguments argv;
  add(argv, "--model", llama_draft(model));
  add_sizes(argv, model, placement);
  // A draft's cache has a type of its own, f16 unless `args` say otherwise.
  if (is_quantised(placement.kv))
    add(argv, "--flash-attn", "on");
  add_all(argv, gpu_arguments(placement.gpu_layers > 0 ? kAllLayers : 0, gpus));
  add_all(argv, read_llama_args(model.args).draft);
  add_dry_run(argv);
  return argv;
}

}  // namespace tonnage
