#include "sim/coverage.h"

#include <cstdio>

#include "sim/describe.h"

namespace vramd::sim {
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
      const std::string name = std::string(to_text(static_cast<ResidencyState>(from))) + " > " +
                               std::string(to_text(static_cast<ResidencyState>(to)));
      table.cell(name, edges_[from][to]);
    }
  }
  table.heading("faults");
  for (std::size_t i = 0; i < kFaults; ++i)
    table.cell(to_text(static_cast<Fault>(i)), faults_[i]);
  return table.take();
}

}  // namespace vramd::sim
