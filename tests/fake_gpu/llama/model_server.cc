#include "llama/model_server.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "llama/answers.h"
#include "llama/engine.h"
#include "llama/engine_log.h"

namespace fake_gpu {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
// The driver's own part of the time that a load takes.
constexpr std::int64_t kWeightsPermille = 800;

std::uint64_t mebibytes(std::int64_t count) {
  return static_cast<std::uint64_t>(count) * kMiB;
}

[[noreturn]] void wait_for_ever() {
  while (true)
    ::pause();
}

}  // namespace

ModelServer::ModelServer(Arguments arguments, Behaviour behaviour, SharedSet* set)
    : arguments_(std::move(arguments)),
      behaviour_(std::move(behaviour)),
      name_(arguments_.alias.empty() ? arguments_.model : arguments_.alias),
      set_(set),
      slots_(static_cast<std::size_t>(std::max(1, arguments_.slots))) {
  if (set_ != nullptr)
    memory_ = std::make_unique<DeviceMemory>(*set_);
}

bool ModelServer::fail_load(const std::string& why) const {
  say('E', why);
  say('E', "llama_model_load_from_file_impl: failed to load model");
  say('E', "common_init_: failed to load model '" + arguments_.model + "'");
  say('E', "srv    load_model: failed to load model, '" + arguments_.model + "'");
  return false;
}

bool ModelServer::load() {
  say('I', "srv    load_model: loading model '" + arguments_.model + "'");
  if (!behaviour_.last_words.empty()) {
    say_plain(behaviour_.last_words);
    ::_exit(static_cast<int>(behaviour_.exit_status));
  }
  const auto devices = chosen_devices(arguments_, offered_devices(set_, behaviour_));
  if (!devices)
    return fail_load(devices.error());
  devices_ = *devices;
  const auto model = read_model(arguments_.model);
  if (!model)
    return fail_load(model.error());
  static const DeviceSet none{};
  const MemoryPlan plan =
      plan_memory(*model, arguments_, devices_, set_ == nullptr ? none : set_->set());
  for (const EngineDevice& device : devices_)
    memory_->open_context(device, mebibytes(behaviour_.context_mib));
  for (const DevicePlan& device : plan.devices) {
    if (!load_device(device))
      return false;
  }
  pause_ms(behaviour_.load_ms * kWeightsPermille / 1000);
  for (const EngineDevice& device : devices_)
    memory_->touch(device);
  if (behaviour_.hang_at_load)
    wait_for_ever();
  if (!load_caches(plan))
    return false;
  pause_ms(behaviour_.load_ms * (1000 - kWeightsPermille) / 1000);
  say('I', "srv    load_model: initializing, n_slots = " + std::to_string(arguments_.slots) +
               ", n_ctx_slot = " + std::to_string(slot_context()));
  say('I', "srv  llama_server: model loaded");
  ready_ = true;
  return true;
}

bool ModelServer::load_device(const DevicePlan& plan) {
  say('I', "load_tensors: " + plan.device.name + " model buffer size = " + mib_text(plan.weights));
  const bool first = plan.device.name == devices_.front().name;
  const std::uint64_t leak =
      first ? std::min(mebibytes(behaviour_.leak_mib), plan.weights) : std::uint64_t{0};
  if (memory_->allocate_buffer(plan.device, plan.weights - leak) &&
      memory_->allocate_buffer(plan.device, leak, true)) {
    return true;
  }
  say('E', "alloc_tensor_range: failed to allocate " + plan.device.name + " buffer of size " +
               std::to_string(plan.weights));
  return fail_load("llama_model_load: error loading model: unable to allocate " + plan.device.name +
                   " buffer");
}

bool ModelServer::load_caches(const MemoryPlan& plan) {
  const auto fail_context = [&](const DevicePlan& device, std::uint64_t bytes,
                                const std::string& function, const std::string& why) {
    say('E', function + ": failed to allocate " + device.device.name + " buffer of size " +
                 std::to_string(bytes));
    say('E', "llama_init_from_model: failed to initialize the context: " + why);
    say('E', "common_init_: failed to create context with model '" + arguments_.model + "'");
    say('E', "srv    load_model: failed to load model, '" + arguments_.model + "'");
    return false;
  };
  for (const DevicePlan& device : plan.devices) {
    if (!memory_->allocate_buffer(device.device, device.context)) {
      return fail_context(device, device.context, "alloc_tensor_range",
                          "failed to allocate buffer for kv cache");
    }
  }
  for (const DevicePlan& device : plan.devices) {
    if (!memory_->allocate_buffer(device.device, device.compute)) {
      return fail_context(device, device.compute, "ggml_gallocr_reserve_n_impl",
                          "failed to allocate compute pp buffers");
    }
  }
  return true;
}

std::int64_t ModelServer::slot_context() const {
  return arguments_.context / std::max(1, arguments_.slots);
}

void ModelServer::handle(const HttpRequest& request, HttpReply& reply) {
  if (hangs_)
    wait_for_ever();
  if (!ready_)
    return reply.answer(503, error_json(503, "Loading model", "unavailable_error"));
  const std::string& path = request.path;
  const bool get = request.method == "GET";
  if (get && (path == "/health" || path == "/v1/health"))
    return reply.answer(200, R"({"status":"ok"})");
  if (get && path == "/slots")
    return reply.answer(200, slots_json());
  if (get && path == "/props")
    return reply.answer(200, props_json());
  if (get && (path == "/v1/models" || path == "/models"))
    return reply.answer(200, models_json(name_));
  if (get && path == "/metrics")
    return reply.answer(501, not_supported("metrics endpoint", "--metrics"));
  if (path == "/v1/chat/completions" || path == "/chat/completions")
    return generate(request, reply, true);
  if (path == "/v1/completions" || path == "/completions" || path == "/completion")
    return generate(request, reply, false);
  if (path == "/v1/embeddings" || path == "/embeddings")
    return embed(request, reply);
  if (path == "/v1/rerank" || path == "/rerank" || path == "/reranking")
    return rerank(request, reply);
  if (path.starts_with("/slots/") && request.method == "POST")
    return act_on_slot(request, reply);
  reply.answer(404, error_json(404, "File Not Found", "not_found_error"));
}

// In the middle of the request that was named.
bool ModelServer::misbehave(const Behaviour& behaviour, HttpReply& reply) {
  const std::int64_t number = ++requests_;
  if (!behaviour.error_body.empty()) {
    reply.answer(500, behaviour.error_body);
    return false;
  }
  if (set_ == nullptr)
    return true;
  const auto is_due = [&](std::int64_t at, const char* what, std::int64_t times) {
    return at != 0 && number >= at &&
           set_->count_up_to(what + name_, static_cast<std::uint64_t>(times));
  };
  if (is_due(behaviour.hang_at, "hang:", behaviour.hang_times)) {
    hangs_ = true;
    wait_for_ever();
  }
  if (devices_.empty())
    return true;
  const EngineDevice& device = devices_.front();
  for (const EngineDevice& each : devices_)
    memory_->touch(each);
  if (number == behaviour.grow_at)
    memory_->allocate_in_use(device, mebibytes(behaviour.grow_mib));
  if (is_due(behaviour.oom_at, "oom:", behaviour.oom_times)) {
    // Requests that came with it get into it.
    reply.wait_ms(static_cast<int>(behaviour.token_ms));
    memory_->allocate_in_use(device, memory_->too_much(device));
  }
  if (is_due(behaviour.short_at, "short:", behaviour.short_times)) {
    reply.wait_ms(static_cast<int>(behaviour.token_ms));
    run_short(device, reply);
    return false;
  }
  return true;
}

// A graph that finds no room for its buffers fails alone: CUDA was asked kindly.
void ModelServer::run_short(const EngineDevice& device, HttpReply& reply) {
  const std::uint64_t bytes = memory_->too_much(device);
  memory_->allocate_buffer(device, bytes);
  say('E', "ggml_gallocr_reserve_n_impl: failed to allocate " + device.name + " buffer of size " +
               std::to_string(bytes));
  say('E', "graph_compute: ggml_backend_sched_graph_compute_async failed with error -2");
  say('E', "process_ubatch: failed to compute graph, compute status: -2");
  say('E', "srv  decode_batch: Compute error. off = 0, n_batch = 2048, ret = -2");
  reply.answer(500, error_json(500, "Compute error.", "server_error"));
}

void ModelServer::generate(const HttpRequest& request, HttpReply& reply, bool chat) {
  const auto wanted = read_generation(request.body, chat, slot_context());
  if (!wanted)
    return reply.answer(400, wanted.error());
  if (arguments_.embeddings || arguments_.reranking) {
    return reply.answer(
        500, error_json(500, "the current context does not logits computation", "server_error"));
  }
  const auto slot = slots_.take(reply);
  if (!slot)
    return;
  static std::atomic<std::int64_t> tasks = 0;
  const std::string task = "id  " + std::to_string(*slot) + " | task " + std::to_string(++tasks);
  say('I', "slot launch_slot_: " + task + " | processing task");
  const Behaviour behaviour = read_behaviour(arguments_.model);
  if (!misbehave(behaviour, reply)) {
    slots_.give_back(*slot);
    return;
  }
  Answer answer(name_, *wanted);
  if (wanted->stream)
    reply.begin();
  bool there = true;
  while (there && answer.more()) {
    there = reply.wait_ms(static_cast<int>(behaviour.token_ms));
    for (const EngineDevice& device : devices_)
      memory_->touch(device);
    const std::string chunk = answer.next();
    if (there && wanted->stream)
      there = reply.event(chunk);
  }
  if (!there) {
    say('W', "srv          stop: cancel task, " + task);
  } else if (wanted->stream) {
    reply.event(answer.last());
    reply.event("[DONE]");
    reply.end();
  } else {
    reply.answer(200, answer.whole());
  }
  say('I', "slot      release: " + task + " | stop processing");
  slots_.give_back(*slot);
}

// An answer that is there after one step.
template <typename Make>
void ModelServer::encode(HttpReply& reply, Make make) {
  const auto slot = slots_.take(reply);
  if (!slot)
    return;
  const Behaviour behaviour = read_behaviour(arguments_.model);
  if (misbehave(behaviour, reply) && reply.wait_ms(static_cast<int>(behaviour.token_ms)))
    reply.answer(200, make());
  slots_.give_back(*slot);
}

void ModelServer::embed(const HttpRequest& request, HttpReply& reply) {
  if (!arguments_.embeddings)
    return reply.answer(501, not_supported("embeddings", "--embeddings"));
  encode(reply, [&] { return embeddings_json(name_, request.body); });
}

void ModelServer::rerank(const HttpRequest& request, HttpReply& reply) {
  if (!arguments_.reranking)
    return reply.answer(501, not_supported("reranking", "--reranking"));
  encode(reply, [&] { return rerank_json(name_, request.body); });
}

void ModelServer::act_on_slot(const HttpRequest& request, HttpReply& reply) {
  if (arguments_.slot_save_path.empty())
    return reply.answer(501, not_supported("slots action", "--slot-save-path"));
  const auto action = request.query.find("action");
  const std::string slot = request.path.substr(request.path.rfind('/') + 1);
  if (action == request.query.end() || slot.find_first_not_of("0123456789") != std::string::npos)
    return reply.answer(400, error_json(400, "Invalid action", "invalid_request_error"));
  const auto result = slot_action(arguments_.slot_save_path, slot, action->second, request.body);
  reply.answer(result ? 200 : 400, result ? *result : result.error());
}

std::string ModelServer::slots_json() const {
  std::string text;
  const std::vector<bool> busy = slots_.busy();
  for (std::size_t i = 0; i < busy.size(); ++i) {
    text += (text.empty() ? "[" : ",") + std::string(R"({"id":)") + std::to_string(i) +
            R"(,"n_ctx":)" + std::to_string(slot_context()) +
            R"(,"speculative":false,"is_processing":)" + (busy[i] ? "true" : "false") + "}";
  }
  return text + "]";
}

std::string ModelServer::props_json() const {
  return R"({"default_generation_settings":{"n_ctx":)" + std::to_string(slot_context()) +
         R"(},"total_slots":)" + std::to_string(arguments_.slots) + R"(,"model_alias":")" + name_ +
         R"(","build_info":"b1-fa4e000","is_sleeping":false})";
}

void ModelServer::finish() {
  slots_.wait_until_idle();
  if (memory_)
    memory_->release();
}

}  // namespace fake_gpu
