// CommandEngine: model servers of the user's own, as a program and its arguments. What one takes is
// declared, and corrected by what it was seen to take.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "engine/engine.h"

namespace tonnage {

class CommandEngine final : public Engine {
 public:
  explicit CommandEngine(EngineSetup setup) : setup_(std::move(setup)) {}

  std::string_view name() const override { return "command"; }
  bool serves(const ModelConfig& model) const override { return !model.command.empty(); }
  void profile(ModelId model, bool next) override;
  void abandon_profiles() override {}
  void prepare(const ServerOrder& order, Prepared done) override;
  void server_exited(ModelId, const std::optional<Failure>&) override {}
  void server_held(ModelId model, Bytes host, const std::vector<Bytes>& devices) override;
  KnownModel known(ModelId) const override { return {}; }
  void drop_cold_files(std::span<const ModelId>) override {}
  std::vector<RunningProcess> running() const override { return {}; }

 private:
  // The most that servers of the model were seen to hold since the daemon started, and the command
  // that they were started with.
  struct Seen {
    std::vector<std::string> command;
    Bytes host;
    Bytes gpu;
  };

  // For a server's program, on its lane.
  struct Search {
    ServerSpec spec;
    Prepared done;
    boost::asio::steady_timer deadline;
  };

  const ModelConfig& config_of(ModelId model) const { return setup_.config.models[model.value]; }
  PlacementRow row_of(ModelId model) const;
  // All but the place of its program.
  std::expected<ServerSpec, Failure> spec_of(const ServerOrder& order) const;
  void end_search(Generation generation, const Result<std::string>& program);
  Workers::Lane& lane_of(ModelId model);

  EngineSetup setup_;
  std::map<ModelId, Seen> seen_;
  std::map<ModelId, PlacementRow> told_;  // as last profiled
  std::map<ModelId, Workers::Lane> lanes_;
  std::map<Generation, Search> searches_;
};

}  // namespace tonnage
