#include "tonnage/history_view.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "tonnage/fields.h"

namespace tonnage {
namespace {

constexpr std::int64_t kRowsMax = 24;
constexpr std::size_t kBarColumns = 20;
constexpr std::size_t kModelsColumnsMin = 12;
// From here on a row without its day would not say when it was.
constexpr Duration kSameDay = 20h;

// "10:20", "10:20:30" or "11-21 10:20".
std::string time_text(std::int64_t time_ms, Duration step, Duration since, LocalTime local_time) {
  const std::tm time = local_time(time_ms / 1000);
  std::array<char, 40> text{};
  return {text.data(), std::strftime(text.data(), text.size(),
                                     since > kSameDay ? "%m-%d %H:%M"
                                     : step < 1min    ? "%H:%M:%S"
                                                      : "%H:%M",
                                     &time)};
}

Json pool_of(const Json& point, const std::string& name) {
  for (const Json& pool : list_field(point, "pools")) {
    if (text_field(pool, "pool") == name)
      return pool;
  }
  return Json::object();
}

std::vector<std::string> pool_names(const Json& points) {
  std::vector<std::string> names;
  for (const Json& point : points) {
    for (const Json& pool : list_field(point, "pools")) {
      const std::string name = text_field(pool, "pool");
      if (std::ranges::find(names, name) == names.end())
        names.push_back(name);
    }
  }
  return names;
}

std::string models_text(const Json& point) {
  std::string names;
  for (const Json& model : list_field(point, "models"))
    names += (names.empty() ? "" : ", ") + text_field(model, "model");
  return names;
}

// What models held on average, and what others took of the budget. One colour for all of it, by how
// little was free at the worst moment.
Cell pool_bar(const Json& pool, const Terminal& terminal) {
  const auto bytes = [&](const char* name) { return bytes_field(pool, name).value_or(Bytes{}); };
  const Bytes budget = bytes("budget_bytes");
  const Bytes models = bytes("reserved_bytes");
  const Bytes others = std::clamp(budget - models - bytes("headroom_bytes"), Bytes{}, budget);
  const Bytes worst = bytes("headroom_min_bytes");
  Terminal plain = terminal;
  plain.colour = false;  // a cell has one colour
  return {
      bar(plain, {{models, Colour::plain, '#'}, {others, Colour::plain, '+'}}, budget, kBarColumns),
      worst.count <= 0                  ? Colour::red
      : worst.count * 10 < budget.count ? Colour::yellow
                                        : Colour::green};
}

// Columns that are left for the names of models.
std::size_t room_for_models(Duration step, Duration since, const Terminal& terminal) {
  constexpr std::size_t kFigures = 2 * (9 + 2);
  const std::size_t time = since > kSameDay ? 11 : step < 1min ? 8 : 5;
  const std::size_t taken = time + 2 + kBarColumns + 2 + 2 + kFigures;
  return terminal.width > taken + kModelsColumnsMin ? terminal.width - taken : kModelsColumnsMin;
}

std::string pool_table(const std::string& name, const Json& points, Duration step, Duration since,
                       LocalTime local_time, const Terminal& terminal) {
  Table table(terminal);
  table.column("TIME");
  table.column("OF THE BUDGET");
  table.column("MODELS", Align::right);
  table.column("OTHERS", Align::right);
  table.column("LOADED");
  const std::size_t room = room_for_models(step, since, terminal);
  const std::int64_t step_ms = step.count() / 1000;
  Bytes budget;
  std::int64_t before_ms = 0;
  for (const Json& point : points) {
    const Json pool = pool_of(point, name);
    if (pool.empty())
      continue;
    const std::int64_t time_ms = number_field(point, "time_ms");
    if (before_ms != 0 && time_ms - before_ms >= 2 * step_ms) {
      const auto gap = std::chrono::milliseconds(time_ms - before_ms - step_ms);
      table.row({{"..", Colour::dim}, {"no data for " + span_text(gap), Colour::dim}});
    }
    before_ms = time_ms;
    budget = bytes_field(pool, "budget_bytes").value_or(Bytes{});
    table.row({{time_text(time_ms, step, since, local_time)},
               pool_bar(pool, terminal),
               {size_text(bytes_field(pool, "reserved_max_bytes").value_or(Bytes{}))},
               {size_text(bytes_field(pool, "foreign_max_bytes").value_or(Bytes{}))},
               {clipped(models_text(point), room)}});
  }
  const std::string blocks =
      terminal.unicode ? "\u2588 models, \u2592 others" : "# models, + others";
  return terminal.paint(Colour::bold, name) + ", budget " + size_text(budget) +
         ". Bars: " + blocks + ", means of " + span_text(step) + ". Figures: peaks.\n" +
         table.text();
}

}  // namespace

Duration readable_step(Duration since) {
  constexpr std::array<Duration, 14> kSteps = {10s,   30s, 1min, 2min, 5min, 10min, 15min,
                                               30min, 1h,  2h,   3h,   6h,   12h,   24h};
  for (const Duration step : kSteps) {
    if (since / step <= kRowsMax)
      return step;
  }
  // Whole days, as many as it takes.
  return 24h * (since / (24h * kRowsMax) + 1);
}

std::string history_view(const Json& history, Duration since, LocalTime local_time,
                         const Terminal& terminal) {
  const Json points = list_field(history, "data");
  const Duration step = duration_field(history, "step_ms").value_or(10s);
  const auto names = pool_names(points);
  if (names.empty())
    return "nothing was recorded in the last " + span_text(since) + "\n";
  std::string out;
  for (const std::string& name : names) {
    out += (out.empty() ? "" : "\n") + pool_table(name, points, step, since, local_time, terminal);
  }
  return out;
}

}  // namespace tonnage
