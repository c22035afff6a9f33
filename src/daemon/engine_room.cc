#include "daemon/engine_room.h"

#include <malloc.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "process/marked.h"

namespace tonnage {

namespace {

// The built-in engine comes last: it takes what no other serves.
std::vector<std::unique_ptr<Engine>> all_engines(const EngineSetup& setup, LlamaPrograms programs,
                                                 std::optional<std::int32_t> threads) {
  std::vector<std::unique_ptr<Engine>> engines = make_engines(setup);
  engines.push_back(std::make_unique<LlamaEngine>(LlamaSetup{setup, std::move(programs), threads}));
  return engines;
}

}  // namespace

EngineRoom::EngineRoom(boost::asio::io_context& io, Workers& workers, const Config& config,
                       LlamaPrograms programs, std::vector<std::string> environment,
                       const GpuSight& gpus, RuntimeFolder& folder, Post post)
    : io_(io),
      config_(config),
      folder_(folder),
      post_(std::move(post)),
      allocator_(workers.lane("allocator")),
      processes_(workers.lane("processes")),
      cpus_(cpu_budget("/")),
      engines_(all_engines({.io = io,
                            .workers = workers,
                            .config = config,
                            .gpus = gpus,
                            .observer = *this,
                            .environment = std::move(environment)},
                           std::move(programs), cpus_.threads())),
      llama_(static_cast<LlamaEngine&>(*engines_.back())),
      supervisor_(io, folder, {.stop_timeout = config.policy.load.stop_timeout}, *this) {
  if (const std::string why = cpus_.reason(); !why.empty())
    spdlog::info("model servers compute with {} threads: {}", *cpus_.threads(), why);
}

Engine& EngineRoom::engine_of(ModelId model) const {
  const ModelConfig& config = config_.models[model.value];
  return **std::ranges::find_if(engines_, [&](const auto& engine) {
    return engine->serves(config) || engine == engines_.back();
  });
}

std::vector<RunningProcess> EngineRoom::dry_runs() const {
  std::vector<RunningProcess> all;
  for (const auto& engine : engines_)
    std::ranges::copy(engine->running(), std::back_inserter(all));
  return all;
}

void EngineRoom::held(const ServerSampled& sample) {
  if (const auto found = started_.find(sample.generation); found != started_.end())
    engine_of(found->second.model)
        .server_held(found->second.model, sample.host_anon, sample.device_bytes);
}

void EngineRoom::profile(const Profile& action) {
  engine_of(action.model).profile(action.model, action.next);
}

void EngineRoom::abandon_profiles() {
  for (const auto& engine : engines_)
    engine->abandon_profiles();
}

void EngineRoom::profiled(ModelId model, std::vector<PlacementRow> rows) {
  post_(ModelProfiled{model, std::move(rows)});
}

void EngineRoom::profile_failed(ModelId model, Failure failure) {
  post_(ProfileFailed{model, std::move(failure)});
}

void EngineRoom::profile_paused(ModelId model) {
  post_(DryRunEnded{model});
}

void EngineRoom::files_mended(ModelId model) {
  if (files_mended_)
    files_mended_(model);
}

void EngineRoom::fail_start(Generation generation, Failure failure) {
  // A server's fate is never reported from within the call that starts it.
  boost::asio::post(io_, [this, generation, failure = std::move(failure)] {
    post_(ServerExited{generation, failure});
  });
}

void EngineRoom::start(const StartServer& action) {
  const auto socket = folder_.socket_path(action.model, action.generation);
  if (!socket)
    return fail_start(action.generation, {FailureKind::bad_setup, socket.error().text()});
  preparing_.insert(action.generation);
  const ServerOrder order{.model = action.model,
                          .generation = action.generation,
                          .placement = action.placement,
                          .devices = action.devices,
                          .socket = *socket};
  engine_of(order.model)
      .prepare(order, [this, order](const std::expected<ServerSpec, Failure>& spec) {
        prepared(order, spec);
      });
}

void EngineRoom::prepared(const ServerOrder& order,
                          const std::expected<ServerSpec, Failure>& spec) {
  if (preparing_.erase(order.generation) == 0)
    return;  // stopped meanwhile
  if (!spec)
    return fail_start(order.generation, spec.error());
  if (auto ready = folder_.ensure(); !ready)
    return fail_start(order.generation, {FailureKind::bad_setup, ready.error().text()});
  endpoints_[order.generation] = spec->endpoint;
  started_[order.generation] = {order.model, spec->mark};
  supervisor_.start(*spec);
}

void EngineRoom::stop(const StopServer& action) {
  if (preparing_.erase(action.generation) > 0) {
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
  std::vector<ModelId> running;
  for (const RunningServer& server : supervisor_.running())
    running.push_back(server.model);
  for (const auto& engine : engines_)
    engine->drop_cold_files(running);
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
  if (const auto started = started_.extract(generation); !started.empty()) {
    const auto& [model, mark] = started.mapped();
    if (!mark.empty())
      (void)processes_.post([mark] { kill_marked(mark); });
    engine_of(model).server_exited(model, failure);
  }
  post_(ServerExited{generation, std::move(failure)});
}

void EngineRoom::server_unresponsive(Generation generation, Failure failure) {
  post_(ServerUnresponsive{generation, std::move(failure)});
}

}  // namespace tonnage
