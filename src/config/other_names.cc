#include "config/other_names.h"

#include <algorithm>
#include <iterator>
#include <span>

#include "base/text.h"

namespace tonnage {
namespace {

// What neighbouring programs call our keys, as plain_name() writes it.
struct OtherName {
  std::string_view name;
  std::string_view key;
};
constexpr OtherName kOtherNames[] = {
    {"ctx", "context"},
    {"c", "context"},
    {"n_ctx", "context"},
    {"num_ctx", "context"},
    {"ctx_size", "context"},
    {"context_size", "context"},
    {"context_length", "context"},
    {"context_window", "context"},
    {"max_context", "context"},
    {"max_model_len", "context"},
    {"max_seq_len", "context"},
    {"keep_alive", "ttl"},
    {"keepalive", "ttl"},
    {"idle_timeout", "ttl"},
    {"unload_after", "ttl"},
    {"sleep_idle_seconds", "ttl"},
    {"ngl", "gpu_layers"},
    {"n_gpu_layers", "gpu_layers"},
    {"num_gpu", "gpu_layers"},
    {"num_gpu_layers", "gpu_layers"},
    {"gpulayers", "gpu_layers"},
    {"np", "slots"},
    {"parallel", "slots"},
    {"n_parallel", "slots"},
    {"num_parallel", "slots"},
    {"n_slots", "slots"},
    {"max_num_seqs", "slots"},
    {"max_concurrency", "concurrency"},
    {"concurrency_limit", "concurrency"},
    {"model", "gguf"},
    {"model_path", "gguf"},
    {"model_file", "gguf"},
    {"path", "gguf"},
    {"file", "gguf"},
    {"filename", "gguf"},
    {"cache_type", "kv_type"},
    {"cache_type_k", "kv_type"},
    {"cache_type_v", "kv_type"},
    {"kv_cache_type", "kv_type"},
    {"kv_cache_dtype", "kv_type"},
    {"ctk", "kv_type"},
    {"ctv", "kv_type"},
    {"batch_size", "batch"},
    {"n_batch", "batch"},
    {"num_batch", "batch"},
    {"ubatch_size", "ubatch"},
    {"n_ubatch", "ubatch"},
    {"num_thread", "threads"},
    {"num_threads", "threads"},
    {"n_threads", "threads"},
    {"alias", "aliases"},
    {"pooling_type", "pooling"},
    {"keep_loaded", "pin"},
    {"persistent", "pin"},
    {"cmd", "args"},
    {"flags", "args"},
    {"extra_args", "args"},
    {"environment", "env"},
};
constexpr OtherName kOtherGlobalNames[] = {
    {"host", "listen"},
    {"port", "listen"},
    {"bind", "listen"},
    {"address", "listen"},
    {"startport", "listen"},
    {"api_key", "keys"},
    {"api_keys", "keys"},
    {"loglevel", "log.level"},
    {"log_level", "log.level"},
    {"verbosity", "log.level"},
    {"keep_alive", "residency.ttl"},
    {"max_loaded_models", "budgets.host.limit"},
    {"max_vram", "budgets.gpu.limit"},
    {"gpu_memory_utilization", "budgets.gpu.max"},
    {"healthchecktimeout", "load.timeout"},
    {"load_timeout", "load.timeout"},
    {"max_queue", "queue.max_waiting"},
    {"metrics_port", "listen"},
};

std::string_view key_named(std::span<const OtherName> names, std::string_view key) {
  const std::string name = plain_name(key);
  const auto found = std::ranges::find(names, std::string_view(name), &OtherName::name);
  return found == names.end() ? std::string_view{} : found->key;
}

}  // namespace

std::string plain_name(std::string_view key) {
  while (key.starts_with('-'))
    key.remove_prefix(1);
  std::string name = to_lower(key);
  std::ranges::replace(name, '-', '_');
  for (const std::string_view prefix : {"llama_arg_", "ollama_"}) {
    if (name.starts_with(prefix))
      name.erase(0, prefix.size());
  }
  return name;
}

std::string_view model_key_named(std::string_view key) {
  return key_named(kOtherNames, key);
}

std::string_view global_key_named(std::string_view key) {
  return key_named(kOtherGlobalNames, key);
}

}  // namespace tonnage
