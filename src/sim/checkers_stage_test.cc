// A stage for checkers: books, an honest snapshot, and a core that does what a test says. It
// defines no tests; the files of tests of checkers include it.
#ifndef TONNAGE_SIM_CHECKERS_STAGE
#define TONNAGE_SIM_CHECKERS_STAGE

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "sim/books.h"
#include "sim/budget.h"
#include "sim/checker.h"

namespace tonnage::sim {

inline constexpr ModelId A{0};
inline constexpr ModelId B{1};
inline constexpr ModelId C{2};
inline constexpr Placement kSmall{.context = 1024, .slots = 1};
inline constexpr Placement kLarge{.context = 4096, .slots = 2};

// Three models of 1 GiB weights and 256 MiB each, with a lesser placement of 128 MiB; 4 GiB.
class Checkers : public testing::Test {
 protected:
  Checkers() {
    policy_.pools.push_back({.name = "host"});
    for (const char* id : {"A", "B", "C"}) {
      policy_.models.push_back({.id = id, .in_flight_max = 2});
    }
    policy_.models[1].heavy = true;
    policy_.models[2].heavy = true;
  }

  static std::vector<PlacementRow> rows(std::uint64_t file) {
    const WeightFiles weights{{{FileId(file), 1_GiB}}};
    return {{kLarge, {}, 256_MiB, weights}, {kSmall, {}, 128_MiB, weights}};
  }

  // Books are made at the first step, so that a test can change the policy before.
  Books& books() {
    if (books_.empty()) {
      books_.emplace_back(policy_);
      checkers_ = make_all_checkers(nothing_may_fail_);
      snapshot_.models.resize(policy_.models.size());
      for (std::uint32_t i = 0; i < 3; ++i) {
        snapshot_.models[i].model = ModelId(i);
        snapshot_.models[i].pinned = policy_.models[i].pinned;
      }
      step(PoolSampled{kHostPool, 4_GiB, 0_B});
      for (std::uint32_t i = 0; i < 3; ++i) {
        books_[0].apply(now_, Action(Profile{ModelId(i)}));
        step(ModelProfiled{ModelId(i), rows(i)});
      }
    }
    return books_[0];
  }

  void step(const Event& event, const std::vector<Action>& actions = {}) {
    Books& known = books();
    const Step at{now_, known, findings_};
    known.apply(now_, event);
    for (const auto& checker : checkers_)
      checker->on_event(at, event);
    for (const Action& action : actions) {
      for (const auto& checker : checkers_)
        checker->on_action(at, action);
      known.apply(now_, action);
    }
    show_truth();
    for (const auto& checker : checkers_)
      checker->after_step(at, snapshot_);
  }

  // What an honest core would show.
  void show_truth() {
    const Books& known = books();
    snapshot_.waiting = known.waiting() + wrong_waiting_;
    snapshot_.leases = 0;
    Bytes own;
    Bytes weights;
    std::vector<FileId> files;
    for (ModelSnapshot& shown : snapshot_.models) {
      const Books::Model& model = known.model(shown.model);
      shown.pinned = model.pinned;
      shown.leases = 0;
      shown.reserved = Bytes(0);
      if (!model.server) {
        shown.state = model.profiling ? ResidencyState::profiling : ResidencyState::absent;
      } else {
        const Books::Server& server = *known.server(*model.server);
        shown.state = server.stop_at     ? ResidencyState::stopping
                      : !server.ready_at ? ResidencyState::loading
                      : server.useless   ? ResidencyState::draining
                                         : ResidencyState::ready;
        shown.leases = server.leases;
        snapshot_.leases += server.leases;
        shown.reserved = std::max(server.own, server.sampled) + charged_more_;
        own += shown.reserved;
        for (const WeightFile& file : server.weights) {
          if (std::find(files.begin(), files.end(), file.file) == files.end())
            weights += file.size;
          files.push_back(file.file);
        }
      }
      if (shown_wrongly_ && shown_wrongly_->first == shown.model)
        shown.state = shown_wrongly_->second;
    }
    show_pool(own, weights);
  }

  void show_pool(Bytes own, Bytes weights) {
    const Books& known = books();
    const PoolPolicy& pool = policy_.pools[0];
    snapshot_.pools.resize(1);
    PoolSnapshot& shown = snapshot_.pools[0];
    shown.reserved_weights = weights;
    shown.reserved = own + weights + reserved_more_;
    shown.budget = budget_for(pool, known.capacity());
    shown.headroom = std::min(shown.budget, room_of(pool, known.capacity()) - known.foreign()) -
                     shown.reserved + free_more_;
  }

  static Action start(ModelId model, std::uint64_t generation, Placement placement = kLarge) {
    return StartServer{model, Generation(generation), placement};
  }
  Action load_decision(ModelId model, std::uint64_t generation) const {
    Decision decision{DecisionKind::load, ReasonCode::fits_headroom, now_, model};
    decision.generation = Generation(generation);
    decision.placement = kLarge;
    return Decided{decision};
  }
  Action decide(DecisionKind kind, ReasonCode reason, ModelId model) const {
    return Decided{{kind, reason, now_, model}};
  }
  static Action stop(ModelId model, std::uint64_t generation, bool kill = false) {
    return StopServer{model, Generation(generation), kill};
  }
  static Action admit(std::uint64_t request, ModelId model, std::uint64_t generation) {
    return Admit{RequestId(request), model, Generation(generation)};
  }
  Action refuse(std::uint64_t request, RefusalStatus status, ReasonCode reason) const {
    Decision decision{DecisionKind::refuse, reason, now_, A};
    decision.request = RequestId(request);
    return Refuse{RequestId(request), status, decision};
  }
  static Event arrive(std::uint64_t request, ModelId model) {
    return RequestArrived{RequestId(request), model};
  }
  static Event ended(std::uint64_t request, std::uint64_t generation,
                     RequestOutcome outcome = RequestOutcome::answered) {
    return RequestEnded{RequestId(request), Generation(generation), outcome};
  }

  void make_ready(ModelId model, std::uint64_t generation) {
    step(Timer{}, {load_decision(model, generation), start(model, generation)});
    step(ServerReady{Generation(generation)});
  }

  void expect_quiet() const { EXPECT_TRUE(findings_.empty()) << findings_.list().front(); }
  void expect_finding(const std::string& words) const {
    const bool found = std::any_of(
        findings_.list().begin(), findings_.list().end(),
        [&](const std::string& finding) { return finding.find(words) != std::string::npos; });
    std::string all;
    for (const std::string& finding : findings_.list())
      all += finding + "\n";
    EXPECT_TRUE(found) << "nobody said '" << words << "' but:\n" << all;
  }

  Policy policy_;
  bool nothing_may_fail_ = false;
  Tick now_{10s};
  std::vector<Books> books_;  // none or one
  std::vector<std::unique_ptr<Checker>> checkers_;
  Findings findings_;
  Snapshot snapshot_;
  std::int32_t wrong_waiting_ = 0;
  Bytes charged_more_;   // to each server than it should be
  Bytes reserved_more_;  // than all charges sum to
  Bytes free_more_;      // than is left
  std::optional<std::pair<ModelId, ResidencyState>> shown_wrongly_;
};

}  // namespace tonnage::sim

#endif
