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
#include <boost/asio/steady_timer.hpp>

#include "config/config.h"
#include "core/actions.h"
#include "core/events.h"
#include "daemon/device_pools.h"
#include "daemon/dry_run_store.h"
#include "daemon/model_looks.h"
#include "daemon/model_plan.h"
#include "daemon/workers.h"
#include "engine/llama.h"
#include "engine/supervisor.h"
#include "http/address.h"
#include "probe/cpu_budget.h"
#include "process/runner.h"
#include "process/runtime_folder.h"

namespace tonnage {

// Profiles models (header off the loop, then dry runs), starts and stops their servers. Everything
// happens on the loop's thread, and model files are touched by ModelLooks alone.
class EngineRoom final : public ServerObserver {
 public:
  using Post = std::function<void(Event)>;
  // Nobody is there any more: connections to it are to be dropped.
  using EndpointGone = std::function<void(const net::Address&)>;

  // `environment` is what all programs of the engine are given.
  EngineRoom(boost::asio::io_context& io, Workers& workers, const Config& config,
             LlamaPrograms programs, std::vector<std::string> environment, const DevicePools& pools,
             RuntimeFolder& folder, Post post);

  void on_endpoint_gone(EndpointGone callback) { endpoint_gone_ = std::move(callback); }
  // A model that could not be used has other files now: it is worth another look.
  using FilesMended = std::function<void(ModelId)>;
  void on_files_mended(FilesMended callback) { files_mended_ = std::move(callback); }

  // For servers that start from now on.
  void set_spin_count(std::int32_t count);

  void profile(const Profile& action);
  void start(const StartServer& action);
  void stop(const StopServer& action);
  void trim(const Trim& action);
  void kill_remains(const KillRemains& action);

  // Where a server that was started listens, or will.
  std::optional<net::Address> endpoint(Generation generation) const;
  // What was seen of model files elsewhere: at the start, by a reload.
  void learn(const std::vector<ModelLook>& looks);
  // Whether a file of a model, as it was last seen, is another one than the one its footprint was
  // worked out from.
  bool file_changed(ModelId model) const;
  // How many tokens the model was trained for, as its file says; empty until that was read.
  std::optional<std::int32_t> trained_context(ModelId model) const;
  // What is said of a model's configuration beside its file; empty: nothing.
  std::string note(ModelId model) const;
  // It would need context checkpoints to go back in a prompt, and is configured to have none.
  bool checkpoints_off(ModelId model) const { return read_of(model).checkpoints_off; }
  // What each of its files takes, where it has several and they were read.
  std::string file_sizes(ModelId model) const;
  // Unix time of a model file's last change, as it was last seen; else zero.
  std::int64_t created_s(ModelId model) const;
  // The daemon ends: who waits for a profile is told that there is none.
  void abandon_profiles();
  Supervisor& supervisor() { return supervisor_; }
  // Process ids of servers and of dry runs, for the memory watch.
  std::vector<RunningServer> servers() const { return supervisor_.running(); }
  std::vector<RunningProcess> dry_runs() const { return runner_.running(); }

  void server_ready(Generation generation) override;
  void server_exited(Generation generation, std::optional<Failure> failure) override;
  void server_unresponsive(Generation generation, Failure failure) override;

 private:
  struct Profiling;  // one model's dry runs

  // What a model's files said when they were read last, for its profile.
  struct ReadFiles {
    std::optional<FileId> content;  // of all files; empty: they were not read yet
    std::optional<std::int32_t> trained_context;
    std::int32_t checkpoints = 0;  // per slot
    bool checkpoints_off = false;
    std::string note;
    std::string sizes;
  };
  const ReadFiles& read_of(ModelId model) const;

  void dry_run_next(const std::shared_ptr<Profiling>& profiling);
  void finish_profile(Profiling& profiling);
  std::vector<std::string> environment(ModelId model) const;
  LlamaModel llama_of(ModelId model) const;
  std::string key_of(ModelId model) const { return look_key(llama_of(model)); }
  void looked(ModelId model, Result<ModelLook> look);
  void looked(const StartServer& action, const Result<ModelLook>& look);
  void start_server(const StartServer& action);
  void fail_start(Generation generation, FailureKind kind, std::string text);
  // Looks twice a second at the files of models that could not be used.
  void watch_broken(ModelId model, FileId seen);
  void look_at_broken();
  void load_store();
  void keep_store();
  std::string store_key(const Profiling& profiling) const;
  std::vector<std::string> dry_run_arguments_of(const Profiling& profiling) const;
  void take_dry_run(const std::shared_ptr<Profiling>& profiling, const Result<RunOutput>& output);

  boost::asio::io_context& io_;
  const Config& config_;
  LlamaPrograms programs_;
  const DevicePools& pools_;
  RuntimeFolder& folder_;
  Post post_;
  EndpointGone endpoint_gone_;
  Workers::Lane allocator_;
  Workers::Lane store_lane_;
  ProcessRunner runner_;
  ModelLooks looks_;
  Supervisor supervisor_;
  std::vector<std::string> environment_;
  CpuBudget cpus_;
  std::map<ModelId, std::shared_ptr<Profiling>> between_dry_runs_;
  std::map<ModelId, ReadFiles> read_;
  std::map<ModelId, FileId> broken_;  // which content could not be used; zero: none to be seen
  bool looking_ = false;              // at the broken ones, or about to
  std::set<ModelId> under_look_;      // of the broken ones
  boost::asio::steady_timer watch_{io_};
  FilesMended files_mended_;
  DryRunStore store_;
  FileId engine_;  // of the dry run's program and its libraries
  std::map<Generation, ModelId> started_;
  std::map<Generation, net::Address> endpoints_;
  std::set<ModelId> profiling_;
  std::set<ModelId> hung_dry_runs_;
  std::set<Generation> looked_at_;  // servers whose files are looked at before they are started
};

}  // namespace tonnage
