#include "sim/exhaust.h"

#include <utility>
#include <vector>

#include "sim/scenario_policy.h"
#include "sim/teller.h"

namespace tonnage::sim {
namespace {

constexpr ModelId kA{0};
constexpr ModelId kB{1};
constexpr Duration kPause = 1s;  // between two events

// Two models of 2 GiB with two slots, the second with a lesser placement. `capacity` decides
// whether both fit. Short times, so that some end between two events and others do not.
ScenarioSetting two_models(Bytes capacity) {
  ScenarioSetting setting = default_setting();
  setting.capacity = capacity;
  setting.policy.queue.yield_after = 3s;
  setting.policy.queue.degrade_after = 2s;
  setting.policy.queue.queue_timeout = 30s;
  setting.policy.load.timeout = 20s;
  setting.policy.load.stall_after = 4s;
  setting.policy.residency.grace = 1s;
  for (const char* name : {"A", "B"}) {
    ModelPolicy model;
    model.id = name;
    model.in_flight_max = 2;
    setting.policy.models.push_back(model);
    PlacementRow row;
    row.placement = {.context = 4096, .slots = 2};
    row.host_anon = 1_GiB;
    row.weights[0].file = FileId(setting.rows.size());
    row.weights[0].size = 1_GiB;
    row.source = FootprintSource::declared;
    setting.rows.push_back({row});
  }
  PlacementRow lesser = setting.rows[1][0];
  lesser.placement = {.context = 2048, .slots = 1};
  lesser.host_anon = 256_MiB;
  lesser.speed_permille = 500;
  setting.rows[1].push_back(lesser);
  return setting;
}

// Everything that may happen next. An entry is one thing that one adapter, client or operator does,
// or an edited configuration.
class Choices {
 public:
  explicit Choices(const Teller& teller) : teller_(teller), books_(teller.books()) {
    for (const ModelId model : {kA, kB}) {
      arrive(model);
      servers(model);
    }
    ends();
    commands();
    if (const auto deadline = teller.governor().next_deadline())
      add(*deadline, Timer{});
    foreign();
    add(PolicyChanged{books_.policy(), {kA}});
  }

  std::vector<Happening> take() { return std::move(list_); }

 private:
  void add(Tick at, Event event) { list_.push_back({at, std::move(event)}); }
  void add(Event event) { add(teller_.now() + kPause, std::move(event)); }

  // At most three requests a model: two fill the slots, one waits.
  void arrive(ModelId model) {
    std::uint64_t asked = 0;
    std::uint64_t next = 1;
    while (const Books::Request* request = books_.request(RequestId(next))) {
      asked += request->model == model ? 1 : 0;
      ++next;
    }
    if (asked < 3)
      add(RequestArrived{RequestId(next), model});
  }

  void servers(ModelId model) {
    const auto generation = teller_.server_of(model, 0);
    const Books::Server* server = generation ? books_.server(*generation) : nullptr;
    if (server == nullptr)
      return;
    if (!server->ready_at && !server->stop_at)
      add(ServerReady{*generation});
    if (server->stop_at) {
      add(ServerExited{*generation, std::nullopt});
    } else {
      add(ServerExited{*generation, Failure{FailureKind::crashed, "signal 11"}});
    }
    if (server->ready_at && !server->stop_at) {
      add(ServerUnresponsive{*generation, {FailureKind::unresponsive, "three probes missed"}});
      add(ServerOutOfMemory{*generation, {FailureKind::out_of_memory, "HTTP 500"}});
    }
  }

  void ends() {
    for (const RequestId id : books_.open_requests()) {
      const Books::Request& request = *books_.request(id);
      if (request.state == Books::RequestState::admitted) {
        add(RequestEnded{id, request.generation, RequestOutcome::answered});
        add(RequestEnded{id, request.generation, RequestOutcome::lost});
      } else if (!request.client_gone) {
        add(ClientGone{id});
      }
    }
  }

  void commands() {
    const CommandId next(books_.commands().size() + 1);
    if (next.value > 2)
      return;
    add(UnloadModel{next, kA});
    add(LoadModel{next, kB});
    add(PinModel{next, kA, !books_.model(kA).pinned});
  }

  void foreign() {
    const Bytes other = books_.foreign() == Bytes(0) ? 2_GiB : Bytes(0);
    add(PoolSampled{kHostPool, books_.capacity(), other});
  }

  const Teller& teller_;
  const Books& books_;
  std::vector<Happening> list_;
};

class Explorer {
 public:
  Explorer(const ScenarioSetting& setting, std::vector<Happening> beginning, int depth)
      : setting_(setting),
        path_(std::move(beginning)),
        depth_(path_.size() + static_cast<std::size_t>(depth)) {}

  // Goes through the lists in the order of a counter whose digits are choices.
  void run(Exhausted& result) {
    const std::size_t begun = path_.size();
    std::vector<std::pair<std::size_t, std::size_t>> digits;  // choice, and of how many
    while (true) {
      Teller teller(setting_);
      path_.resize(begun);
      for (const Happening& happening : path_)
        teller.tell(happening.at, happening.event);
      for (std::size_t i = 0; path_.size() < depth_ && !teller.broken(); ++i) {
        const std::vector<Happening> choices = Choices(teller).take();
        if (i == digits.size())
          digits.emplace_back(0, choices.size());
        path_.push_back(choices[digits[i].first]);
        teller.tell(path_.back().at, path_.back().event);
      }
      if (!teller.broken())
        teller.finish(kBound);
      ++result.orders;
      result.steps += teller.steps();
      if (teller.broken()) {
        report(teller, result);
        return;
      }
      while (!digits.empty() && ++digits.back().first == digits.back().second)
        digits.pop_back();
      if (digits.empty())
        return;
    }
  }

 private:
  static constexpr Duration kBound = 10min;

  void report(const Teller& teller, Exhausted& result) {
    result.finding = teller.findings().list().front();
    result.scenario = "# Every order: " + result.finding + "\n" + write_setting(setting_);
    for (const Happening& happening : teller.told())
      result.scenario += write_event(happening.at, happening.event, setting_.policy);
  }

  const ScenarioSetting& setting_;
  std::vector<Happening> path_;
  std::size_t depth_;
};

// Beginnings: nothing yet; A ready and idle; A at work; A at work with B waiting for its room.
std::vector<std::vector<Happening>> beginnings() {
  const std::vector<Happening> all = {
      {Tick(1s), RequestArrived{RequestId(1), kA}},
      {Tick(2s), ServerReady{Generation(1)}},
      {Tick(3s), RequestArrived{RequestId(2), kB}},
  };
  std::vector<Happening> idle(all.begin(), all.begin() + 2);
  idle.push_back({Tick(3s), RequestEnded{RequestId(1), Generation(1), RequestOutcome::answered}});
  return {{}, idle, {all.begin(), all.begin() + 2}, all};
}

}  // namespace

Exhausted exhaust(int depth) {
  Exhausted result;
  for (const Bytes capacity : {3_GiB, 5_GiB}) {
    const ScenarioSetting setting = two_models(capacity);
    for (std::vector<Happening> beginning : beginnings()) {
      Explorer(setting, std::move(beginning), depth).run(result);
      if (!result.finding.empty())
        return result;
    }
  }
  return result;
}

}  // namespace tonnage::sim
