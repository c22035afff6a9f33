// EngineRoom: turns the core's words about servers into processes, and their fates into events.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "config/config.h"
#include "core/actions.h"
#include "core/events.h"
#include "daemon/device_pools.h"
#include "engine/llama.h"
#include "engine/process_runner.h"
#include "engine/runtime_folder.h"
#include "engine/supervisor.h"
#include "footprint/gguf.h"
#include "footprint/placement_rows.h"
#include "footprint/server_settings.h"

namespace tonnage {

// Profiles models (header off the loop, then dry runs), starts and stops their servers. Everything
// happens on the loop's thread but the reading of model files.
class EngineRoom final : public ServerObserver {
 public:
  using Post = std::function<void(Event)>;
  // A server's socket is of no more use: connections to it are to be dropped.
  using SocketGone = std::function<void(const std::filesystem::path&)>;

  // `environment` is what all programs of the engine are given.
  EngineRoom(boost::asio::io_context& io, const Config& config, LlamaPrograms programs,
             std::vector<std::string> environment, const DevicePools& pools, RuntimeFolder& folder,
             Post post);
  ~EngineRoom() override;

  void on_socket_gone(SocketGone callback) { socket_gone_ = std::move(callback); }

  // For servers that start from now on.
  void set_spin_count(std::int32_t count);

  void profile(const Profile& action);
  void start(const StartServer& action);
  void stop(const StopServer& action);
  void trim(const Trim& action);
  void kill_remains(const KillRemains& action);

  std::optional<std::filesystem::path> socket(Generation generation) const;
  // Whether the file of a model is another one than the one its footprint was worked out from.
  bool file_changed(ModelId model) const;
  // How many tokens the model was trained for, as its file says; empty until that was read.
  std::optional<std::int32_t> trained_context(ModelId model) const;
  // Unix time of a model file's last change; zero when it cannot be seen.
  static std::int64_t created_s(const std::filesystem::path& gguf);
  Supervisor& supervisor() { return supervisor_; }
  // Process ids of servers and of dry runs, for the memory watch.
  std::vector<RunningServer> servers() const { return supervisor_.running(); }
  std::vector<RunningProcess> dry_runs() const { return runner_.running(); }

  void server_ready(Generation generation) override;
  void server_exited(Generation generation, std::optional<Failure> failure) override;
  void server_unresponsive(Generation generation, Failure failure) override;

 private:
  struct Profiling;  // one model's dry runs

  std::vector<ProfiledPlacement> placements(ModelId model, const GgufInfo& gguf) const;
  void dry_run_next(const std::shared_ptr<Profiling>& profiling);
  void finish_profile(Profiling& profiling);
  std::vector<std::string> environment(ModelId model) const;
  LlamaModel llama_model(ModelId model) const;
  ServerSettings settings(ModelId model, const Placement& placement) const;

  boost::asio::io_context& io_;
  boost::asio::thread_pool worker_{1};
  const Config& config_;
  LlamaPrograms programs_;
  const DevicePools& pools_;
  RuntimeFolder& folder_;
  Post post_;
  SocketGone socket_gone_;
  ProcessRunner runner_;
  Supervisor supervisor_;
  std::vector<std::string> environment_;
  std::shared_ptr<Profiling> between_dry_runs_;
  std::map<ModelId, std::int32_t> trained_contexts_;
  std::map<ModelId, FileId> profiled_;  // which content the model's rows speak of
  std::map<Generation, std::filesystem::path> sockets_;
};

}  // namespace tonnage
