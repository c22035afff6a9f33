#include "sim/shrink.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>
#include <type_traits>
#include <utility>

namespace tonnage::sim {
namespace {

// Steps in all that a shrinking may take: some ten seconds.
constexpr std::uint64_t kStepsMax = 3'000'000;

class Shrinker {
 public:
  explicit Shrinker(Script script) : best_(std::move(script)) {}

  std::optional<Script> run() {
    if (!begin())
      return std::nullopt;
    leave_out_events();
    leave_out_models();
    simplify_rules();
    leave_out_events();
    round_times();
    round_bytes();
    renumber();
    return best_;
  }

 private:
  // Takes the candidate in place of the best so far, if it fails as well.
  bool accept(Script candidate) {
    if (steps_ >= kStepsMax)
      return false;
    auto retold = retell(candidate);
    if (!retold) {
      steps_ += candidate.events.size() + 1;
      return false;
    }
    steps_ += retold->steps;
    candidate.events = std::move(retold->kept);
    best_ = std::move(candidate);
    return true;
  }

  // The first way of telling that fails, the most readable one first: Timers exactly when they are
  // due, dry runs that answer at once.
  bool begin() {
    for (const bool timers : {false, true}) {
      for (const bool profiles : {false, true}) {
        Script candidate = best_;
        candidate.setting.timers_by_hand = timers;
        candidate.setting.profiles_by_hand = profiles;
        std::erase_if(candidate.events, [&](const ScriptEvent& entry) {
          const auto* profiled = std::get_if<ModelProfiled>(&entry.event);
          const bool known = profiled != nullptr &&
                             profiled->rows == candidate.setting.rows[profiled->model.value];
          return (!timers && std::holds_alternative<Timer>(entry.event)) ||
                 (!profiles && (known || std::holds_alternative<ProfileFailed>(entry.event) ||
                                std::holds_alternative<DryRunEnded>(entry.event)));
        });
        if (accept(std::move(candidate)))
          return true;
      }
    }
    return false;
  }

  // Delta debugging: ever smaller parts of the list are left out, as long as it fails without.
  void leave_out_events() {
    for (std::size_t part = std::max<std::size_t>(1, best_.events.size() / 2);; part /= 2) {
      bool shorter = true;
      while (shorter) {
        shorter = false;
        for (std::size_t end = best_.events.size(); end > 0 && steps_ < kStepsMax;) {
          end = std::min(end, best_.events.size());
          const std::size_t begin = end > part ? end - part : 0;
          Script candidate = best_;
          const auto first = candidate.events.begin();
          candidate.events.erase(first + static_cast<std::ptrdiff_t>(begin),
                                 first + static_cast<std::ptrdiff_t>(end));
          shorter = accept(std::move(candidate)) || shorter;
          end = begin;
        }
        shorter = shorter && part == 1;
      }
      if (part == 1)
        return;
    }
  }

  // A model that no event needs goes, and the later ones move up.
  void leave_out_models() {
    for (std::size_t i = best_.setting.policy.models.size(); i-- > 0;) {
      if (best_.setting.policy.models.size() == 1)
        return;
      Script candidate = best_;
      const auto at = static_cast<std::ptrdiff_t>(i);
      candidate.setting.policy.models.erase(candidate.setting.policy.models.begin() + at);
      candidate.setting.rows.erase(candidate.setting.rows.begin() + at);
      candidate.events.clear();
      for (ScriptEvent entry : best_.events) {
        if (move_up(entry, static_cast<std::uint32_t>(i)))
          candidate.events.push_back(std::move(entry));
      }
      accept(std::move(candidate));
    }
  }

  // False for an event of the model that goes.
  static bool move_up(ScriptEvent& entry, std::uint32_t gone) {
    bool stays = true;
    const auto move = [&](ModelId& model) {
      stays = stays && model.value != gone;
      if (model.value > gone)
        --model.value;
    };
    if (entry.server_of)
      move(*entry.server_of);
    const auto visit = [&]<typename T>(T& event) {
      if constexpr (std::is_same_v<T, RequestArrived>) {
        if (event.model)
          move(*event.model);
      } else if constexpr (std::is_same_v<T, PolicyChanged>) {
        event.policy.models.erase(event.policy.models.begin() + gone);
        std::erase(event.changed, ModelId(gone));
        for (ModelId& model : event.changed)
          move(model);
      } else if constexpr (requires { event.model; }) {
        move(event.model);
      }
    };
    std::visit(visit, entry.event);
    return stays;
  }

  void attempt(const std::function<void(ScenarioSetting&)>& change) {
    Script candidate = best_;
    change(candidate.setting);
    // What does not matter at first does not matter after a reload either.
    for (ScriptEvent& entry : candidate.events) {
      auto* changed = std::get_if<PolicyChanged>(&entry.event);
      if (changed == nullptr)
        continue;
      ScenarioSetting after = candidate.setting;
      after.policy = std::move(changed->policy);
      change(after);
      changed->policy = std::move(after.policy);
    }
    accept(std::move(candidate));
  }

  // Every rule that does not matter gets its usual value.
  void simplify_rules() {
    const ScenarioSetting usual = default_setting();
    attempt([&](ScenarioSetting& s) { s.policy.queue = usual.policy.queue; });
    attempt([&](ScenarioSetting& s) { s.policy.residency = usual.policy.residency; });
    attempt([&](ScenarioSetting& s) { s.policy.load = usual.policy.load; });
    attempt([&](ScenarioSetting& s) { s.policy.margin = usual.policy.margin; });
    attempt([&](ScenarioSetting& s) { s.policy.pools[0] = usual.policy.pools[0]; });
    std::size_t rules = 0;
    visit_rules(best_.setting, [&](std::string_view, auto&) { ++rules; });
    for (std::size_t wanted = 0; wanted < rules; ++wanted) {
      attempt([&](ScenarioSetting& s) { take_usual(s, usual, wanted); });
    }
    for (std::size_t i = 0; i < best_.setting.policy.models.size(); ++i)
      simplify_model(i);
  }

  static void take_usual(ScenarioSetting& setting, ScenarioSetting usual, std::size_t wanted) {
    // The two visits go through the same fields in the same order.
    std::size_t index = 0;
    visit_rules(setting, [&](std::string_view name, auto& field) {
      if (index++ != wanted || name.ends_with("_by_hand"))
        return;
      visit_rules(usual, [&](std::string_view other, auto& value) {
        if constexpr (std::is_same_v<decltype(field), decltype(value)>) {
          if (other == name)
            field = value;
        }
      });
    });
  }

  void simplify_model(std::size_t i) {
    attempt([i](ScenarioSetting& s) { s.policy.models[i].ttl.reset(); });
    attempt([i](ScenarioSetting& s) { s.policy.models[i].pinned = false; });
    attempt([i](ScenarioSetting& s) { s.policy.models[i].heavy = false; });
    attempt([i](ScenarioSetting& s) { s.policy.models[i].type = ModelType::llm; });
    attempt([i](ScenarioSetting& s) { s.policy.models[i].priority = Priority::normal; });
    attempt([i](ScenarioSetting& s) { s.rows[i].resize(1, s.rows[i].front()); });
    attempt([i](ScenarioSetting& s) {
      for (PlacementRow& row : s.rows[i])
        row.source = FootprintSource::declared;
    });
    attempt([i](ScenarioSetting& s) {
      s.rows[i].front().placement = {.context = 4096, .slots = 1};
      s.policy.models[i].in_flight_max = 1;
    });
    attempt([i](ScenarioSetting& s) {
      for (PlacementRow& row : s.rows[i])
        row.weights[1] = {FileId(2000 + i), Bytes(0)};
    });
    attempt([i](ScenarioSetting& s) {
      for (PlacementRow& row : s.rows[i]) {
        row.weights[0] = {FileId(1000 + i), Bytes(0)};
        row.weights[1] = {FileId(2000 + i), Bytes(0)};
      }
    });
  }

  void round_times() {
    for (const Duration grain : {Duration(1s), Duration(100ms), Duration(10ms), Duration(1ms)}) {
      Script candidate = best_;
      for (ScriptEvent& entry : candidate.events) {
        const Duration at = entry.at.time_since_epoch();
        entry.at = Tick((at + grain - 1us) / grain * grain);
      }
      if (accept(std::move(candidate)))
        return;
    }
  }

  void round_bytes() {
    for (const std::int64_t grain : {kGiB, 64 * kMiB, kMiB}) {
      Script candidate = best_;
      const auto round = [&](Bytes& bytes) {
        bytes = Bytes((bytes.count + grain - 1) / grain * grain);
      };
      round(candidate.setting.capacity);
      for (auto& rows : candidate.setting.rows) {
        for (PlacementRow& row : rows) {
          round(row.host_anon);
          for (WeightFile& weights : row.weights)
            round(weights.size);
        }
      }
      for (ScriptEvent& entry : candidate.events) {
        if (auto* sample = std::get_if<PoolSampled>(&entry.event)) {
          round(sample->capacity);
          round(sample->foreign);
        }
        if (auto* sample = std::get_if<ServerSampled>(&entry.event))
          round(sample->host_anon);
        if (auto* learned = std::get_if<ModelProfiled>(&entry.event)) {
          for (PlacementRow& row : learned->rows)
            round(row.host_anon);
        }
      }
      if (accept(std::move(candidate)))
        return;
    }
  }

  // Requests and commands are counted from 1, models are named from A.
  void renumber() {
    Script candidate = best_;
    std::map<RequestId, RequestId> requests;
    std::map<CommandId, CommandId> commands;
    const auto visit = [&]<typename T>(T& event) {
      if constexpr (requires { event.request; }) {
        event.request =
            requests.try_emplace(event.request, RequestId(requests.size() + 1)).first->second;
      } else if constexpr (requires { event.command; }) {
        event.command =
            commands.try_emplace(event.command, CommandId(commands.size() + 1)).first->second;
      }
    };
    for (ScriptEvent& entry : candidate.events) {
      std::visit(visit, entry.event);
      if (auto* changed = std::get_if<PolicyChanged>(&entry.event))
        rename(changed->policy);
    }
    rename(candidate.setting.policy);
    accept(std::move(candidate));
  }

  static void rename(Policy& policy) {
    for (std::size_t i = 0; i < policy.models.size(); ++i)
      policy.models[i].id = std::string(1, static_cast<char>('A' + i));
  }

  Script best_;
  std::uint64_t steps_ = 0;
};

}  // namespace

std::optional<Script> shrink(Script script) {
  return Shrinker(std::move(script)).run();
}

}  // namespace tonnage::sim
