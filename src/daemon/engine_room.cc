#include "daemon/engine_room.h"

#include <malloc.h>

#include <algorithm>
#include <expected>
#include <limits>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "engine/environment.h"
#include "footprint/checkpoints.h"
#include "footprint/dry_run.h"

namespace tonnage {

// The header was read; dry runs follow, one placement after the other.
struct EngineRoom::Profiling {
  ModelId model;
  ModelFacts facts;
  std::vector<ProfiledPlacement> placements;
  std::size_t next = 0;  // the placement that is run next
  bool draft = false;    // its draft is

  bool over() {
    while (next < placements.size() && placements[next].derived)
      ++next;
    return next == placements.size();
  }
  void advance() {
    draft = !draft && facts.companions.draft.has_value();
    if (!draft)
      ++next;
  }
};

namespace {

constexpr const char* kStoreName = "dry-runs";
// Between two looks at the files of models that could not be used.
constexpr Duration kBrokenLook = 500ms;

// A dry run reads a header: 10 ms on a file of 3.3 GB, some seconds with a large vocabulary on a
// slow disk or with the first context of a driver.
constexpr Duration kDryRunMax = 20s;
// Of one whose last dry run hung: meanwhile no other model is profiled.
constexpr Duration kDryRunAgainMax = 5s;

// The numbers of a dry run, or why there are none.
std::expected<DryRun, std::string> numbers_of(const Result<RunOutput>& output,
                                              std::size_t devices) {
  if (!output)
    return std::unexpected(output.error().text());
  if (!output->status.clean()) {
    return std::unexpected(to_text(output->status) + ": " + dry_run_failure(output->err));
  }
  auto parsed = parse_dry_run(output->out);
  if (!parsed)
    return std::unexpected(parsed.error().text());
  if (parsed->devices.size() != devices)
    return std::unexpected("it names " + std::to_string(parsed->devices.size()) +
                           " devices instead of " + std::to_string(devices));
  return std::move(*parsed);
}

}  // namespace

EngineRoom::EngineRoom(boost::asio::io_context& io, Workers& workers, const Config& config,
                       LlamaPrograms programs, std::vector<std::string> environment,
                       const DevicePools& pools, RuntimeFolder& folder, Post post)
    : io_(io),
      config_(config),
      programs_(std::move(programs)),
      pools_(pools),
      folder_(folder),
      post_(std::move(post)),
      allocator_(workers.lane("allocator")),
      store_lane_(workers.lane("dry runs")),
      runner_(io),
      looks_(io, runner_),
      supervisor_(io, folder, {.stop_timeout = config.policy.load.stop_timeout}, *this),
      environment_(std::move(environment)),
      cpus_(cpu_budget("/")) {
  if (const std::string why = cpus_.reason(); !why.empty())
    spdlog::info("model servers compute with {} threads: {}", *cpus_.threads(), why);
  load_store();
}

LlamaModel EngineRoom::llama_of(ModelId id) const {
  LlamaModel model = llama_model(config_, id);
  model.threads_allowed = cpus_.threads();
  return model;
}

void EngineRoom::learn(const std::vector<ModelLook>& looks) {
  for (const ModelLook& look : looks)
    looks_.learn(look);
}

std::int64_t EngineRoom::created_s(ModelId model) const {
  return looks_.changed_s(key_of(model));
}

bool EngineRoom::file_changed(ModelId model) const {
  const std::optional<FileId>& content = read_of(model).content;
  const ModelLook* look = looks_.known(key_of(model));
  return content && look != nullptr && look->files != *content;
}

std::optional<std::int32_t> EngineRoom::trained_context(ModelId model) const {
  return read_of(model).trained_context;
}

std::string EngineRoom::file_sizes(ModelId model) const {
  return read_of(model).sizes;
}

std::string EngineRoom::note(ModelId model) const {
  return read_of(model).note;
}

const EngineRoom::ReadFiles& EngineRoom::read_of(ModelId model) const {
  static const ReadFiles kUnread;
  const auto known = read_.find(model);
  return known == read_.end() ? kUnread : known->second;
}

void EngineRoom::profile(const Profile& action) {
  const ModelId id = action.model;
  const auto paused = between_dry_runs_.extract(id);
  if (action.next && paused)
    return dry_run_next(paused.mapped());
  profiling_.insert(id);
  looks_.look(key_of(id), LookDepth::facts,
              [this, id](Result<ModelLook> look) { looked(id, std::move(look)); });
}

void EngineRoom::abandon_profiles() {
  between_dry_runs_.clear();
  for (const ModelId model : std::exchange(profiling_, {}))
    post_(DryRunEnded{model});
}

void EngineRoom::looked(ModelId id, Result<ModelLook> look) {
  if (!profiling_.contains(id))
    return;  // given up meanwhile
  broken_.erase(id);
  if (!look || !look->facts) {
    profiling_.erase(id);
    watch_broken(id, look ? look->files : FileId{});
    post_(ProfileFailed{id, {FailureKind::bad_model, look ? look->error : look.error().text()}});
    return;
  }
  ModelFacts facts = std::move(*look->facts);
  const ModelConfig& config = config_.models[id.value];
  const LlamaModel model = llama_of(id);
  std::string note = context_note(config, model, facts);
  if (!note.empty() && note != read_of(id).note)
    spdlog::warn("{}: {}", model.name, note);
  ReadFiles read{.content = facts.files.identity(),
                 .trained_context = {},
                 .checkpoints = checkpoints_of(config, facts),
                 .checkpoints_off = false,
                 .note = std::move(note),
                 .sizes = tonnage::file_sizes(facts.files)};
  if (facts.trained_context)
    read.trained_context = static_cast<std::int32_t>(std::clamp<std::int64_t>(
        *facts.trained_context, 0, std::numeric_limits<std::int32_t>::max()));
  read.checkpoints_off =
      read.checkpoints == 0 && default_checkpoints(facts.gguf, config.configured) > 0;
  read_[id] = std::move(read);
  auto profiling = std::make_shared<Profiling>();
  profiling->model = id;
  profiling->facts = std::move(facts);
  profiling->placements = ladder_of(config, model, profiling->facts, pools_.space());
  dry_run_next(profiling);
}

void EngineRoom::dry_run_next(const std::shared_ptr<Profiling>& profiling) {
  if (!programs_.fit_params || profiling->over())
    return finish_profile(*profiling);
  if (const auto known = store_.find(store_key(*profiling))) {
    ProfiledPlacement& placement = profiling->placements[profiling->next];
    (profiling->draft ? placement.draft_dry_run : placement.dry_run) = *known;
    profiling->advance();
    return dry_run_next(profiling);
  }
  RunRequest request;
  request.argv = dry_run_arguments_of(*profiling);
  request.argv.insert(request.argv.begin(), programs_.fit_params->string());
  request.env = merged_environment(
      environment(profiling->model),
      pools_.visible_for_dry_run(profiling->placements[profiling->next].devices).env);
  const bool hung_before = hung_dry_runs_.contains(profiling->model);
  request.timeout = hung_before ? kDryRunAgainMax : kDryRunMax;
  runner_.run(std::move(request), [this, profiling](const Result<RunOutput>& output) {
    if (!profiling_.contains(profiling->model))
      return;  // given up meanwhile
    if (output)
      return take_dry_run(profiling, output);
    // The next one would take as long.
    profiling_.erase(profiling->model);
    hung_dry_runs_.insert(profiling->model);
    post_(ProfileFailed{profiling->model,
                        {FailureKind::bad_model, "its dry run failed: " + output.error().text()}});
  });
}

std::vector<std::string> EngineRoom::dry_run_arguments_of(const Profiling& profiling) const {
  const ProfiledPlacement& placement = profiling.placements[profiling.next];
  const VisibleGpus gpus = pools_.visible_for_dry_run(placement.devices);
  const LlamaModel model = llama_of(profiling.model);
  return profiling.draft ? llama_draft_dry_run_arguments(model, placement.settings.placement, gpus)
                         : llama_dry_run_arguments(model, placement.settings.placement, gpus);
}

void EngineRoom::take_dry_run(const std::shared_ptr<Profiling>& profiling,
                              const Result<RunOutput>& output) {
  ProfiledPlacement& placement = profiling->placements[profiling->next];
  auto numbers = numbers_of(output, placement.devices);
  if (numbers) {
    store_.keep(store_key(*profiling), *numbers);
    (profiling->draft ? placement.draft_dry_run : placement.dry_run) = std::move(*numbers);
  } else {
    spdlog::warn("no dry run of {}{}: {}; its size is estimated from the file",
                 profiling->draft ? "the draft of " : "",
                 config_.policy.models[profiling->model.value].id, numbers.error());
  }
  profiling->advance();
  if (placement.devices == 0 || profiling->over())
    return dry_run_next(profiling);
  between_dry_runs_[profiling->model] = profiling;
  post_(DryRunEnded{profiling->model});
}

void EngineRoom::finish_profile(Profiling& profiling) {
  profiling_.erase(profiling.model);
  hung_dry_runs_.erase(profiling.model);
  const ModelFacts& facts = profiling.facts;
  keep_store();
  derive_dry_runs(facts.gguf, profiling.placements);
  post_(ModelProfiled{profiling.model, profile_rows(facts.gguf, profiling.placements,
                                                    pools_.space(), facts.companions)});
}

void EngineRoom::watch_broken(ModelId model, FileId seen) {
  broken_[model] = seen;
  if (looking_)
    return;
  looking_ = true;
  // Each look is a process.
  watch_.expires_after(kBrokenLook * static_cast<std::int64_t>(broken_.size()));
  watch_.async_wait([this](const boost::system::error_code& error) {
    if (!error)
      look_at_broken();
  });
}

// One look after the other, so that one that hangs is asked once in a while.
void EngineRoom::look_at_broken() {
  looking_ = false;
  const std::map<ModelId, FileId> broken = broken_;
  for (const auto& [id, seen] : broken) {
    if (!under_look_.insert(id).second)
      continue;
    looks_.look(key_of(id), LookDepth::identity, [this, id](const Result<ModelLook>& look) {
      under_look_.erase(id);
      const auto known = broken_.find(id);
      if (known == broken_.end())
        return;
      if (!look || look->files == known->second)
        return watch_broken(id, known->second);
      broken_.erase(known);
      if (files_mended_)
        files_mended_(id);
    });
  }
}

// The first thing that the worker does, so it is there before the first profile.
void EngineRoom::load_store() {
  if (!programs_.fit_params)
    return;
  (void)store_lane_.post(
      [this, file = config_.state_dir / kStoreName, program = *programs_.fit_params] {
        DryRunStore store;
        const FileId engine = engine_identity(program);
        auto text = read_store(file);
        Result<void> parsed = text ? store.parse(*text) : std::unexpected(text.error());
        boost::asio::post(io_, [this, engine, parsed, store = std::move(store)]() mutable {
          if (!parsed)
            spdlog::warn("{}; models are dry-run again", parsed.error().text());
          engine_ = engine;
          store_ = std::move(store);
        });
      });
}

void EngineRoom::keep_store() {
  if (!store_.take_changed())
    return;
  (void)store_lane_.post([this, file = config_.state_dir / kStoreName, text = store_.text()] {
    if (const auto written = write_store(file, text); !written)
      boost::asio::post(io_, [why = written.error().text()] { spdlog::debug("{}", why); });
  });
}

std::string EngineRoom::store_key(const Profiling& profiling) const {
  const std::size_t devices = profiling.placements[profiling.next].devices;
  const ModelFacts& facts = profiling.facts;
  return dry_run_key(engine_, profiling.draft ? facts.companions.draft->file : facts.gguf.file,
                     dry_run_arguments_of(profiling), pools_.visible_for_dry_run(devices).env);
}

void EngineRoom::set_spin_count(std::int32_t count) {
  constexpr std::string_view kName = "GOMP_SPINCOUNT=";
  std::erase_if(environment_,
                [&](const std::string& variable) { return variable.starts_with(kName); });
  environment_.push_back(std::string(kName) + std::to_string(count));
}

std::vector<std::string> EngineRoom::environment(ModelId model) const {
  std::vector<std::string> own;
  for (const auto& [name, value] : config_.models[model.value].env)
    own.push_back(name + "=" + value);
  return merged_environment(environment_, own);
}

void EngineRoom::fail_start(Generation generation, FailureKind kind, std::string text) {
  // A server's fate is never reported from within the call that starts it.
  boost::asio::post(io_, [this, generation, kind, text = std::move(text)] {
    post_(ServerExited{generation, Failure{kind, text}});
  });
}

void EngineRoom::start(const StartServer& action) {
  looked_at_.insert(action.generation);
  looks_.look(key_of(action.model), LookDepth::identity,
              [this, action](const Result<ModelLook>& look) { looked(action, look); });
}

void EngineRoom::looked(const StartServer& action, const Result<ModelLook>& look) {
  if (looked_at_.erase(action.generation) == 0)
    return;  // stopped meanwhile
  if (!look || look->files == FileId{}) {
    return fail_start(action.generation, FailureKind::bad_model,
                      look ? look->error : look.error().text());
  }
  if (const auto& content = read_of(action.model).content; content && *content != look->files) {
    return fail_start(action.generation, FailureKind::stale_profile,
                      "a file of the model changed since it was profiled");
  }
  start_server(action);
}

void EngineRoom::start_server(const StartServer& action) {
  if (auto ready = folder_.ensure(); !ready)
    return fail_start(action.generation, FailureKind::bad_setup, ready.error().text());
  const auto socket = folder_.socket_path(action.model, action.generation);
  if (!socket)
    return fail_start(action.generation, FailureKind::bad_setup, socket.error().text());
  endpoints_[action.generation] = net::unix_address(socket->string());
  started_[action.generation] = action.model;
  LlamaModel model = llama_of(action.model);
  model.ctx_checkpoints = read_of(action.model).checkpoints;
  ServerSpec spec =
      llama_server_spec(programs_, model, action.placement, pools_.visible(action.devices),
                        action.generation, *socket, environment(action.model));
  spec.liveness.load_still_max = config_.load_still_max;
  spec.liveness.still_max = config_.progress_timeout;
  supervisor_.start(spec);
}

void EngineRoom::stop(const StopServer& action) {
  if (looked_at_.erase(action.generation) > 0) {
    boost::asio::post(io_, [this, generation = action.generation] {
      post_(ServerExited{generation, std::nullopt});
    });
    return;
  }
  if (const auto where = endpoint(action.generation); where && endpoint_gone_)
    endpoint_gone_(*where);
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
  for (const RunningServer& server : supervisor_.running()) {
    for (const NamedFile& file : llama_files(llama_of(server.model)))
      mapped.push_back(file.path);
  }
  // A model that shares a file with one that runs is left alone.
  std::vector<std::string> cold;
  for (std::uint32_t i = 0; i < config_.models.size(); ++i) {
    const LlamaModel model = llama_of(ModelId(i));
    const bool shared = std::ranges::any_of(llama_files(model), [&](const NamedFile& named) {
      return std::ranges::find(mapped, named.path) != mapped.end();
    });
    if (!model.gguf.empty() && !shared)
      cold.push_back(look_key(model));
  }
  looks_.drop(cold);
  (void)allocator_.post([] { ::malloc_trim(0); });
}

// At a server's exit all of its group was killed, so what is left can only be one that has not
// ended yet.
void EngineRoom::kill_remains(const KillRemains& action) {
  supervisor_.stop(action.generation, true);
}

std::optional<net::Address> EngineRoom::endpoint(Generation generation) const {
  const auto found = endpoints_.find(generation);
  if (found == endpoints_.end())
    return std::nullopt;
  return found->second;
}

void EngineRoom::server_ready(Generation generation) {
  post_(ServerReady{generation});
}

void EngineRoom::server_exited(Generation generation, std::optional<Failure> failure) {
  if (const auto found = endpoints_.find(generation); found != endpoints_.end()) {
    if (endpoint_gone_)
      endpoint_gone_(found->second);
    endpoints_.erase(found);
  }
  if (const auto model = started_.extract(generation); !model.empty()) {
    const std::optional<FileId>& seen = read_of(model.mapped()).content;
    if (failure && failure->kind == FailureKind::bad_model && seen)
      watch_broken(model.mapped(), *seen);
  }
  post_(ServerExited{generation, std::move(failure)});
}

void EngineRoom::server_unresponsive(Generation generation, Failure failure) {
  post_(ServerUnresponsive{generation, std::move(failure)});
}

}  // namespace tonnage
