// EngineRoom: turns the core's words about servers into processes, and their fates into events.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "config/config.h"
#include "core/actions.h"
#include "core/events.h"
#include "engine/engine.h"
#include "engine/gpu_sight.h"
#include "engine/llama/llama_engine.h"
#include "engine/registry.h"
#include "engine/supervisor.h"
#include "http/address.h"
#include "probe/cpu_budget.h"
#include "process/runner.h"
#include "process/runtime_folder.h"
#include "process/workers.h"

namespace tonnage {

// Asks each model's engine, and starts and stops the servers. Everything happens on the loop's
// thread.
class EngineRoom final : public ServerObserver, public EngineObserver {
 public:
  using Post = std::function<void(Event)>;
  // Nobody is there any more: connections to it are to be dropped.
  using EndpointGone = std::function<void(const net::Address&)>;

  // `environment` is what all programs of the engine are given.
  EngineRoom(boost::asio::io_context& io, Workers& workers, const Config& config,
             LlamaPrograms programs, std::vector<std::string> environment, const GpuSight& gpus,
             RuntimeFolder& folder, Post post);

  void on_endpoint_gone(EndpointGone callback) { endpoint_gone_ = std::move(callback); }
  // A model that could not be used has other files now: it is worth another look.
  using FilesMended = std::function<void(ModelId)>;
  void on_files_mended(FilesMended callback) { files_mended_ = std::move(callback); }

  // For servers that start from now on.
  void set_spin_count(std::int32_t count) { llama_.set_spin_count(count); }
  // What was seen of model files elsewhere: at the start, by a reload.
  void learn(const std::vector<ModelLook>& looks) { llama_.learn(looks); }

  void profile(const Profile& action);
  void start(const StartServer& action);
  void stop(const StopServer& action);
  void trim(const Trim& action);
  void kill_remains(const KillRemains& action);

  // Where a server that was started listens, or will.
  std::optional<net::Address> endpoint(Generation generation) const;
  // "llama": what serves the model.
  std::string_view engine_name(ModelId model) const { return engine_of(model).name(); }
  KnownModel known(ModelId model) const { return engine_of(model).known(model); }
  // The daemon ends: who waits for a profile is told that there is none.
  void abandon_profiles();
  Supervisor& supervisor() { return supervisor_; }
  // Process ids of servers and of dry runs, for the memory watch.
  std::vector<RunningServer> servers() const { return supervisor_.running(); }
  std::vector<RunningProcess> dry_runs() const;
  // What a server was seen to hold.
  void held(const ServerSampled& sample);

  void server_ready(Generation generation) override;
  void server_exited(Generation generation, std::optional<Failure> failure) override;
  void server_unresponsive(Generation generation, Failure failure) override;

  void profiled(ModelId model, std::vector<PlacementRow> rows) override;
  void profile_failed(ModelId model, Failure failure) override;
  void profile_paused(ModelId model) override;
  void files_mended(ModelId model) override;

 private:
  Engine& engine_of(ModelId model) const;
  void prepared(const ServerOrder& order, const std::expected<ServerSpec, Failure>& spec);
  void fail_start(Generation generation, Failure failure);

  boost::asio::io_context& io_;
  const Config& config_;
  RuntimeFolder& folder_;
  Post post_;
  EndpointGone endpoint_gone_;
  FilesMended files_mended_;
  Workers::Lane allocator_;
  Workers::Lane processes_;
  CpuBudget cpus_;
  std::vector<std::unique_ptr<Engine>> engines_;
  LlamaEngine& llama_;  // one of them
  Supervisor supervisor_;
  struct Started {
    ModelId model;
    std::string mark;
  };
  std::map<Generation, Started> started_;
  std::map<Generation, net::Address> endpoints_;
  std::set<Generation> preparing_;  // their engines work out how to start them
};

}  // namespace tonnage
