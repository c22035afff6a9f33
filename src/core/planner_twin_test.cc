// Which placement is taken, against a twin that follows the rules word by word and tries every set
// of victims; and what victims leave behind is enough.
#include <optional>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "core/planner_machine_test.cc"

namespace tonnage {
namespace {

// What the twin needs to know of the machine beside its models.
struct Drawn {
  Machine machine;
  Bytes capacity;
  Bytes foreign;
  LoadQuery query;
};

PlacementRow draw_row(FileId file, FileId draft) {
  PlacementRow row;
  row.placement.context = 1024 << *rc::gen::inRange(0, 3);
  row.placement.slots = 1;
  row.host_anon = Bytes(*rc::gen::inRange<std::int64_t>(1, 16) * kMiB);
  const auto mapped = [](FileId id) {
    return WeightFile{id, Bytes(static_cast<std::int64_t>(id.value) * kMiB)};
  };
  row.weights[0] = mapped(file);
  if (draft != file)
    row.weights[1] = mapped(draft);
  row.speed_permille = *rc::gen::inRange(500, 1001);
  row.source = *rc::gen::element(FootprintSource::declared, FootprintSource::analytic);
  return row;
}

Drawn draw() {
  const auto count = *rc::gen::inRange<std::uint32_t>(1, 9);
  const Bytes capacity(*rc::gen::inRange<std::int64_t>(12, 33) * kMiB);
  const auto kind = *rc::gen::element(EvictionKind::lru, EvictionKind::value);
  Drawn drawn{Machine(count, capacity, kind), capacity, {}, {.model = kAsked}};
  Machine& m = drawn.machine;
  drawn.foreign = Bytes(*rc::gen::element<std::int64_t>(0, 0, 3, 9) * kMiB);
  m.ledger->sample(kHostPool, seen(capacity, drawn.foreign, kNow));
  const FileId file(*rc::gen::inRange<std::uint64_t>(0, 4));
  const FileId draft(*rc::gen::inRange<std::uint64_t>(0, 4));
  for (int rungs = *rc::gen::inRange(1, 5); rungs > 0; --rungs)
    m.models[0].rows.push_back(draw_row(file, draft));
  for (std::uint32_t i = 1; i < count; ++i) {
    const auto mapped = *rc::gen::inRange<std::uint64_t>(0, 4);
    const auto second = *rc::gen::inRange<std::uint64_t>(0, 4);
    const auto file_of = [](std::uint64_t id) {
      return WeightFile{FileId(id), Bytes(static_cast<std::int64_t>(id) * kMiB)};
    };
    m.run(i, Bytes(*rc::gen::inRange<std::int64_t>(1, 5) * kMiB), FileId(mapped),
          file_of(mapped).size, second == mapped ? WeightFile{} : file_of(second));
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
      case 1:
        m.lease(i);
        break;
      case 2:
        m.models[i].pinned = true;
        break;
      case 3:
      case 4:
        m.models[i].state = ResidencyState::stopping;
        break;
      default:
        break;
    }
  }
  drawn.query.context_needed = *rc::gen::element(0, 0, 1024, 2048, 4096);
  drawn.query.context_wished = *rc::gen::element(0, 0, 1500, 4096, 9999);
  drawn.query.waited = *rc::gen::element<Duration>(0s, 59s, 60s);
  return drawn;
}

struct Expected {
  LoadVerdict verdict = LoadVerdict::waits;
  ReasonCode reason = ReasonCode::busy_models;
  std::size_t row = 0;
};

class PlacementTwin {
 public:
  explicit PlacementTwin(const Drawn& drawn) : drawn_(drawn), m_(drawn.machine) {}

  Expected expected() {
    const auto& rows = m_.models[0].rows;
    const auto fits_empty = [&](std::size_t i) {
      return rows[i].host_anon + size_of(rows[i].weights) <= drawn_.capacity;
    };
    // The first that holds as much of the wish as any does that fits.
    const auto first_of = [&](auto fits) {
      const std::int32_t wish = most_of_wish(fits);
      std::optional<std::size_t> first;
      for (std::size_t i = rows.size(); i-- > 0;) {
        if (is_needed(i) && rows[i].placement.context >= wish && fits(i))
          first = i;
      }
      return first;
    };
    const auto best = first_of(fits_empty);
    if (!best)
      return refused();
    const Bytes beside = drawn_.capacity - held_by_pins();
    wish_ = most_of_wish([&](std::size_t i) { return need(i) <= beside - drawn_.foreign; });
    std::optional<std::size_t> target;
    bool beside_pins = false;
    for (std::size_t i = rows.size(); i-- > 0;) {
      if (!is_wanted(i))
        continue;
      if (need(i) <= beside - drawn_.foreign)
        target = i;
      beside_pins = beside_pins || need(i) <= beside;
    }
    if (!target) {
      const bool pins =
          held_by_pins() > 0_B && !beside_pins && need(*best) <= drawn_.capacity - drawn_.foreign;
      return pins ? Expected{LoadVerdict::refused, ReasonCode::pinned_models, 0}
                  : Expected{LoadVerdict::waits, ReasonCode::foreign_use, *best};
    }
    if (const auto verdict = possible(*target)) {
      ReasonCode reason = ReasonCode::fits_headroom;
      if (*target != *best) {
        reason = ReasonCode::never_fits_better;
      } else if (*verdict == LoadVerdict::evicts) {
        reason = ReasonCode::made_room;
      }
      return {*verdict, reason, *target};
    }
    return lesser(*target);
  }

 private:
  Expected refused() const {
    for (const PlacementRow& row : m_.models[0].rows) {
      if (row.placement.context >= drawn_.query.context_needed)
        return {LoadVerdict::refused, ReasonCode::never_fits, 0};
    }
    return {LoadVerdict::refused, ReasonCode::context_too_small, 0};
  }

  Expected lesser(std::size_t target) const {
    const auto& rows = m_.models[0].rows;
    for (std::size_t i = target + 1; i < rows.size(); ++i) {
      if (!is_wanted(i))
        continue;
      const bool good = rows[i].placement.context >= rows[target].placement.context &&
                        rows[i].speed_permille * 10 >= rows[target].speed_permille * 7;
      if (!good && drawn_.query.waited < m_.policy.queue.degrade_after)
        continue;
      if (const auto verdict = possible(i))
        return {*verdict, good ? ReasonCode::good_enough : ReasonCode::expected_wait, i};
    }
    return {LoadVerdict::waits, ReasonCode::busy_models, target};
  }

  bool is_needed(std::size_t i) const {
    return m_.models[0].rows[i].placement.context >= drawn_.query.context_needed;
  }
  bool is_wanted(std::size_t i) const {
    return is_needed(i) && m_.models[0].rows[i].placement.context >= wish_;
  }

  template <typename Fits>
  std::int32_t most_of_wish(Fits fits) const {
    std::int32_t most = 0;
    for (std::size_t i = 0; i < m_.models[0].rows.size(); ++i) {
      if (fits(i))
        most = std::max(most, m_.models[0].rows[i].placement.context);
    }
    return std::min(most, drawn_.query.context_wished);
  }

  // With the margin, as long as that does not make the difference.
  Bytes need(std::size_t i) const {
    const PlacementRow& row = m_.models[0].rows[i];
    Bytes own = row.host_anon;
    if (row.source == FootprintSource::analytic)
      own = permille_of(own, 1200);
    const Bytes most = drawn_.capacity - drawn_.foreign - size_of(row.weights);
    return std::min(own, std::max(row.host_anon, most)) + size_of(row.weights);
  }

  Bytes held_by_pins() const {
    Bytes sum;
    std::vector<FileId> files;
    for (const WeightFile& weights : m_.models[0].rows[0].weights)
      files.push_back(weights.file);
    for (std::size_t i = 1; i < m_.models.size(); ++i) {
      if (!m_.models[i].pinned)
        continue;
      const Charge& charge = m_.models[i].charged->charge;
      sum += charge.own[0];
      sum += more(charge.weights, files);
    }
    return sum;
  }

  // Files beside those of `counted`, which they then belong to.
  static Bytes more(const WeightFiles& files, std::vector<FileId>& counted) {
    Bytes sum;
    for (const WeightFile& weights : files) {
      if (weights.size == 0_B || std::ranges::find(counted, weights.file) != counted.end())
        continue;
      counted.push_back(weights.file);
      sum += weights.size;
    }
    return sum;
  }

  // What is held once the models of `gone` have left, and the asked one has come.
  Bytes held_with(std::size_t row, unsigned gone) const {
    const PlacementRow& asked = m_.models[0].rows[row];
    Bytes sum = need(row);
    std::vector<FileId> files;
    more(asked.weights, files);
    for (std::size_t i = 1; i < m_.models.size(); ++i) {
      if ((gone >> i) & 1U)
        continue;
      const Charge& charge = m_.models[i].charged->charge;
      sum += charge.own[0];
      sum += more(charge.weights, files);
    }
    return sum;
  }

  std::optional<LoadVerdict> possible(std::size_t row) const {
    const Bytes room = drawn_.capacity - drawn_.foreign;
    unsigned stopping = 0;
    unsigned idle = 0;
    for (std::size_t i = 1; i < m_.models.size(); ++i) {
      if (m_.models[i].state == ResidencyState::stopping) {
        stopping |= 1U << i;
      } else if (m_.models[i].leased.empty() && !m_.models[i].pinned) {
        idle |= 1U << i;
      }
    }
    if (held_with(row, 0) <= room)
      return LoadVerdict::fits;
    if (held_with(row, stopping) <= room)
      return LoadVerdict::pending;
    for (unsigned gone = 1; gone < (1U << m_.models.size()); ++gone) {
      if ((gone & ~idle) == 0 && held_with(row, gone | stopping) <= room)
        return LoadVerdict::evicts;
    }
    return std::nullopt;
  }

  const Drawn& drawn_;
  const Machine& m_;
  std::int32_t wish_ = 0;  // as much of it as fits beside pins and foreign use
};

RC_GTEST_PROP(PlannerTwin, TakesThePlacementThatTheRulesName, ()) {
  const Drawn drawn = draw();
  const LoadPlan plan = drawn.machine.planner().plan_load(drawn.query);
  const Expected expected = PlacementTwin(drawn).expected();
  RC_ASSERT(plan.verdict == expected.verdict);
  RC_ASSERT(plan.reason == expected.reason);
  if (plan.verdict != LoadVerdict::refused)
    RC_ASSERT(plan.row == expected.row);
}

RC_GTEST_PROP(PlannerTwin, WhatItsVictimsLeaveIsEnoughAndNoneOfThemTooMany, ()) {
  const Drawn drawn = draw();
  const Machine& m = drawn.machine;
  const LoadPlan plan = m.planner().plan_load(drawn.query);
  if (plan.verdict != LoadVerdict::evicts)
    return;
  const auto lacking_without = [&](std::optional<ModelId> stays) {
    Ledger after(m.policy.pools, m.ledger->state());
    for (const ModelRecord& model : m.models) {
      const bool goes = model.state == ResidencyState::stopping ||
                        std::ranges::find(plan.victims, model.id) != plan.victims.end();
      if (goes && model.id != stays)
        after.release(*model.generation);
    }
    return after.added(plan.charge, kHostPool) - after.headroom(kHostPool);
  };
  RC_ASSERT(lacking_without(std::nullopt) <= 0_B);
  for (const ModelId victim : plan.victims)
    RC_ASSERT(lacking_without(victim) > 0_B);
}

}  // namespace
}  // namespace tonnage
