// Stage: one Governor, its clock, and a world that answers only when a test says so. It defines no
// tests; the governor_*_test.cc files and planner_test.cc include it.
#ifndef TONNAGE_CORE_GOVERNOR_STAGE
#define TONNAGE_CORE_GOVERNOR_STAGE

#include <algorithm>
#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/governor.h"

namespace tonnage::stage {

// What one step asked of the world, one line per action: "start a g1", "admit r1 to a g1".
using Lines = std::vector<std::string>;

inline constexpr ModelId kA{0};
inline constexpr ModelId kB{1};
inline constexpr ModelId kC{2};
inline constexpr ModelId kD{3};

// A ladder row without a mapped file: what it needs is all its own.
inline PlacementRow own_row(Bytes need, std::int32_t context = 4096, std::int32_t slots = 2) {
  PlacementRow row;
  row.placement = {.gpu_layers = 0, .context = context, .slots = slots, .kv = KvType::f16};
  row.host_anon = need;
  row.source = FootprintSource::declared;
  return row;
}

// A ladder row that maps `file`, which is charged once however many servers map it.
inline PlacementRow mapped_row(std::uint64_t file, Bytes weights, Bytes own) {
  PlacementRow row = own_row(own);
  row.weights[0].file = FileId(file);
  row.weights[0].size = weights;
  return row;
}

// Models a, b, c and d, each with two requests in flight, on a host without a reserve: the budget
// is the capacity, and needs are what rows declare.
inline Policy plain_policy() {
  Policy policy;
  policy.pools.push_back({.name = "host", .reserve = {}, .limit = {}});
  for (const char* id : {"a", "b", "c", "d"}) {
    ModelPolicy model;
    model.id = id;
    model.in_flight_max = 2;
    policy.models.push_back(model);
  }
  policy.load.profile_reservation = 0_B;
  return policy;
}

class Stage {
 public:
  explicit Stage(Policy policy = plain_policy(), Bytes capacity = 8_GiB)
      : governor_(std::move(policy), now_), capacity_(capacity) {
    for (std::uint32_t i = 0; i < 4; ++i)
      rows_[ModelId(i)] = {own_row(3_GiB)};
    if (capacity > Bytes{0})
      sample(Bytes{0});
  }

  // Everything a model could ever be profiled to need, best row first.
  void ladder(ModelId model, std::vector<PlacementRow> rows) { rows_[model] = std::move(rows); }

  Lines tell(const Event& event) {
    Actions actions;
    governor_.step(now_, event, actions);
    decided_.clear();
    Lines lines;
    for (const Action& action : actions)
      record(action, lines);
    for (const Violation& violation : governor_.violations())
      ADD_FAILURE() << "violation: " << violation.text;
    return lines;
  }

  void pass(Duration time) { now_ += time; }

  // Delivers every Timer that falls due within `time`, as the daemon would.
  Lines run_for(Duration time) {
    const Tick end = now_ + time;
    Lines lines;
    for (int turn = 0; turn < 10'000; ++turn) {
      const auto deadline = governor_.next_deadline();
      if (!deadline || *deadline > end) {
        now_ = end;
        return lines;
      }
      now_ = std::max(now_, *deadline);
      append(lines, tell(Timer{}));
    }
    ADD_FAILURE() << "10,000 timers and no progress: a busy loop";
    return lines;
  }

  Lines request(std::uint64_t id, ModelId model, std::int32_t context = 0,
                Priority priority = Priority::normal) {
    return tell(RequestArrived{RequestId(id), model, priority, context, true});
  }
  Lines end(std::uint64_t id, RequestOutcome outcome = RequestOutcome::answered) {
    const auto at = admitted_.find(id);
    return tell(
        RequestEnded{RequestId(id), at == admitted_.end() ? Generation{} : at->second, outcome});
  }
  Lines sample(Bytes foreign) { return tell(PoolSampled{kHostPool, capacity_, foreign}); }
  Lines profiled(ModelId model) { return tell(ModelProfiled{model, rows_.at(model)}); }
  Lines ready(std::uint64_t generation) { return tell(ServerReady{Generation(generation)}); }
  Lines exited(std::uint64_t generation) {
    return tell(ServerExited{Generation(generation), std::nullopt});
  }
  Lines failed(std::uint64_t generation, FailureKind kind, std::string text = "boom") {
    return tell(ServerExited{Generation(generation), Failure{kind, std::move(text)}});
  }

  // Lets a well-behaved world answer profiles, starts and stops at once, until nothing is owed.
  Lines settle() {
    Lines lines;
    for (int turn = 0; turn < 1'000 && !owed_.empty(); ++turn) {
      const Action action = owed_.front();
      owed_.pop_front();
      if (const auto* profile = std::get_if<Profile>(&action))
        append(lines, profiled(profile->model));
      if (const auto* start = std::get_if<StartServer>(&action))
        append(lines, ready(start->generation.value));
      if (const auto* stop = std::get_if<StopServer>(&action))
        append(lines, exited(stop->generation.value));
    }
    EXPECT_TRUE(owed_.empty()) << "the world never comes to rest";
    return lines;
  }
  // What was owed is answered by hand from here on.
  void forget_owed() { owed_.clear(); }

  // Ready and idle, by an operator's command.
  void bring_up(ModelId model) {
    tell(LoadModel{CommandId(1'000 + model.value), model});
    settle();
    EXPECT_EQ(state(model), ResidencyState::ready);
  }
  // Ready and with one request in it.
  void make_busy(ModelId model, std::uint64_t request_id) {
    request(request_id, model);
    settle();
    EXPECT_TRUE(admitted_.contains(request_id));
  }

  ModelSnapshot show(ModelId model) const {
    for (ModelSnapshot& shown : governor_.snapshot(now_).models) {
      if (shown.model == model)
        return shown;
    }
    return {};  // removed
  }
  ResidencyState state(ModelId model) const { return show(model).state; }
  std::uint64_t generation(ModelId model) const {
    return show(model).generation.value_or(Generation{}).value;
  }
  PoolSnapshot pool() const { return governor_.snapshot(now_).pools.at(0); }

  // Decisions of the last step, as "kind reason".
  Lines reasons() const {
    Lines lines;
    for (const Decision& d : decided_)
      lines.push_back(std::string(to_text(d.kind)) + " " + std::string(to_text(d.reason)));
    return lines;
  }
  const std::vector<Decision>& decided() const { return decided_; }
  const Decision& refusal(std::uint64_t request_id) const { return refused_.at(request_id); }
  std::string explanation(std::uint64_t request_id) const {
    return explain(refused_.at(request_id), governor_.policy());
  }
  int answers_to(std::uint64_t command) const {
    const auto found = command_answers_.find(command);
    return found == command_answers_.end() ? 0 : found->second;
  }

  Tick now() const { return now_; }
  const Governor& governor() const { return governor_; }

 private:
  static void append(Lines& lines, Lines more) {
    std::ranges::move(more, std::back_inserter(lines));
  }
  std::string name(ModelId model) const { return governor_.policy().models[model.value].id; }
  std::string server(ModelId model, Generation generation) const {
    return name(model) + " g" + std::to_string(generation.value);
  }

  void record(const Action& action, Lines& lines) {
    if (const auto* profile = std::get_if<Profile>(&action)) {
      lines.push_back((profile->next ? "next dry run of " : "profile ") + name(profile->model));
      owed_.push_back(action);
    } else if (const auto* start = std::get_if<StartServer>(&action)) {
      lines.push_back("start " + server(start->model, start->generation));
      owed_.push_back(action);
    } else if (const auto* stop = std::get_if<StopServer>(&action)) {
      lines.push_back((stop->kill_at_once ? "kill " : "stop ") +
                      server(stop->model, stop->generation));
      owed_.push_back(action);
    } else if (const auto* admit = std::get_if<Admit>(&action)) {
      admitted_[admit->request.value] = admit->generation;
      lines.push_back("admit r" + std::to_string(admit->request.value) + " to " +
                      server(admit->model, admit->generation));
    } else if (const auto* refuse = std::get_if<Refuse>(&action)) {
      refused_[refuse->request.value] = refuse->decision;
      lines.push_back("refuse r" + std::to_string(refuse->request.value) + " " +
                      std::string(to_text(refuse->status)) + " " +
                      std::string(to_text(refuse->decision.reason)));
    } else if (const auto* done = std::get_if<CommandDone>(&action)) {
      ++command_answers_[done->command.value];
      lines.push_back((done->ok ? "done c" : "failed c") + std::to_string(done->command.value));
    } else if (const auto* decision = std::get_if<Decided>(&action)) {
      decided_.push_back(decision->decision);
    } else {
      lines.push_back("drained");
    }
  }

  Tick now_{1h};  // not at the origin, so that "never" and "at zero" differ
  Governor governor_;
  Bytes capacity_;
  std::map<ModelId, std::vector<PlacementRow>> rows_;
  std::deque<Action> owed_;
  std::map<std::uint64_t, Generation> admitted_;
  std::map<std::uint64_t, Decision> refused_;
  std::map<std::uint64_t, int> command_answers_;
  std::vector<Decision> decided_;
};

}  // namespace tonnage::stage

#endif
