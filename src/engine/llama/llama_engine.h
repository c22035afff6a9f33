// LlamaEngine: models of llama.cpp. Profiles them (header off the loop, then dry runs) and says how
// their servers are started; model files are touched by ModelLooks alone.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/config.h"
#include "engine/engine.h"
#include "engine/gpu_sight.h"
#include "engine/llama/dry_run_store.h"
#include "engine/llama/llama.h"
#include "engine/llama/model_looks.h"
#include "engine/llama/model_plan.h"
#include "process/runner.h"
#include "process/workers.h"

namespace tonnage {

struct LlamaSetup : EngineSetup {
  LlamaPrograms programs;
  std::optional<std::int32_t> threads_allowed;  // see LlamaModel
};

class LlamaEngine final : public Engine {
 public:
  explicit LlamaEngine(LlamaSetup setup);

  std::string_view name() const override { return "llama"; }
  bool serves(const ModelConfig& model) const override { return model.command.empty(); }
  void profile(ModelId model, bool next) override;
  void abandon_profiles() override;
  void prepare(const ServerOrder& order, Prepared done) override;
  void server_exited(ModelId model, const std::optional<Failure>& failure) override;
  void server_held(ModelId, Bytes, const std::vector<Bytes>&) override {}
  KnownModel known(ModelId model) const override;
  void drop_cold_files(std::span<const ModelId> running) override;
  std::vector<RunningProcess> running() const override { return runner_.running(); }

  // What was seen of model files elsewhere: at the start, by a reload.
  void learn(const std::vector<ModelLook>& looks);
  // For servers that start from now on.
  void set_spin_count(std::int32_t count);

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
  std::expected<ServerSpec, Failure> spec_of(const ServerOrder& order,
                                             const Result<ModelLook>& look) const;
  // Looks twice a second at the files of models that could not be used.
  void watch_broken(ModelId model, FileId seen);
  void look_at_broken();
  void load_store();
  void keep_store();
  std::string store_key(const Profiling& profiling) const;
  std::vector<std::string> dry_run_arguments_of(const Profiling& profiling) const;
  void take_dry_run(const std::shared_ptr<Profiling>& profiling, const Result<RunOutput>& output);

  LlamaSetup setup_;
  Workers::Lane store_lane_;
  ProcessRunner runner_;
  ModelLooks looks_;
  std::map<ModelId, std::shared_ptr<Profiling>> between_dry_runs_;
  std::map<ModelId, ReadFiles> read_;
  std::map<ModelId, FileId> broken_;  // which content could not be used; zero: none to be seen
  bool looking_ = false;              // at the broken ones, or about to
  std::set<ModelId> under_look_;      // of the broken ones
  boost::asio::steady_timer watch_;
  DryRunStore store_;
  FileId engine_;  // of the dry run's program and its libraries
  std::set<ModelId> profiling_;
  std::set<ModelId> hung_dry_runs_;
};

}  // namespace tonnage
