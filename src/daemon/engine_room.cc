#include "daemon/engine_room.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "footprint/dry_run.h"
#include "footprint/host_footprint.h"
#include "footprint/server_settings.h"

namespace vramd {

// The header was read; dry runs follow, one placement after the other.
struct EngineRoom::Profiling {
  ModelId model;
  GgufInfo gguf;
  std::vector<ProfiledPlacement> placements;
  std::size_t next = 0;  // the placement that is run next
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
  placement.dry_run = std::move(*parsed);
  return {};
}

}  // namespace

EngineRoom::EngineRoom(boost::asio::io_context& io, const Config& config, LlamaPrograms programs,
                       RuntimeFolder& folder, Post post)
    : io_(io),
      config_(config),
      programs_(std::move(programs)),
      folder_(folder),
      post_(std::move(post)),
      runner_(io),
      supervisor_(io, folder, {.stop_timeout = config.policy.load.stop_timeout}, *this) {
  LlamaEnvironment environment;
  environment.gomp_spincount = config.spin_count;
  environment_ = llama_environment(environment);
}

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
  return {placement, batches.batch, batches.ubatch, model.prompt_cache};
}

void EngineRoom::profile(ModelId id) {
  const std::string path = config_.models[id.value].gguf.string();
  boost::asio::post(worker_, [this, id, path] {
    auto file = file_identity(path);
    auto info = read_gguf_model(path);
    boost::asio::post(io_, [this, id, file, info = std::move(info)]() mutable {
      if (!info) {
        post_(ProfileFailed{id, {FailureKind::bad_model, info.error().text()}});
        return;
      }
      const ModelConfig& model = config_.models[id.value];
      auto profiling = std::make_shared<Profiling>();
      profiling->model = id;
      profiling->gguf = std::move(*info);
      profiling->placements.push_back({settings(id, model.configured), std::nullopt});
      for (const LadderStep& step : model.ladder) {
        if (profiling->placements.size() == kPlacementRowsMax)
          break;
        profiling->placements.push_back(
            {settings(id, apply(step, model.configured)), std::nullopt});
      }
      if (file)
        profiled_[id] = *file;
      dry_run_next(profiling);
    });
  });
}

void EngineRoom::dry_run_next(const std::shared_ptr<Profiling>& profiling) {
  if (profiling->next == profiling->placements.size() || !programs_.fit_params) {
    finish_profile(*profiling);
    return;
  }
  ProfiledPlacement& placement = profiling->placements[profiling->next++];
  RunRequest request;
  request.argv =
      dry_run_arguments(config_.models[profiling->model.value].gguf.string(), placement.settings);
  request.argv.insert(request.argv.begin(), programs_.fit_params->string());
  request.env = environment_;
  // A model that does not load makes it abort, and it would start a debugger to say where.
  request.env.emplace_back("GGML_NO_BACKTRACE=1");
  runner_.run(std::move(request), [this, profiling, &placement](Result<RunOutput> output) {
    if (auto why = take_dry_run(placement, output); !why.empty()) {
      const std::string& name = config_.policy.models[profiling->model.value].id;
      spdlog::warn("no dry run of {}: {}; its size is estimated from the file", name, why);
    }
    dry_run_next(profiling);
  });
}

void EngineRoom::finish_profile(const Profiling& profiling) {
  std::vector<PlacementRow> rows = profile_rows(profiling.gguf, profiling.placements);
  const std::int32_t slots = std::max(1, rows.front().placement.slots);
  for (PlacementRow& row : rows)
    row.speed_permille = 1000 * row.placement.slots / slots;
  post_(ModelProfiled{profiling.model, std::move(rows)});
}

void EngineRoom::start(const StartServer& action) {
  const auto fail_start = [&](FailureKind kind, std::string text) {
    // A server's fate is never reported from within the call that starts it.
    boost::asio::post(io_, [this, generation = action.generation, kind, text] {
      post_(ServerExited{generation, Failure{kind, text}});
    });
  };
  const ModelConfig& config = config_.models[action.model.value];
  const auto file = file_identity(config.gguf.string());
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
  std::vector<std::string> environment = environment_;
  for (const auto& [name, value] : config.env)
    environment.push_back(name + "=" + value);
  sockets_[action.generation] = *socket;
  supervisor_.start(llama_server_spec(programs_, llama_model(action.model), action.placement,
                                      action.generation, *socket, std::move(environment)));
}

void EngineRoom::stop(const StopServer& action) {
  if (const auto path = socket(action.generation); path && socket_gone_)
    socket_gone_(*path);
  supervisor_.stop(action.generation, action.kill_at_once);
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

}  // namespace vramd
