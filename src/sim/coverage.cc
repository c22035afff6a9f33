#include "sim/coverage.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "core/residency.h"
#include "sim/describe.h"

namespace tonnage::sim {
namespace {

// Counters in three columns, names first, under a heading.
class Table {
 public:
  void heading(std::string_view text) {
    end_line();
    out_ += std::string(text) + "\n";
  }
  void cell(std::string_view name, std::uint64_t count) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "  %-24.*s %10llu", static_cast<int>(name.size()),
                  name.data(), static_cast<unsigned long long>(count));
    out_ += buffer.data();
    if (++column_ == 3)
      end_line();
  }
  std::string take() {
    end_line();
    return std::move(out_);
  }

 private:
  void end_line() {
    if (column_ > 0)
      out_ += "\n";
    column_ = 0;
  }

  std::string out_;
  int column_ = 0;
};

// What cannot be hit as often as the rest, and why.
struct Exception {
  std::string_view name;
  std::string_view why;
};
constexpr std::array kExceptions = {
    Exception{"edge draining > profiling",
              "a model has to crash under its last requests just when a reload replaces it"},
    Exception{"reason above_budget",
              "two samples in a row have to be wrong by more than the whole pool"},
};

bool is_exception(std::string_view name) {
  return std::any_of(kExceptions.begin(), kExceptions.end(),
                     [&](const Exception& exception) { return exception.name == name; });
}

std::string edge_name(std::size_t from, std::size_t to) {
  return std::string(to_text(static_cast<ResidencyState>(from))) + " > " +
         std::string(to_text(static_cast<ResidencyState>(to)));
}

template <typename Array>
void add_up(Array& sum, const Array& more) {
  for (std::size_t i = 0; i < sum.size(); ++i)
    sum[i] += more[i];
}

}  // namespace

void Coverage::count(const Action& action) {
  ++actions_[action.index()];
  const Decision* decision = nullptr;
  if (const auto* refuse = std::get_if<Refuse>(&action))
    decision = &refuse->decision;
  if (const auto* decided = std::get_if<Decided>(&action))
    decision = &decided->decision;
  if (decision == nullptr)
    return;
  // at(): a kind or a reason that was added behind the last one must be given its counter.
  ++decisions_.at(static_cast<std::size_t>(decision->kind));
  ++reasons_.at(static_cast<std::size_t>(decision->reason));
}

void Coverage::count_faults(const std::array<std::uint64_t, kFaults>& hits) {
  add_up(faults_, hits);
}

void Coverage::add(const Coverage& other) {
  add_up(events_, other.events_);
  add_up(actions_, other.actions_);
  add_up(decisions_, other.decisions_);
  add_up(reasons_, other.reasons_);
  add_up(faults_, other.faults_);
  for (std::size_t i = 0; i < kStates; ++i)
    add_up(edges_[i], other.edges_[i]);
}

std::string Coverage::table() const {
  Table table;
  table.heading("events");
  for (std::size_t i = 0; i < events_.size(); ++i)
    table.cell(event_name(i), events_[i]);
  table.heading("actions");
  for (std::size_t i = 0; i < actions_.size(); ++i)
    table.cell(action_name(i), actions_[i]);
  table.heading("decisions");
  for (std::size_t i = 0; i < kKinds; ++i) {
    table.cell(to_text(static_cast<DecisionKind>(i)), decisions_[i]);
  }
  table.heading("reasons");
  for (std::size_t i = 0; i < kReasons; ++i) {
    table.cell(to_text(static_cast<ReasonCode>(i)), reasons_[i]);
  }
  table.heading("residency edges, as seen between steps");
  for (std::size_t from = 0; from < kStates; ++from) {
    for (std::size_t to = 0; to < kStates; ++to) {
      if (from == to || edges_[from][to] == 0)
        continue;
      table.cell(edge_name(from, to), edges_[from][to]);
    }
  }
  table.heading("faults");
  for (std::size_t i = 0; i < kFaults; ++i)
    table.cell(to_text(static_cast<Fault>(i)), faults_[i]);
  return table.take();
}

std::vector<Coverage::Counter> Coverage::counters() const {
  std::vector<Counter> all;
  const auto add = [&](std::string_view group, std::string_view name, std::uint64_t hits) {
    all.push_back({std::string(group) + " " + std::string(name), hits});
  };
  for (std::size_t i = 0; i < events_.size(); ++i)
    add("event", event_name(i), events_[i]);
  for (std::size_t i = 0; i < actions_.size(); ++i)
    add("action", action_name(i), actions_[i]);
  for (std::size_t i = 0; i < kKinds; ++i)
    add("decision", to_text(static_cast<DecisionKind>(i)), decisions_[i]);
  for (std::size_t i = 0; i < kReasons; ++i)
    add("reason", to_text(static_cast<ReasonCode>(i)), reasons_[i]);
  for (std::size_t from = 0; from < kStates; ++from) {
    for (std::size_t to = 0; to < kStates; ++to) {
      const bool legal =
          is_legal(static_cast<ResidencyState>(from), static_cast<ResidencyState>(to));
      if (from != to && (legal || edges_[from][to] > 0))
        add("edge", edge_name(from, to), edges_[from][to]);
    }
  }
  for (std::size_t i = 0; i < kFaults; ++i)
    add("fault", to_text(static_cast<Fault>(i)), faults_[i]);
  return all;
}

std::vector<std::string> Coverage::below(std::uint64_t least) const {
  std::vector<std::string> lines;
  for (const Counter& counter : counters()) {
    if (counter.hits >= least || is_exception(counter.name))
      continue;
    lines.push_back(counter.name + ": " + std::to_string(counter.hits) + " of " +
                    std::to_string(least));
  }
  return lines;
}

}  // namespace tonnage::sim
