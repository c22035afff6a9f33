#include "engine/llama/llama_engine.h"

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
struct LlamaEngine::Profiling {
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

LlamaEngine::LlamaEngine(LlamaSetup setup)
    : setup_(std::move(setup)),
      store_lane_(setup_.workers.lane("dry runs")),
      runner_(setup_.io),
      looks_(setup_.io, runner_),
      watch_(setup_.io) {
  load_store();
}

LlamaModel LlamaEngine::llama_of(ModelId id) const {
  LlamaModel model = llama_model(setup_.config, id);
  model.threads_allowed = setup_.threads_allowed;
  return model;
}

void LlamaEngine::learn(const std::vector<ModelLook>& looks) {
  for (const ModelLook& look : looks)
    looks_.learn(look);
}

KnownModel LlamaEngine::known(ModelId model) const {
  const ReadFiles& read = read_of(model);
  const std::string key = key_of(model);
  const ModelLook* look = looks_.known(key);
  return {.trained_context = read.trained_context,
          .note = read.note,
          .file_sizes = read.sizes,
          .checkpoints_off = read.checkpoints_off,
          .files_changed = read.content && look != nullptr && look->files != *read.content,
          .created_s = looks_.changed_s(key)};
}

const LlamaEngine::ReadFiles& LlamaEngine::read_of(ModelId model) const {
  static const ReadFiles kUnread;
  const auto known = read_.find(model);
  return known == read_.end() ? kUnread : known->second;
}

void LlamaEngine::profile(ModelId id, bool next) {
  const auto paused = between_dry_runs_.extract(id);
  if (next && paused)
    return dry_run_next(paused.mapped());
  profiling_.insert(id);
  looks_.look(key_of(id), LookDepth::facts,
              [this, id](Result<ModelLook> look) { looked(id, std::move(look)); });
}

void LlamaEngine::abandon_profiles() {
  between_dry_runs_.clear();
  for (const ModelId model : std::exchange(profiling_, {}))
    setup_.observer.profile_paused(model);
}

void LlamaEngine::looked(ModelId id, Result<ModelLook> look) {
  if (!profiling_.contains(id))
    return;  // given up meanwhile
  broken_.erase(id);
  if (!look || !look->facts) {
    profiling_.erase(id);
    watch_broken(id, look ? look->files : FileId{});
    setup_.observer.profile_failed(
        id, {FailureKind::bad_model, look ? look->error : look.error().text()});
    return;
  }
  ModelFacts facts = std::move(*look->facts);
  const ModelConfig& config = setup_.config.models[id.value];
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
  profiling->placements = ladder_of(config, model, profiling->facts, setup_.gpus.space());
  dry_run_next(profiling);
}

void LlamaEngine::dry_run_next(const std::shared_ptr<Profiling>& profiling) {
  if (!setup_.programs.fit_params || profiling->over())
    return finish_profile(*profiling);
  if (const auto known = store_.find(store_key(*profiling))) {
    ProfiledPlacement& placement = profiling->placements[profiling->next];
    (profiling->draft ? placement.draft_dry_run : placement.dry_run) = *known;
    profiling->advance();
    return dry_run_next(profiling);
  }
  RunRequest request;
  request.argv = dry_run_arguments_of(*profiling);
  request.argv.insert(request.argv.begin(), setup_.programs.fit_params->string());
  request.env = merged_environment(
      environment(profiling->model),
      setup_.gpus.visible_for_dry_run(profiling->placements[profiling->next].devices).env);
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
    setup_.observer.profile_failed(
        profiling->model, {FailureKind::bad_model, "its dry run failed: " + output.error().text()});
  });
}

std::vector<std::string> LlamaEngine::dry_run_arguments_of(const Profiling& profiling) const {
  const ProfiledPlacement& placement = profiling.placements[profiling.next];
  const VisibleGpus gpus = setup_.gpus.visible_for_dry_run(placement.devices);
  const LlamaModel model = llama_of(profiling.model);
  return profiling.draft ? llama_draft_dry_run_arguments(model, placement.settings.placement, gpus)
                         : llama_dry_run_arguments(model, placement.settings.placement, gpus);
}

void LlamaEngine::take_dry_run(const std::shared_ptr<Profiling>& profiling,
                               const Result<RunOutput>& output) {
  ProfiledPlacement& placement = profiling->placements[profiling->next];
  auto numbers = numbers_of(output, placement.devices);
  if (numbers) {
    store_.keep(store_key(*profiling), *numbers);
    (profiling->draft ? placement.draft_dry_run : placement.dry_run) = std::move(*numbers);
  } else {
    spdlog::warn("no dry run of {}{}: {}; its size is estimated from the file",
                 profiling->draft ? "the draft of " : "",
                 setup_.config.policy.models[profiling->model.value].id, numbers.error());
  }
  profiling->advance();
  if (placement.devices == 0 || profiling->over())
    return dry_run_next(profiling);
  between_dry_runs_[profiling->model] = profiling;
  setup_.observer.profile_paused(profiling->model);
}

void LlamaEngine::finish_profile(Profiling& profiling) {
  profiling_.erase(profiling.model);
  hung_dry_runs_.erase(profiling.model);
  const ModelFacts& facts = profiling.facts;
  keep_store();
  derive_dry_runs(facts.gguf, profiling.placements);
  setup_.observer.profiled(profiling.model, profile_rows(facts.gguf, profiling.placements,
                                                         setup_.gpus.space(), facts.companions));
}

void LlamaEngine::watch_broken(ModelId model, FileId seen) {
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
void LlamaEngine::look_at_broken() {
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
      setup_.observer.files_mended(id);
    });
  }
}

// The first thing that the worker does, so it is there before the first profile.
void LlamaEngine::load_store() {
  if (!setup_.programs.fit_params)
    return;
  (void)store_lane_.post(
      [this, file = setup_.config.state_dir / kStoreName, program = *setup_.programs.fit_params] {
        DryRunStore store;
        const FileId engine = engine_identity(program);
        auto text = read_store(file);
        Result<void> parsed = text ? store.parse(*text) : std::unexpected(text.error());
        boost::asio::post(setup_.io, [this, engine, parsed, store = std::move(store)]() mutable {
          if (!parsed)
            spdlog::warn("{}; models are dry-run again", parsed.error().text());
          engine_ = engine;
          store_ = std::move(store);
        });
      });
}

void LlamaEngine::keep_store() {
  if (!store_.take_changed())
    return;
  (void)store_lane_.post([this, file = setup_.config.state_dir / kStoreName, text = store_.text()] {
    if (const auto written = write_store(file, text); !written)
      boost::asio::post(setup_.io, [why = written.error().text()] { spdlog::debug("{}", why); });
  });
}

std::string LlamaEngine::store_key(const Profiling& profiling) const {
  const std::size_t devices = profiling.placements[profiling.next].devices;
  const ModelFacts& facts = profiling.facts;
  return dry_run_key(engine_, profiling.draft ? facts.companions.draft->file : facts.gguf.file,
                     dry_run_arguments_of(profiling), setup_.gpus.visible_for_dry_run(devices).env);
}

void LlamaEngine::set_spin_count(std::int32_t count) {
  constexpr std::string_view kName = "GOMP_SPINCOUNT=";
  std::erase_if(setup_.environment,
                [&](const std::string& variable) { return variable.starts_with(kName); });
  setup_.environment.push_back(std::string(kName) + std::to_string(count));
}

std::vector<std::string> LlamaEngine::environment(ModelId model) const {
  std::vector<std::string> own;
  for (const auto& [name, value] : setup_.config.models[model.value].env)
    own.push_back(name + "=" + value);
  return merged_environment(setup_.environment, own);
}

void LlamaEngine::prepare(const ServerOrder& order, Prepared done) {
  looks_.look(key_of(order.model), LookDepth::identity,
              [this, order, done = std::move(done)](const Result<ModelLook>& look) {
                done(spec_of(order, look));
              });
}

std::expected<ServerSpec, Failure> LlamaEngine::spec_of(const ServerOrder& order,
                                                        const Result<ModelLook>& look) const {
  if (setup_.programs.server.empty()) {
    return std::unexpected(
        Failure{FailureKind::bad_setup,
                "no llama-server was found when the daemon started; install one (`make setup`) and "
                "start the daemon again"});
  }
  if (!look || look->files == FileId{}) {
    return std::unexpected(
        Failure{FailureKind::bad_model, look ? look->error : look.error().text()});
  }
  if (const auto& content = read_of(order.model).content; content && *content != look->files) {
    return std::unexpected(
        Failure{FailureKind::stale_profile, "a file of the model changed since it was profiled"});
  }
  LlamaModel model = llama_of(order.model);
  model.ctx_checkpoints = read_of(order.model).checkpoints;
  ServerSpec spec =
      llama_server_spec(setup_.programs, model, order.placement, setup_.gpus.visible(order.devices),
                        order.generation, order.socket, environment(order.model));
  spec.liveness.load_still_max = setup_.config.load_still_max;
  spec.liveness.still_max = setup_.config.progress_timeout;
  return spec;
}

void LlamaEngine::server_exited(ModelId model, const std::optional<Failure>& failure) {
  const std::optional<FileId>& seen = read_of(model).content;
  if (failure && failure->kind == FailureKind::bad_model && seen)
    watch_broken(model, *seen);
}

// A model that shares a file with one that runs is left alone.
void LlamaEngine::drop_cold_files(std::span<const ModelId> running) {
  std::vector<std::string> mapped;
  for (const ModelId id : running) {
    for (const NamedFile& file : llama_files(llama_of(id)))
      mapped.push_back(file.path);
  }
  std::vector<std::string> cold;
  for (std::uint32_t i = 0; i < setup_.config.models.size(); ++i) {
    const LlamaModel model = llama_of(ModelId(i));
    const bool shared = std::ranges::any_of(llama_files(model), [&](const NamedFile& named) {
      return std::ranges::find(mapped, named.path) != mapped.end();
    });
    if (!model.gguf.empty() && !shared)
      cold.push_back(look_key(model));
  }
  looks_.drop(cold);
}

}  // namespace tonnage
