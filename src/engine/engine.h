// Engine: one kind of model server. It knows what its models need, how a server of one is started
// and what their files say; EngineRoom starts, watches and ends the servers.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "config/config.h"
#include "core/types.h"
#include "engine/gpu_sight.h"
#include "engine/server_spec.h"
#include "process/runner.h"
#include "process/workers.h"

namespace boost::asio {
class io_context;
}

namespace tonnage {

// Told by engines on the loop's thread, from within a call to one as well: what follows from it
// is to be queued.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  // `rows`: best first, 1 to kPlacementRowsMax.
  virtual void profiled(ModelId model, std::vector<PlacementRow> rows) = 0;
  virtual void profile_failed(ModelId model, Failure failure) = 0;
  // A program that took memory of a device to find out has ended; what it held must be seen free
  // before the next one. The profile goes on with another Engine::profile.
  virtual void profile_paused(ModelId model) = 0;
  // A model that could not be used has other files now: it is worth another look.
  virtual void files_mended(ModelId model) = 0;
};

// A server that is to be started.
struct ServerOrder {
  ModelId model;
  Generation generation;
  Placement placement;
  // The pool of each logical device, in the server's order; empty: it runs without a GPU.
  std::vector<PoolId> devices;
  std::filesystem::path socket;  // where it may listen, if it can on a unix socket
};

// What is known of a model beside its footprint, from its files.
struct KnownModel {
  std::optional<std::int32_t> trained_context;  // tokens; empty: not read yet, or not told
  std::string note;        // on its configuration, for people; empty: nothing to say
  std::string file_sizes;  // what each file takes, where it has several and they were read
  // It would need context checkpoints to go back in a prompt, and is configured to have none.
  bool checkpoints_off = false;
  // A file is another one than the one that the footprint was worked out from.
  bool files_changed = false;
  std::int64_t created_s = 0;  // Unix time of its main file's last change; zero: not seen
};

// What the daemon lends to an engine; all of it outlives the engine.
struct EngineSetup {
  boost::asio::io_context& io;
  Workers& workers;
  const Config& config;  // replaced in place by a reload
  const GpuSight& gpus;
  EngineObserver& observer;
  std::vector<std::string> environment;  // "NAME=value": what every server is given
};

// Everything happens on the loop's thread; whatever may block is done elsewhere, with a deadline.
class Engine {
 public:
  virtual ~Engine() = default;

  // "llama", as the configuration and the status call it.
  virtual std::string_view name() const = 0;
  // Whether a model that is configured so is one of its own.
  virtual bool serves(const ModelConfig& model) const = 0;

  // Works out what the model needs; the observer is told. `next`: goes on with a profile that was
  // paused, where there is one.
  virtual void profile(ModelId model, bool next) = 0;
  // The daemon ends: the observer is told profile_paused() of each that is not over.
  virtual void abandon_profiles() = 0;

  // How the server is to be started. `done` is called once, never from within. A file that changed
  // since the profile is FailureKind::stale_profile.
  using Prepared = std::function<void(const std::expected<ServerSpec, Failure>&)>;
  virtual void prepare(const ServerOrder& order, Prepared done) = 0;
  // A server of the model has ended, with a failure if nobody asked for it.
  virtual void server_exited(ModelId model, const std::optional<Failure>& failure) = 0;
  // What a server of the model was seen to hold in the host and on each of its devices.
  virtual void server_held(ModelId model, Bytes host, const std::vector<Bytes>& devices) = 0;

  virtual KnownModel known(ModelId model) const = 0;
  // Makes the page cache forget the files of models that no server maps. `running`: models with a
  // server, of whichever engine.
  virtual void drop_cold_files(std::span<const ModelId> running) = 0;
  // Programs that run for the engine beside servers: their memory is ours.
  virtual std::vector<RunningProcess> running() const = 0;
};

}  // namespace tonnage
