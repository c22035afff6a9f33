#include "probe/cgroup_events.h"

#include <utility>

#include "probe/proc_file.h"

namespace tonnage {
namespace {

using Count = std::optional<std::int64_t>;

Count since(Count before, Count now) {
  if (!now || !before)
    return now ? Count(0) : std::nullopt;
  return *now >= *before ? *now - *before : *now;
}

Count count_in(std::string_view text) {
  const Count count = parse_count(text);
  return count && *count >= 0 ? count : std::nullopt;
}

}  // namespace

Result<CgroupEvents> parse_memory_events(std::string_view text) {
  CgroupEvents events;
  std::string_view line;
  while (next_line(text, line)) {
    const std::string_view name = next_word(line);
    if (name == "high")
      events.high = count_in(line);
    else if (name == "max")
      events.max = count_in(line);
    else if (name == "oom")
      events.oom = count_in(line);
    else if (name == "oom_kill")
      events.oom_kills = count_in(line);
  }
  if (events == CgroupEvents{})
    return fail("not memory events", {}, "none of high, max, oom and oom_kill is counted");
  return events;
}

std::optional<std::int64_t> parse_oom_control(std::string_view text) {
  std::string_view line;
  while (next_line(text, line)) {
    if (next_word(line) == "oom_kill")
      return count_in(line);
  }
  return std::nullopt;
}

CgroupEvents events_since(const CgroupEvents& before, const CgroupEvents& now) {
  return {.high = since(before.high, now.high),
          .max = since(before.max, now.max),
          .oom = since(before.oom, now.oom),
          .oom_kills = since(before.oom_kills, now.oom_kills)};
}

CgroupEventsProbe::CgroupEventsProbe(std::string root) {
  auto found = find_cgroup(root);
  if (!found)
    problem_ = found.error().text();
  else if (!*found)
    problem_ = "this process is in no memory cgroup";
  else
    group_ = std::move(*found);
}

Result<CgroupEvents> CgroupEventsProbe::read() const {
  if (!group_)
    return fail("cannot count memory events", {}, problem_);
  const std::string& place = group_->levels.front();
  if (group_->version == CgroupVersion::v2) {
    const auto text = read_proc_file(place + "/memory.events");
    return text ? parse_memory_events(*text) : Result<CgroupEvents>(std::unexpected(text.error()));
  }
  const auto failures = read_proc_file(place + "/memory.failcnt");
  if (!failures)
    return std::unexpected(failures.error());
  const Count hits = count_in(*failures);
  if (!hits)
    return fail("cannot use", place + "/memory.failcnt", "it holds no number");
  const auto control = read_proc_file(place + "/memory.oom_control");
  return CgroupEvents{.max = hits, .oom_kills = control ? parse_oom_control(*control) : Count{}};
}

Result<CgroupEvents> CgroupEventsProbe::sample() {
  const auto now = read();
  if (!now)
    return now;
  const CgroupEvents before = last_.value_or(*now);
  last_ = *now;
  return events_since(before, *now);
}

}  // namespace tonnage
