#include "daemon/engine_room.h"

#include <malloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <expected>
#include <limits>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "engine/page_cache.h"
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

// Zero where a file is missing.
FileId identity_now(const LlamaModel& model) {
  const auto files = read_model_files(llama_files(model));
  return files ? files->identity() : FileId{};
}

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
      environment_(std::move(environment)) {
  load_store();
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
  const auto files = read_model_files(llama_files(llama_of(model)));
  return !files || files->identity() != known->second;
}

std::optional<std::int32_t> EngineRoom::trained_context(ModelId model) const {
  const auto known = trained_contexts_.find(model);
  return known == trained_contexts_.end() ? std::nullopt : std::optional(known->second);
}

std::string EngineRoom::note(ModelId model) const {
  const auto found = notes_.find(model);
  return found == notes_.end() ? std::string() : found->second;
}

void EngineRoom::profile(const Profile& action) {
  const ModelId id = action.model;
  const auto paused = std::exchange(between_dry_runs_, nullptr);
  if (action.next && paused && paused->model == id)
    return dry_run_next(paused);
  boost::asio::post(worker_, [this, id, model = llama_of(id)] {
    const FileId seen = identity_now(model);
    auto facts = read_model_facts(model);
    boost::asio::post(io_, [this, id, seen, facts = std::move(facts)]() mutable {
      take_facts(id, seen, std::move(facts));
    });
  });
}

void EngineRoom::take_facts(ModelId id, FileId seen, Result<ModelFacts> facts) {
  broken_.erase(id);
  if (!facts) {
    watch_broken(id, seen);
    post_(ProfileFailed{id, {FailureKind::bad_model, facts.error().text()}});
    return;
  }
  const ModelConfig& config = config_.models[id.value];
  const LlamaModel model = llama_of(id);
  std::string note = context_note(config, model, *facts);
  std::string& known = notes_[id];
  if (!note.empty() && note != known)
    spdlog::warn("{}: {}", model.name, note);
  known = std::move(note);
  profiled_[id] = facts->files.identity();
  if (facts->trained_context)
    trained_contexts_[id] = static_cast<std::int32_t>(std::clamp<std::int64_t>(
        *facts->trained_context, 0, std::numeric_limits<std::int32_t>::max()));
  checkpoints_[id] = checkpoints_of(config, *facts);
  auto profiling = std::make_shared<Profiling>();
  profiling->model = id;
  profiling->facts = std::move(*facts);
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
  request.env = pools_.visible_for_dry_run(profiling->placements[profiling->next].devices).env;
  for (std::string& variable : environment(profiling->model))
    request.env.push_back(std::move(variable));
  runner_.run(std::move(request), [this, profiling](const Result<RunOutput>& output) {
    take_dry_run(profiling, output);
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
  between_dry_runs_ = profiling;
  post_(DryRunEnded{profiling->model});
}

void EngineRoom::finish_profile(Profiling& profiling) {
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
  watch_.expires_after(kBrokenLook);
  watch_.async_wait([this](const boost::system::error_code& error) {
    if (!error)
      look_at_broken();
  });
}

void EngineRoom::look_at_broken() {
  std::vector<LlamaModel> models;
  for (const auto& [id, seen] : broken_)
    models.push_back(llama_of(id));
  boost::asio::post(worker_, [this, models = std::move(models)] {
    std::vector<std::pair<ModelId, FileId>> now;
    for (const LlamaModel& model : models)
      now.emplace_back(model.id, identity_now(model));
    boost::asio::post(io_, [this, now = std::move(now)] {
      looking_ = false;
      for (const auto& [id, identity] : now) {
        const auto known = broken_.find(id);
        if (known == broken_.end() || known->second == identity)
          continue;
        broken_.erase(known);
        if (files_mended_)
          files_mended_(id);
      }
      if (!broken_.empty())
        watch_broken(broken_.begin()->first, broken_.begin()->second);
    });
  });
}

// The first thing that the worker does, so it is there before the first profile.
void EngineRoom::load_store() {
  if (!programs_.fit_params)
    return;
  boost::asio::post(
      worker_, [this, file = config_.state_dir / kStoreName, program = *programs_.fit_params] {
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
  boost::asio::post(worker_, [this, file = config_.state_dir / kStoreName, text = store_.text()] {
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
  LlamaModel model = llama_of(action.model);
  model.ctx_checkpoints = checkpoints_[action.model];
  const auto files = read_model_files(llama_files(model));
  if (!files)
    return fail_start(FailureKind::bad_model, files.error().text());
  if (const auto profiled = profiled_.find(action.model);
      profiled != profiled_.end() && profiled->second != files->identity()) {
    return fail_start(FailureKind::stale_profile,
                      "a file of the model changed since it was profiled");
  }
  if (auto ready = folder_.ensure(); !ready) {
    return fail_start(FailureKind::bad_setup, ready.error().text());
  }
  const auto socket = folder_.socket_path(action.model, action.generation);
  if (!socket)
    return fail_start(FailureKind::bad_setup, socket.error().text());
  sockets_[action.generation] = *socket;
  started_[action.generation] = action.model;
  supervisor_.start(llama_server_spec(programs_, model, action.placement,
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
  for (const RunningServer& server : supervisor_.running()) {
    for (const NamedFile& file : llama_files(llama_of(server.model)))
      mapped.push_back(file.path);
  }
  std::vector<std::string> cold;
  for (std::uint32_t i = 0; i < config_.models.size(); ++i) {
    for (const NamedFile& named : llama_files(llama_of(ModelId(i)))) {
      if (named.path.empty() || std::ranges::find(mapped, named.path) != mapped.end())
        continue;
      for (std::string& file : parts_of(named.path))
        cold.push_back(std::move(file));
    }
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
  if (const auto model = started_.extract(generation); !model.empty()) {
    const auto seen = profiled_.find(model.mapped());
    if (failure && failure->kind == FailureKind::bad_model && seen != profiled_.end())
      watch_broken(model.mapped(), seen->second);
  }
  post_(ServerExited{generation, std::move(failure)});
}

void EngineRoom::server_unresponsive(Generation generation, Failure failure) {
  post_(ServerUnresponsive{generation, std::move(failure)});
}

}  // namespace tonnage
