#include "tonnage/views.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "tonnage/fields.h"

namespace tonnage {
namespace {

// Names may be 200 bytes; a table has room for this much.
constexpr std::size_t kNameColumns = 26;
constexpr std::size_t kBarColumns = 30;

Colour colour_of(std::string_view state) {
  if (state == "ready")
    return Colour::green;
  if (state == "failed")
    return Colour::red;
  if (state == "absent")
    return Colour::dim;
  return Colour::yellow;  // on its way from one to another
}

bool is_running(const Json& model) {
  const std::string state = text_field(model, "state");
  return state != "absent" && state != "failed";
}

std::string placement_text(const Json& model) {
  const Json placement = object_field(model, "placement");
  if (placement.empty())
    return "-";
  const std::string slots = std::to_string(number_field(placement, "slots"));
  if (number_field(placement, "context") == 0)
    return slots + " at once";
  std::string text = std::to_string(number_field(placement, "context")) + " x " + slots;
  const std::string kv = text_field(placement, "kv");
  if (!kv.empty() && kv != "f16")
    text += " " + kv;
  return text;
}

// With the weights, which the ledger counts once per file and therefore apart.
std::string memory_text(const Json& model, std::string_view field) {
  const auto amount = bytes_field(model, field);
  if (!amount || !is_running(model))
    return "-";
  return size_text(*amount + bytes_field(model, "weights_bytes").value_or(Bytes{}));
}

std::string state_text(const Json& model) {
  std::string text = text_field(model, "state");
  if (const auto loading = duration_field(model, "loading_for_ms")) {
    text += " " + span_text(*loading);
  }
  if (const auto retry = duration_field(model, "retry_in_ms")) {
    text += ", " + span_text(*retry) + " rest";
  }
  return text;
}

std::string marks_text(const Json& model) {
  std::string text = flag_field(model, "cpu_only") ? "off GPU" : "";
  for (const char* mark : {"degraded", "stalled", "pinned"}) {
    if (flag_field(model, mark))
      text += (text.empty() ? "" : ", ") + std::string(mark);
  }
  return text;
}

Colour marks_colour(const Json& model) {
  return flag_field(model, "degraded") || flag_field(model, "stalled") ? Colour::yellow
                                                                       : Colour::plain;
}

std::string idle_text(const Json& model) {
  if (number_field(model, "leases") > 0)
    return "in use";
  const auto idle = duration_field(model, "idle_for_ms");
  return idle ? span_text(*idle) : "-";
}

std::string count_text(const Json& model, std::string_view field) {
  return std::to_string(number_field(model, field));
}

// "high for 1m 30s", "normal".
Cell level_cell(const Json& pool) {
  const std::string level = text_field(pool, "level");
  if (level.empty())
    return {"normal", Colour::green};
  const bool worst = level == "critical" || level == "emergency";
  std::string text = level;
  if (const auto since = duration_field(pool, "level_for_ms"))
    text += " for " + span_text(*since);
  return {text, worst ? Colour::red : Colour::yellow};
}

std::string pool_view(const Json& pool, const Terminal& terminal, std::size_t name_columns) {
  const auto bytes = [&](const char* name) { return bytes_field(pool, name).value_or(Bytes{}); };
  const Bytes capacity = bytes("capacity_bytes"), used = bytes("used_bytes");
  const Bytes headroom = bytes("headroom_bytes");
  const Cell level = level_cell(pool);
  std::string name = text_field(pool, "pool");
  name.append(name_columns - std::min(name_columns, columns_of(name)), ' ');
  const std::string margin(name_columns + 2, ' ');
  if (flag_field(pool, "lost")) {
    return terminal.paint(Colour::bold, name) + "  " +
           terminal.paint(Colour::red, "lost: its device is no longer visible") + "\n";
  }
  const std::int64_t percent = capacity.count > 0 ? used.count * 100 / capacity.count : 0;
  const auto line = [&](const std::string& text) {
    return margin + folded(text, terminal.width, margin.size()) + "\n";
  };
  std::string out =
      terminal.paint(Colour::bold, name) + "  " +
      bar(terminal,
          {{bytes("ours_bytes"), level.colour, '#'}, {bytes("foreign_bytes"), Colour::dim, '+'}},
          capacity, kBarColumns) +
      "  " + std::to_string(percent) + " % of " + size_text(capacity) + ", " +
      terminal.paint(level.colour, level.text) + "\n";
  std::string use = "ours " + size_text(bytes("ours_bytes")) + ", others " +
                    size_text(bytes("foreign_bytes")) + ", free " +
                    size_text(std::max(Bytes{}, capacity - used));
  if (flag_field(pool, "unified"))
    use += "; GPU and host are one memory";
  if (bytes("releasing_bytes") > Bytes{})
    use += "; " + size_text(bytes("releasing_bytes")) + " not back yet";
  if (bytes("orphaned_bytes") > Bytes{})
    use += "; " + size_text(bytes("orphaned_bytes")) + " held by no process";
  out += line(use);
  return out + line("reserved " + size_text(bytes("reserved_bytes")) + " of " +
                    size_text(bytes("budget_bytes")) + ", room for " +
                    size_text(std::max(headroom, Bytes{})));
}

std::string pools_view(const Json& status, const Terminal& terminal) {
  std::size_t columns = 0;
  for (const Json& pool : list_field(status, "pools"))
    columns = std::max(columns, columns_of(text_field(pool, "pool")));
  std::string out;
  for (const Json& pool : list_field(status, "pools"))
    out += pool_view(pool, terminal, columns);
  return out;
}

std::string problems_view(const Json& status, const Terminal& terminal) {
  std::string out;
  for (const Json& problem : list_field(status, "problems")) {
    out += terminal.paint(Colour::red, "problem") + "  " +
           folded(text_field(problem, "text"), terminal.width, 9) + "\n";
  }
  for (const Json& model : list_field(status, "models")) {
    const std::string failure = text_field(model, "failure");
    if (text_field(model, "state") != "failed" || failure.empty())
      continue;
    out += terminal.paint(Colour::red, "failed") + "   " +
           folded(text_field(model, "id") + ": " + failure, terminal.width, 9) + "\n";
  }
  for (const Json& model : list_field(status, "models")) {
    for (const Json& note : list_field(model, "notes")) {
      const std::string text = note.is_string() ? note.get<std::string>() : std::string();
      out += terminal.paint(Colour::yellow, "note") + "     " +
             folded(text_field(model, "id") + ": " + text, terminal.width, 9) + "\n";
    }
  }
  return out;
}

// One line, or two where the terminal is too narrow for it.
std::string head_view(const Json& status, const Terminal& terminal) {
  const Json daemon = object_field(status, "daemon");
  const std::string name = "tonnage " + text_field(daemon, "version");
  std::string where = " on " + text_field(daemon, "listen");
  if (const auto uptime = duration_field(daemon, "uptime_ms"))
    where += ", up " + span_text(*uptime);
  where += ", ";
  const bool healthy = flag_field(status, "healthy");
  const std::string health = healthy ? "healthy" : "not healthy";
  const std::string ending = flag_field(status, "shutting_down") ? "ending" : "";
  const std::string requests = "requests: " + count_text(status, "leases") + " running, " +
                               count_text(status, "waiting") + " waiting\n";
  const std::string plain = name + where + health + (ending.empty() ? "" : ", " + ending);
  const bool fits = columns_of(plain + "; " + requests) - 1 <= terminal.width;
  std::string out = terminal.paint(Colour::bold, name) + where +
                    terminal.paint(healthy ? Colour::green : Colour::red, health);
  if (!ending.empty())
    out += ", " + terminal.paint(Colour::yellow, ending);
  return out + (fits ? "; " : "\n") + requests;
}

std::string last_use_text(const Json& model) {
  if (number_field(model, "leases") > 0)
    return "in use";
  const auto idle = duration_field(model, "idle_for_ms");
  return idle ? span_text(*idle) + " ago" : "-";
}

std::size_t widest_line(std::string_view text) {
  std::size_t widest = 0;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    widest = std::max(widest, columns_of(line));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return widest;
}

std::string ago_text(std::int64_t then_ms, std::int64_t now_ms) {
  const std::int64_t ms = std::max<std::int64_t>(0, now_ms - then_ms);
  return span_text(std::chrono::milliseconds(ms)) + " ago";
}

// What its server holds on devices, as far as somebody can tell, else what it is charged with.
std::optional<Bytes> device_bytes(const Json& model) {
  std::optional<Bytes> sum;
  for (const Json& share : list_field(model, "devices")) {
    const auto measured = bytes_field(share, "measured_bytes");
    sum = sum.value_or(Bytes{}) +
          measured.value_or(bytes_field(share, "reserved_bytes").value_or(Bytes{}));
  }
  return sum;
}

std::string device_text(const Json& model) {
  const auto amount = device_bytes(model);
  return amount && is_running(model) ? size_text(*amount) : "-";
}

std::string host_text(const Json& model) {
  return memory_text(model,
                     bytes_field(model, "measured_bytes") ? "measured_bytes" : "reserved_bytes");
}

bool has_devices(const Json& status) {
  return std::ranges::any_of(list_field(status, "models"), [](const Json& model) {
    return !list_field(model, "devices").empty();
  });
}

// The share of its prompts' tokens that was kept from earlier requests.
std::string kept_text(const Json& model) {
  const Json tokens = object_field(model, "tokens");
  const std::int64_t prompt = number_field(tokens, "prompt");
  return prompt > 0 ? std::to_string(number_field(tokens, "kept") * 100 / prompt) + " %" : "-";
}

bool has_prompts(const Json& status) {
  return std::ranges::any_of(list_field(status, "models"),
                             [](const Json& model) { return kept_text(model) != "-"; });
}

struct ModelColumns {
  std::size_t name = kNameColumns;
  bool placement = true;
  bool device = false;
  bool kept = false;
};

std::string models_view(const Json& status, const Terminal& terminal, const ModelColumns& columns) {
  Table table(terminal);
  table.column("MODEL");
  table.column("STATE");
  table.column("TIER");
  if (columns.placement)
    table.column("PLACEMENT");
  if (columns.device)
    table.column("GPU", Align::right);
  table.column("HOST", Align::right);
  if (columns.kept)
    table.column("KEPT", Align::right);
  table.column("LAST USE", Align::right);
  table.column("");
  for (const Json& model : list_field(status, "models")) {
    const std::string state = text_field(model, "state");
    const Colour dim = state == "absent" ? Colour::dim : Colour::plain;
    std::vector<Cell> cells{{clipped(text_field(model, "id"), columns.name)},
                            {state_text(model), colour_of(state)},
                            {text_field(model, "tier"), dim}};
    if (columns.placement)
      cells.push_back({placement_text(model), dim});
    if (columns.device)
      cells.push_back({device_text(model), dim});
    cells.push_back({host_text(model), dim});
    if (columns.kept)
      cells.push_back({kept_text(model), dim});
    cells.push_back({last_use_text(model), dim});
    cells.push_back({marks_text(model), marks_colour(model)});
    table.row(std::move(cells));
  }
  return table.text();
}

// The widest form that fits the terminal: without placements, then with shorter names.
std::string models_view(const Json& status, const Terminal& terminal) {
  constexpr std::size_t kNameColumnsMin = 12;
  ModelColumns columns;
  columns.device = has_devices(status);
  columns.kept = has_prompts(status);
  const Terminal plain{.colour = false, .unicode = terminal.unicode, .width = terminal.width};
  while (columns.name > kNameColumnsMin &&
         widest_line(models_view(status, plain, columns)) > terminal.width) {
    columns.name -= columns.placement ? 0 : 1;
    columns.placement = false;
  }
  return models_view(status, terminal, columns);
}

}  // namespace

std::string status_view(const Json& status, const Terminal& terminal) {
  std::string out = head_view(status, terminal) + "\n" + pools_view(status, terminal) + "\n" +
                    models_view(status, terminal);
  const std::string problems = problems_view(status, terminal);
  return problems.empty() ? out : out + "\n" + problems;
}

std::string ps_view(const Json& status, const Terminal& terminal) {
  const bool device = has_devices(status);
  Table table(terminal);
  table.column("MODEL");
  table.column("STATE");
  table.column("TIER");
  table.column("PLACEMENT");
  if (device) {
    table.column("LAYERS", Align::right);
    table.column("GPU", Align::right);
  }
  table.column("RESERVED", Align::right);
  table.column("MEASURED", Align::right);
  table.column("LEASES", Align::right);
  table.column("WAIT", Align::right);
  table.column("IDLE", Align::right);
  table.column("");
  bool any = false;
  for (const Json& model : list_field(status, "models")) {
    if (!is_running(model) && number_field(model, "waiting") == 0)
      continue;
    any = true;
    const std::string state = text_field(model, "state");
    std::vector<Cell> cells{{clipped(text_field(model, "id"), kNameColumns)},
                            {state_text(model), colour_of(state)},
                            {text_field(model, "tier")},
                            {placement_text(model)}};
    if (device) {
      const Json placement = object_field(model, "placement");
      cells.push_back({placement.empty() ? "-" : count_text(placement, "gpu_layers")});
      cells.push_back({device_text(model)});
    }
    cells.insert(cells.end(),
                 {{memory_text(model, "reserved_bytes")},
                  {memory_text(model, "measured_bytes")},
                  {count_text(model, "leases")},
                  {count_text(model, "waiting"),
                   number_field(model, "waiting") > 0 ? Colour::yellow : Colour::plain},
                  {idle_text(model)},
                  {marks_text(model), marks_colour(model)}});
    table.row(std::move(cells));
  }
  return any ? table.text() : "no model is loaded; the first request to one loads it\n";
}

std::string why_view(const std::string& model, const Json& events, std::int64_t now_ms,
                     const Terminal& terminal) {
  const Json decisions = list_field(events, "data");
  if (decisions.empty()) {
    return "nothing is recorded of " + model + "\n";
  }
  std::vector<std::pair<std::string, std::string>> lines;
  std::size_t widest = 0;
  for (const Json& decision : decisions) {
    lines.emplace_back(ago_text(number_field(decision, "time_ms"), now_ms),
                       text_field(decision, "explain"));
    widest = std::max(widest, columns_of(lines.back().first));
  }
  std::string out;
  for (const auto& [ago, sentence] : lines) {
    out += std::string(widest - columns_of(ago), ' ') + terminal.paint(Colour::dim, ago) + "  " +
           folded(sentence, terminal.width, widest + 2) + "\n";
  }
  return out;
}

std::string reload_view(const Json& result) {
  std::string out;
  const auto line = [&](const char* field, const char* words) {
    std::string ids;
    for (const Json& id : list_field(result, field))
      ids += (ids.empty() ? "" : ", ") + id.get<std::string>();
    if (!ids.empty())
      out += std::string(words) + " " + ids + "\n";
  };
  line("changed", "changed, replaced once their requests end:");
  line("added", "added:");
  line("removed", "removed:");
  line("after_restart", "takes effect with the next start:");
  line("warnings", "warning:");
  return out.empty() ? "reloaded; no model changed\n" : "reloaded\n" + out;
}

std::string event_line(const Json& decision, std::int64_t now_s, LocalTime local_time,
                       const Terminal& terminal) {
  const std::tm then = local_time(number_field(decision, "time_ms") / 1000);
  const std::tm now = local_time(now_s);
  const bool today = then.tm_yday == now.tm_yday && then.tm_year == now.tm_year;
  std::array<char, 40> text{};
  const std::size_t size =
      std::strftime(text.data(), text.size(), today ? "%H:%M:%S" : "%m-%d %H:%M:%S", &then);
  return terminal.paint(Colour::dim, std::string_view(text.data(), size)) + "  " +
         folded(text_field(decision, "explain"), terminal.width, size + 2) + "\n";
}

std::string command_view(const Json& result, const Terminal& terminal) {
  const bool ok = flag_field(result, "ok");
  const std::string model = text_field(result, "model");
  std::string text = text_field(result, "text");
  if (text.empty())
    text = ok ? "done" : "refused";
  std::string out = text_field(result, "command") + (model.empty() ? "" : " " + model) + ": " +
                    (ok ? text : terminal.paint(Colour::red, text)) + "\n";
  for (const Json& moved : list_field(result, "moved")) {
    out += "  " + text_field(moved, "model") + ": " + text_field(moved, "from_state") + " -> " +
           text_field(moved, "to_state");
    const Bytes weights = bytes_field(moved, "weights_bytes").value_or(Bytes{});
    const Bytes before = bytes_field(moved, "reserved_before_bytes").value_or(Bytes{});
    const Bytes after = bytes_field(moved, "reserved_after_bytes").value_or(Bytes{});
    if (after > before)
      out += ", reserves " + size_text(after + weights);
    if (after < before)
      out += ", gives back " + size_text(before + weights);
    out += "\n";
  }
  return out;
}

}  // namespace tonnage
