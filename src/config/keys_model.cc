// The rows of the key table that belong to one model, one ladder step or one client key.
#include <array>

#include "config/key_store.h"

namespace tonnage {
namespace {

using T = KeyTarget;
using V = const Value&;
constexpr KeyScope kModel = KeyScope::model;
constexpr KeyScope kStep = KeyScope::step;
constexpr KeyScope kClient = KeyScope::api_key;

// Engines count context x slots in 32 bits.
constexpr std::int64_t kContextMax = std::int64_t{1} << 22;
constexpr std::int64_t kSlotsMax = 256;
// More than any model has; people write 99 or 999 for all.
constexpr std::int64_t kLayersMax = 9'999;

constexpr std::array<std::string_view, 7> kTypes = {"llm",    "embedding", "reranker", "stt",
                                                    "vision", "image",     "other"};
constexpr std::array<std::string_view, 3> kPriorities = {"low", "normal", "high"};
constexpr std::array<std::string_view, 9> kKvTypes = {"f32",  "f16",  "bf16", "q8_0",  "q5_1",
                                                      "q5_0", "q4_1", "q4_0", "iq4_nl"};
constexpr std::array<std::string_view, 5> kPoolings = {"none", "mean", "cls", "last", "rank"};
constexpr std::array<std::string_view, 3> kScopes = {"infer", "read", "admin"};

void store_context(KeyTarget& t, const Value& v) {
  set(t.model->config.configured.context, v);
  t.model->config.context_given = true;
}

void store_gpu_layers(KeyTarget& t, const Value& v) {
  set(t.model->config.gpu_layers, v);
  set(t.model->config.configured.gpu_layers, v);
}

void store_concurrency(KeyTarget& t, const Value& v) {
  set(t.model->policy.in_flight_max, v);
  t.model->config.concurrency_given = true;
}

void store_pooling(KeyTarget& t, const Value& v) {
  t.model->config.pooling = kPoolings.at(static_cast<std::size_t>(std::get<std::int64_t>(v)));
}

// The list's entries were checked against the choices.
void store_scopes(KeyTarget& t, const Value& v) {
  Scopes scopes{.infer = false, .read = false, .admin = false};
  for (const std::string& name : std::get<TextList>(v)) {
    scopes.infer |= name == kScopes[0];
    scopes.read |= name == kScopes[1];
    scopes.admin |= name == kScopes[2];
  }
  t.api_key->key.scopes = scopes;
}

const KeySpec kModelRows[] = {
    row(kModel, "gguf", ValueType::path, "",
        "The model's file. `~` is the home folder; a relative path starts at the configuration "
        "file. Of a split model, its first part.",
        [](T& t, V v) { set(t.model->config.gguf, v); }),
    row(kModel, "command", ValueType::text_list, "[]",
        "Instead of `gguf`: the program of a model server of your own, and its arguments. No shell "
        "is used. `${PORT}` stands for a free port of this machine, `${SOCKET}` for the path of a "
        "unix socket, `${MODEL}` for the model's id, `${GPU_UUIDS}` for the GPUs that it may use.",
        [](T& t, V v) { set(t.model->config.command, v); }),
    row(kModel, "health", ValueType::text, "/health",
        "Of a `command`: the path that answers 200 once the model can be used.",
        [](T& t, V v) { set(t.model->config.health, v); }),
    row(kModel, "memory.host", ValueType::bytes, "",
        "Of a `command`: what the server takes of the host's memory. What it is seen to take "
        "beyond "
        "that counts from then on.",
        [](T& t, V v) { set(t.model->config.declared_host, v); })
        .within(0, 64 * 1024 * kGiB),
    row(kModel, "memory.gpu", ValueType::bytes, "",
        "Of a `command`: what the server takes of one GPU; on a machine without one it counts in "
        "the host.",
        [](T& t, V v) { set(t.model->config.declared_gpu, v); })
        .within(0, 64 * 1024 * kGiB),
    row(kModel, "draft", ValueType::path, "",
        "A small model of the same vocabulary that proposes tokens for this one to check "
        "(speculative decoding). Its memory counts as the model's.",
        [](T& t, V v) { set(t.model->config.draft, v); }),
    row(kModel, "mmproj", ValueType::path, "",
        "The projector that lets the model see images or hear sound.",
        [](T& t, V v) { set(t.model->config.mmproj, v); }),
    row(kModel, "lora", ValueType::path_list, "[]", "LoRA adapters, each with its full weight.",
        [](T& t, V v) { set(t.model->config.lora, v); }),
    row(kModel, "control_vector", ValueType::path_list, "[]",
        "Control vectors, each with its full weight.",
        [](T& t, V v) { set(t.model->config.control_vector, v); }),
    row(kModel, "type", ValueType::choice, "",
        "What the model does. By default this is read from the file.",
        [](T& t, V v) { set(t.model->config.type, v); })
        .one_of(kTypes),
    row(kModel, "aliases", ValueType::text_list, "[]", "Other names that requests may use.",
        [](T& t, V v) { set(t.model->config.aliases, v); }),
    row(kModel, "context", ValueType::integer, "4096",
        "Tokens that one request may use, prompt and answer together. Slots multiply it.",
        store_context)
        .within(16, kContextMax)
        .inherit(),
    row(kModel, "slots", ValueType::integer, "2", "Requests that the server runs at once.",
        [](T& t, V v) { set(t.model->config.configured.slots, v); })
        .within(1, kSlotsMax)
        .inherit(),
    row(kModel, "concurrency", ValueType::integer, "",
        "Requests sent to the server at once; by default as many as it has slots.",
        store_concurrency)
        .within(1, 4096),
    row(kModel, "kv_type", ValueType::choice, "f16", "Type of the key and value cache.",
        [](T& t, V v) { set(t.model->config.configured.kv, v); })
        .one_of(kKvTypes)
        .inherit(),
    row(kModel, "gpu_layers", ValueType::integer, "",
        "Layers on GPUs, neither more nor fewer; 0 is the processor alone. By default as many as "
        "fit.",
        store_gpu_layers)
        .within(0, kLayersMax)
        .inherit(),
    row(kModel, "ladder", ValueType::ladder, "",
        "Lesser placements that may be taken when memory is short, best first. Without one the "
        "model waits for its full placement.",
        nullptr),
    row(kModel, "pin", ValueType::boolean, "false", "Never evict the model.",
        [](T& t, V v) { set(t.model->policy.pinned, v); }),
    row(kModel, "preload", ValueType::boolean, "false", "Load the model when the daemon starts.",
        [](T& t, V v) { set(t.model->config.preload, v); }),
    row(kModel, "heavy", ValueType::boolean, "false", "Counts for `residency.heavy_slot`.",
        [](T& t, V v) { set(t.model->policy.heavy, v); }),
    row(kModel, "priority", ValueType::choice, "normal", "Priority of the model's requests.",
        [](T& t, V v) { set(t.model->policy.priority, v); })
        .one_of(kPriorities),
    row(kModel, "ttl", ValueType::duration_or_never, "",
        "Unloads the model when it was idle for this long; by default `residency.ttl`.",
        [](T& t, V v) { set(t.model->policy.ttl, v); })
        .within(kSecond, 365 * kDay),
    row(kModel, "request_timeout", ValueType::duration, "",
        "Longest time of one request at the server; by default `limits.request_timeout`.",
        [](T& t, V v) { set(t.model->config.request_timeout, v); })
        .within(1000, 7 * kDay),
    row(kModel, "no_replay_paths", ValueType::text_list, "[]",
        "Paths whose requests are never sent twice, such as those with effects outside of the "
        "model.",
        [](T& t, V v) { set(t.model->config.no_replay_paths, v); }),
    row(kModel, "cache_ram", ValueType::bytes, "0",
        "The engine's own cache of prompts; it counts as part of the model's footprint.",
        [](T& t, V v) { set(t.model->config.cache_ram, v); })
        .within(0, 1024 * kGiB)
        .inherit(),
    row(kModel, "checkpoints", ValueType::integer, "",
        "Context checkpoints that the engine keeps per slot, so that a prompt is not read again "
        "from its beginning; they count as part of the model's footprint. By default none for full "
        "attention, up to 2 for a sliding window, 2 to 4 for a recurrent state.",
        [](T& t, V v) { set(t.model->config.checkpoints, v); })
        .within(0, 64)
        .inherit(),
    row(kModel, "batch", ValueType::integer, "",
        "Tokens of a prompt that are processed as one batch; by default the engine adapter "
        "chooses.",
        [](T& t, V v) { set(t.model->config.batch, v); })
        .within(1, kContextMax)
        .inherit(),
    row(kModel, "ubatch", ValueType::integer, "",
        "Tokens computed at once; larger is faster on prompts and needs more memory. By default "
        "the engine adapter chooses.",
        [](T& t, V v) { set(t.model->config.ubatch, v); })
        .within(1, kContextMax)
        .inherit(),
    row(kModel, "threads", ValueType::integer, "",
        "Processor threads; by default the engine chooses.",
        [](T& t, V v) { set(t.model->config.threads, v); })
        .within(1, 4096)
        .inherit(),
    row(kModel, "pooling", ValueType::choice, "",
        "How an embedding model sums up a text; by default as its file says.", store_pooling)
        .one_of(kPoolings),
    row(kModel, "args", ValueType::text_list, "[]",
        "More flags for the model server, after tonnage's own.",
        [](T& t, V v) { set(t.model->config.args, v); })
        .inherit(),
    row(kModel, "env", ValueType::text_map, "{}",
        "Environment of the model server, beside the few variables that it gets by default.",
        [](T& t, V v) { set(t.model->config.env, v); })
        .inherit(),
};

const KeySpec kClientRows[] = {
    row(kStep, "context", ValueType::integer, "", "Tokens per request in this placement.",
        [](T& t, V v) { set(t.step->context, v); })
        .within(16, kContextMax),
    row(kStep, "slots", ValueType::integer, "", "Requests at once in this placement.",
        [](T& t, V v) { set(t.step->slots, v); })
        .within(1, kSlotsMax),
    row(kStep, "gpu_layers", ValueType::integer, "", "Layers on GPUs in this placement.",
        [](T& t, V v) { set(t.step->gpu_layers, v); })
        .within(0, kLayersMax),
    row(kStep, "kv_type", ValueType::choice, "",
        "Type of the key and value cache in this placement.", [](T& t, V v) { set(t.step->kv, v); })
        .one_of(kKvTypes),
    row(kClient, "name", ValueType::text, "", "Name of the client in logs and messages.",
        [](T& t, V v) { set(t.api_key->key.name, v); }),
    row(kClient, "key", ValueType::secret, "", "The key itself, at least 8 characters.",
        [](T& t, V v) { set(t.api_key->key.key, v); }),
    row(kClient, "key_env", ValueType::text, "",
        "An environment variable that holds the key, instead of `key`.",
        [](T& t, V v) { set(t.api_key->key_env, v); }),
    row(kClient, "scopes", ValueType::text_list, "[infer]",
        "`infer`: the model doors. `read`: state. `admin`: controls, logs and pass-through.",
        store_scopes)
        .one_of(kScopes),
    row(kClient, "models", ValueType::text_list, "[]",
        "Models that the key may use, by id, alias or prefix (`qwen*`); by default all.",
        [](T& t, V v) { set(t.api_key->key.models, v); }),
    row(kClient, "priority", ValueType::choice, "",
        "Priority of the key's requests; by default that of the model.",
        [](T& t, V v) { set(t.api_key->key.priority, v); })
        .one_of(kPriorities),
    row(kClient, "concurrency", ValueType::integer, "",
        "Requests of the key that may run or wait at once; by default there is no such limit.",
        [](T& t, V v) { set(t.api_key->key.concurrency, v); })
        .within(1, 1'000'000),
};

const PlannedKey kPlanned[] = {
    {KeyScope::global, "budgets.host.warm_max", "parking models in memory comes"},
    {KeyScope::global, "router", "the router comes"},
    {KeyScope::global, "team", "the router comes"},
    {KeyScope::global, "tls", "TLS comes"},
    {kModel, "devices", "choosing the GPUs of a model comes"},
    {kModel, "url", "model servers that tonnage does not start come"},
    {kModel, "container", "model servers in containers come"},
};

}  // namespace

std::span<const KeySpec> model_keys() {
  return kModelRows;
}
std::span<const KeySpec> client_keys() {
  return kClientRows;
}
std::span<const PlannedKey> planned_keys() {
  return kPlanned;
}

}  // namespace tonnage
