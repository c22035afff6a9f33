#include "daemon/engine_room.h"

#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "engine/page_cache.h"
#include "footprint/device_footprint.h"
#include "footprint/dry_run.h"
#include "footprint/server_settings.h"

namespace tonnage {

// The header was read; dry runs follow, one placement after the other.
struct EngineRoom::Profiling {
  ModelId model;
  GgufInfo gguf;
  std::vector<ProfiledPlacement> placements;
  std::size_t next = 0;  // the placement that is run next

  bool over() {
    while (next < placements.size() && placements[next].derived)
      ++next;
    return next == placements.size();
  }
};

namespace {

// Keeps the numbers of a dry run; otherwise says why there are none.
std::string take_dry_run(ProfiledPlacement& placement, const Result<RunOutput>& output) {
  if (!output)
    return output.error().text();
  if (!output->status.clean()) {
    return to_text(output->status) + ": " + dry_run_failure(output->err);
  }
  auto parsed = parse_dry_run(output->out);
  if (!parsed)
    return parsed.error().text();
  if (parsed->devices.size() != placement.devices)
    return "it names " + std::to_string(parsed->devices.size()) + " devices instead of " +
           std::to_string(placement.devices);
  placement.dry_run = std::move(*parsed);
  return {};
}

}  // namespace

EngineRoom::EngineRoom(boost::asio::io_context& io, const Config& config, LlamaPrograms programs,
                       std::vector<std::string> environment, const DevicePools& pools,
                       RuntimeFolder& folder, Post post)
    : io_(io),
      config_(config),
      programs_(std::move(programs)),
      pools_(pools),
      folder_(folder),
      post_(std::move(post)),
      runner_(io),
      supervisor_(io, folder, {.stop_timeout = config.policy.load.stop_timeout}, *this),
      environment_(std::move(environment)) {}

EngineRoom::~EngineRoom() {
  worker_.join();
}

std::int64_t EngineRoom::created_s(const std::filesystem::path& gguf) {
  struct stat info{};
  return ::stat(gguf.c_str(), &info) == 0 ? info.st_mtim.tv_sec : 0;
}

bool EngineRoom::file_changed(ModelId model) const {
  const auto known = profiled_.find(model);
  if (known == profiled_.end())
    return false;
  const auto file = file_identity(config_.models[model.value].gguf.string());
  return !file || *file != known->second;
}

std::optional<std::int32_t> EngineRoom::trained_context(ModelId model) const {
  const auto known = trained_contexts_.find(model);
  return known == trained_contexts_.end() ? std::nullopt : std::optional(known->second);
}

LlamaModel EngineRoom::llama_model(ModelId id) const {
  const ModelConfig& config = config_.models[id.value];
  LlamaModel model;
  model.id = id;
  model.name = config_.policy.models[id.value].id;
  model.gguf = config.gguf;
  model.type = config_.policy.models[id.value].type;
  if (config.ubatch)
    model.ubatch = *config.ubatch;
  // One micro-batch at a time: a larger batch costs memory and wins nothing in the host.
  model.batch = config.batch.value_or(model.ubatch);
  model.prompt_cache = config.cache_ram;
  model.threads = config.threads;
  model.args = config.args;
  if (!config.pooling.empty()) {
    model.args.insert(model.args.begin(), {"--pooling", config.pooling});
  }
  return model;
}

ServerSettings EngineRoom::settings(ModelId id, const Placement& placement) const {
  const LlamaModel model = llama_model(id);
  const LlamaBatches batches = llama_batches(model, placement);
  return {placement, batches.batch, batches.ubatch, model.prompt_cache, {}};
}

void EngineRoom::profile(const Profile& action) {
  const ModelId id = action.model;
  const auto paused = std::exchange(between_dry_runs_, nullptr);
  if (action.next && paused && paused->model == id)
    return dry_run_next(paused);
  const std::string path = config_.models[id.value].gguf.string();
  boost::asio::post(worker_, [this, id, path] {
    auto file = file_identity(path);
    auto info = read_gguf_model(path);
    boost::asio::post(io_, [this, id, file, info = std::move(info)]() mutable {
      if (!info) {
        post_(ProfileFailed{id, {FailureKind::bad_model, info.error().text()}});
        return;
      }
      auto profiling = std::make_shared<Profiling>();
      profiling->model = id;
      profiling->gguf = std::move(*info);
      profiling->placements = placements(id, profiling->gguf);
      if (file)
        profiled_[id] = *file;
      if (const auto trained = profiling->gguf.of("context_length"))
        trained_contexts_[id] = static_cast<std::int32_t>(
            std::clamp<std::int64_t>(*trained, 0, std::numeric_limits<std::int32_t>::max()));
      dry_run_next(profiling);
    });
  });
}

// A ladder of the user's that names layers is the whole ladder; otherwise each of its steps is
// tried on the devices in every way that makes sense, and the processor comes last.
std::vector<ProfiledPlacement> EngineRoom::placements(ModelId id, const GgufInfo& gguf) const {
  const ModelConfig& model = config_.models[id.value];
  const DeviceSpace space = pools_.space();
  const bool named = std::ranges::any_of(
      model.ladder, [](const LadderStep& step) { return step.gpu_layers.has_value(); });
  std::vector<ProfiledPlacement> all;
  const auto add = [&](const Placement& placement, std::optional<std::int32_t> gpu_layers) {
    if (!gpu_layers && named)
      gpu_layers = offload_layers(gguf);
    for (ProfiledPlacement& p : placements_of(gguf, settings(id, placement), space, gpu_layers))
      all.push_back(std::move(p));
  };
  add(model.configured, model.gpu_layers);
  for (const LadderStep& step : model.ladder)
    add(apply(step, model.configured), step.gpu_layers ? step.gpu_layers : model.gpu_layers);
  if (!named) {
    std::ranges::stable_partition(all, [](const ProfiledPlacement& p) { return p.devices > 0; });
  }
  if (all.size() > kPlacementRowsMax)
    all.resize(kPlacementRowsMax);
  for (ProfiledPlacement& p : all) {
    p.settings.gpu_arguments =
        gpu_arguments(p.settings.placement.gpu_layers, pools_.visible_for_dry_run(p.devices));
  }
  return all;
}

void EngineRoom::dry_run_next(const std::shared_ptr<Profiling>& profiling) {
  if (!programs_.fit_params || profiling->over())
    return finish_profile(*profiling);
  ProfiledPlacement& placement = profiling->placements[profiling->next++];
  RunRequest request;
  request.argv =
      dry_run_arguments(config_.models[profiling->model.value].gguf.string(), placement.settings);
  request.argv.insert(request.argv.begin(), programs_.fit_params->string());
  request.env = pools_.visible_for_dry_run(placement.devices).env;
  for (std::string& variable : environment(profiling->model))
    request.env.push_back(std::move(variable));
  runner_.run(std::move(request), [this, profiling, &placement](Result<RunOutput> output) {
    if (auto why = take_dry_run(placement, output); !why.empty()) {
      const std::string& name = config_.policy.models[profiling->model.value].id;
      spdlog::warn("no dry run of {}: {}; its size is estimated from the file", name, why);
    }
    if (placement.devices == 0 || profiling->over())
      return dry_run_next(profiling);
    between_dry_runs_ = profiling;
    post_(DryRunEnded{profiling->model});
  });
}

void EngineRoom::finish_profile(Profiling& profiling) {
  derive_dry_runs(profiling.gguf, profiling.placements);
  post_(ModelProfiled{profiling.model,
                      profile_rows(profiling.gguf, profiling.placements, pools_.space())});
}

void EngineRoom::set_spin_count(std::int32_t count) {
  constexpr std::string_view kName = "GOMP_SPINCOUNT=";
  std::erase_if(environment_,
                [&](const std::string& variable) { return variable.starts_with(kName); });
  environment_.push_back(std::string(kName) + std::to_string(count));
}

std::vector<std::string> EngineRoom::environment(ModelId model) const {
  std::vector<std::string> all = environment_;
  for (const auto& [name, value] : config_.models[model.value].env)
    all.push_back(name + "=" + value);
  return all;
}

void EngineRoom::start(const StartServer& action) {
  const auto fail_start = [&](FailureKind kind, std::string text) {
    // A server's fate is never reported from within the call that starts it.
    boost::asio::post(io_, [this, generation = action.generation, kind, text] {
      post_(ServerExited{generation, Failure{kind, text}});
    });
  };
  const auto file = file_identity(config_.models[action.model.value].gguf.string());
  if (!file)
    return fail_start(FailureKind::bad_model, file.error().text());
  if (const auto profiled = profiled_.find(action.model);
      profiled != profiled_.end() && profiled->second != *file) {
    return fail_start(FailureKind::stale_profile, "the model file changed since it was profiled");
  }
  if (auto ready = folder_.ensure(); !ready) {
    return fail_start(FailureKind::bad_setup, ready.error().text());
  }
  const auto socket = folder_.socket_path(action.model, action.generation);
  if (!socket)
    return fail_start(FailureKind::bad_setup, socket.error().text());
  sockets_[action.generation] = *socket;
  supervisor_.start(llama_server_spec(programs_, llama_model(action.model), action.placement,
                                      pools_.visible(action.devices), action.generation, *socket,
                                      environment(action.model)));
}

void EngineRoom::stop(const StopServer& action) {
  if (const auto path = socket(action.generation); path && socket_gone_)
    socket_gone_(*path);
  supervisor_.stop(action.generation, action.kill_at_once);
}

// What the processor's memory holds only to be quick: free blocks of the allocator, and weight
// files that no server maps. There is more that takes long to get back (prompt caches of servers),
// but the engine has no word for giving it up, so a hard trim is no harder. Devices have no such
// thing.
void EngineRoom::trim(const Trim& action) {
  if (action.pool != kHostPool)
    return;
  std::vector<std::string> mapped;
  for (const RunningServer& server : supervisor_.running())
    mapped.push_back(config_.models[server.model.value].gguf.string());
  std::vector<std::string> cold;
  for (const ModelConfig& model : config_.models) {
    const std::string path = model.gguf.string();
    if (path.empty() || std::ranges::find(mapped, path) != mapped.end())
      continue;
    for (std::string& file : model_files(path))
      cold.push_back(std::move(file));
  }
  boost::asio::post(worker_, [cold = std::move(cold)] {
    drop_from_page_cache(cold);
    ::malloc_trim(0);
  });
}

// At a server's exit all of its group was killed, so what is left can only be one that has not
// ended yet.
void EngineRoom::kill_remains(const KillRemains& action) {
  supervisor_.stop(action.generation, true);
}

std::optional<std::filesystem::path> EngineRoom::socket(Generation generation) const {
  const auto found = sockets_.find(generation);
  if (found == sockets_.end())
    return std::nullopt;
  return found->second;
}

void EngineRoom::server_ready(Generation generation) {
  post_(ServerReady{generation});
}

void EngineRoom::server_exited(Generation generation, std::optional<Failure> failure) {
  if (const auto found = sockets_.find(generation); found != sockets_.end()) {
    if (socket_gone_)
      socket_gone_(found->second);
    sockets_.erase(found);
  }
  post_(ServerExited{generation, std::move(failure)});
}

void EngineRoom::server_unresponsive(Generation generation, Failure failure) {
  post_(ServerUnresponsive{generation, std::move(failure)});
}

}  // namespace tonnage
