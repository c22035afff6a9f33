#include "engine/failure_class.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/text.h"
#include "process/log_ring.h"

namespace tonnage {
namespace {

using enum FailureMeaning;

// A start that fails says why in its last 20 lines; an older line tells of something it survived.
constexpr std::size_t kLinesMax = 60;
constexpr std::size_t kBodyBytesMax = 64 * 1024;
constexpr std::size_t kMessageBytesMax = 500;

struct Match {
  const FailureRow* row;
  std::string_view line;  // as it was said
  std::string word;       // in place of the pattern's `*`
};

// The word that stands for the `*`; empty text where the pattern has none; nothing: no match.
std::optional<std::string_view> find_pattern(std::string_view low, std::string_view pattern) {
  if (const auto gap = pattern.find(".."); gap != std::string_view::npos) {
    const auto at = low.find(pattern.substr(0, gap));
    const bool both = at != std::string_view::npos &&
                      low.find(pattern.substr(gap + 2), at + gap) != std::string_view::npos;
    return both ? std::optional(std::string_view()) : std::nullopt;
  }
  const auto star = pattern.find('*');
  if (star == std::string_view::npos)
    return low.contains(pattern) ? std::optional(std::string_view()) : std::nullopt;
  const std::string_view before = pattern.substr(0, star);
  const std::string_view after = pattern.substr(star + 1);
  for (auto at = low.find(before); at != std::string_view::npos; at = low.find(before, at + 1)) {
    const std::string_view rest = low.substr(at + before.size());
    const std::string_view word = rest.substr(0, rest.find(' '));
    if (!word.empty() && rest.substr(word.size()).starts_with(after))
      return word;
  }
  return std::nullopt;
}

struct Line {
  std::string_view said;
  std::string low;
};

bool matches(std::string_view low, FailureMeaning meaning, std::span<const FailureRow> rows) {
  return std::ranges::any_of(rows, [&](const FailureRow& row) {
    return row.meaning == meaning && find_pattern(low, row.pattern);
  });
}

// An aborting llama-server has a debugger print its stack, long after its own last words.
bool is_of_debugger(std::string_view low) {
  return low.starts_with("[new lwp") || low.starts_with("[inferior") ||
         low.starts_with("[thread debugging") ||
         (low.size() > 1 && low[0] == '#' && low[1] >= '0' && low[1] <= '9');
}

// Oldest first.
std::vector<Line> lines_that_count(std::span<const std::string_view> lines,
                                   std::span<const FailureRow> rows) {
  std::vector<Line> kept;
  for (auto line = lines.rbegin(); line != lines.rend() && kept.size() < kLinesMax; ++line) {
    std::string low = to_lower(*line);
    if (low.find_first_not_of(' ') == std::string::npos || is_of_debugger(low))
      continue;
    if (matches(low, overcome, rows))
      break;
    if (!matches(low, harmless, rows))
      kept.push_back({*line, std::move(low)});
  }
  std::ranges::reverse(kept);
  return kept;
}

bool is_of_answers(FailureMeaning meaning) {
  return meaning >= compute_error;
}

std::optional<Match> match_lines(const std::vector<Line>& lines, std::span<const FailureRow> rows,
                                 bool answers) {
  for (const FailureRow& row : rows) {
    if (row.meaning <= overcome || (is_of_answers(row.meaning) && !answers))
      continue;
    for (const Line& line : lines) {
      if (const auto word = find_pattern(line.low, row.pattern))
        return Match{&row, line.said, std::string(*word)};
    }
  }
  return std::nullopt;
}

// Names of ggml's buffer types: "CPU", "CPU_REPACK", "CUDA_Host", "BLAS", "AMX", "output".
bool is_host_buffer(std::string_view name) {
  constexpr auto kHost = std::to_array<std::string_view>({"blas", "amx", "hbm", "output", "host"});
  return name.starts_with("cpu") || name.ends_with("_host") || name.ends_with("_host_buffer") ||
         std::ranges::find(kHost, name) != kHost.end();
}

FailureKind kind_of(const Match& match) {
  switch (match.row->meaning) {
    case device_memory:
      return FailureKind::out_of_device_memory;
    case host_memory:
    case compute_error:
      return FailureKind::out_of_memory;
    case buffer:
      return is_host_buffer(match.word) ? FailureKind::out_of_memory
                                        : FailureKind::out_of_device_memory;
    case gpu_fault:
      return FailureKind::crashed;
    case bad_setup:
      return FailureKind::bad_setup;
    case bad_model:
      return FailureKind::bad_model;
    case exited:
    case harmless:
    case overcome:
    case loading:
    case busy:
    case client_error:
    case server_gone:
      return FailureKind::exited;
  }
  return FailureKind::exited;
}

// llama.cpp begins its lines with the time since its start and a level: "0.00.077.961 E ".
std::string_view without_stamp(std::string_view line) {
  const auto time = std::min(line.find_first_not_of("0123456789."), line.size());
  const bool stamped = std::ranges::count(line.substr(0, time), '.') == 3 &&
                       line.size() > time + 3 && line[time] == ' ' && line[time + 1] >= 'A' &&
                       line[time + 1] <= 'Z' && line[time + 2] == ' ';
  return stamped ? line.substr(time + 3) : line;
}

std::string_view last_words(std::span<const std::string_view> lines) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->find_first_not_of(' ') != std::string_view::npos)
      return without_stamp(*line);
  }
  return {};
}

// llama-server, on its second SIGTERM or SIGINT.
constexpr std::string_view kSecondInterrupt = "received second interrupt, terminating immediately";

bool is_among_newest(std::span<const std::string_view> lines, std::string_view words) {
  constexpr std::size_t kNewest = 8;
  return std::ranges::any_of(lines.last(std::min(lines.size(), kNewest)),
                             [&](std::string_view line) { return to_lower(line).contains(words); });
}

std::string with_words(std::string text, std::string_view words) {
  if (!words.empty())
    text += ": " + std::string(words);
  return text;
}

void add_in_brackets(std::string& text, std::string_view words) {
  if (!words.empty())
    text += " (" + std::string(words) + ")";
}

Failure failure_of(const Match& match, std::string text, const FailureDetail& detail) {
  Failure failure{.kind = kind_of(match),
                  .text = with_words(std::move(text), without_stamp(match.line))};
  add_in_brackets(failure.text, match.row->remedy);
  if (is_for_memory(failure.kind) && detail.needed)
    add_in_brackets(failure.text, to_text(detail));
  return failure;
}

// A program's own faults raise other signals, and a server ends in order only when asked to.
bool was_sent_from_outside(int signal) {
  constexpr auto kSent =
      std::to_array({SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM});
  return std::ranges::find(kSent, signal) != kSent.end();
}

// The text of the JSON string behind `"key":`, unescaped as far as people need it.
std::string string_of(std::string_view body, std::string_view key) {
  auto at = body.find(key);
  if (at == std::string_view::npos)
    return {};
  at = body.find_first_not_of(" \t\r\n", at + key.size());
  if (at == std::string_view::npos || body[at] != '"')
    return {};
  std::string out;
  for (++at; at < body.size() && body[at] != '"' && out.size() < kMessageBytesMax; ++at) {
    if (body[at] == '\\' && at + 1 < body.size()) {
      ++at;
      out += body[at] == 'n' || body[at] == 't' || body[at] == 'r' ? ' ' : body[at];
    } else {
      out += body[at];
    }
  }
  return out;
}

AnswerVerdict verdict_of(const Match& match) {
  switch (match.row->meaning) {
    case loading:
      return AnswerVerdict::loading;
    case busy:
      return AnswerVerdict::busy;
    case client_error:
      return AnswerVerdict::client_error;
    case server_gone:
      return AnswerVerdict::server_gone;
    default:
      return is_for_memory(kind_of(match)) ? AnswerVerdict::memory : AnswerVerdict::server_error;
  }
}

}  // namespace

Failure classify_exit(ExitStatus status, bool killed_by_kernel,
                      std::span<const std::string_view> last_lines,
                      std::span<const FailureRow> rows) {
  if (signal_of(status) == SIGKILL) {
    // Its last words were written before anything was wrong: a kill gives no time for more.
    if (killed_by_kernel) {
      return {.kind = FailureKind::out_of_memory,
              .text = "killed by the kernel: out of host memory"};
    }
    // A wrapper's status: its own cgroup may have run out of memory, which nobody here can see.
    const FailureKind kind = status.signal != 0 ? FailureKind::killed : FailureKind::crashed;
    return {.kind = kind, .text = to_text(status)};
  }
  if (was_sent_from_outside(signal_of(status)))
    return {.kind = FailureKind::killed, .text = to_text(status)};
  if (status.signal == 0 && !status.clean() && is_among_newest(last_lines, kSecondInterrupt))
    return {.kind = FailureKind::killed,
            .text = with_words(to_text(status), last_words(last_lines))};
  if (!status.clean()) {
    const auto lines = lines_that_count(last_lines, rows);
    if (const auto match = match_lines(lines, rows, false)) {
      std::vector<std::string_view> said;
      for (const Line& line : lines)
        said.push_back(line.said);
      return failure_of(*match, to_text(status), read_failure_detail(said));
    }
  }
  if (signal_of(status) == SIGILL) {
    return {.kind = FailureKind::bad_setup,
            .text = to_text(status) + " (the engine was built for another processor)"};
  }
  return {.kind = signal_of(status) != 0 ? FailureKind::crashed : FailureKind::exited,
          .text = with_words(to_text(status), last_words(last_lines))};
}

bool was_asked_to_end(std::span<const std::string_view> last_lines) {
  return is_among_newest(last_lines, "cleaning up before exit") ||
         is_among_newest(last_lines, kSecondInterrupt);
}

AnswerClass classify_answer(int status, std::string_view body,
                            std::span<const std::string_view> last_lines,
                            std::span<const FailureRow> rows) {
  constexpr int kFirstError = 400, kTooManyRequests = 429, kServerErrors = 500, kUnavailable = 503;
  if (status < kFirstError)
    return {};
  body = body.substr(0, kBodyBytesMax);
  AnswerClass found{.verdict = AnswerVerdict::server_error, .failure = {}, .detail = {}};
  if (status < kServerErrors) {
    // Such a body may quote the request, whose words mean nothing here.
    found.verdict = status == kTooManyRequests ? AnswerVerdict::busy : AnswerVerdict::client_error;
    found.detail = read_failure_detail(body);
    found.detail.needed.reset();
    return found;
  }
  const std::string said = "HTTP " + std::to_string(status);
  const std::string message = message_of(body);
  auto match = match_lines(std::vector{Line{message, to_lower(body)}}, rows, true);
  const auto lines = lines_that_count(last_lines, rows);
  if (match && match->row->meaning == compute_error) {
    // The server survived it, and its log says which of its reasons it was.
    if (std::ranges::any_of(lines,
                            [](const Line& l) { return l.low.contains("compute status: -3"); }))
      match.reset();
    else if (auto cause = match_lines(lines, rows, false); cause && is_for_memory(kind_of(*cause)))
      match = cause;
  }
  found.detail = read_failure_detail(match && match->line != message ? match->line : body);
  if (!match) {
    found.failure = Failure{FailureKind::exited, with_words(said, message)};
    if (status == kUnavailable)
      found.verdict = AnswerVerdict::busy;
    return found;
  }
  found.verdict = verdict_of(*match);
  found.failure = failure_of(*match, said, found.detail);
  if (found.verdict < AnswerVerdict::memory)
    found.failure.reset();
  return found;
}

std::string message_of(std::string_view body) {
  body = body.substr(0, kBodyBytesMax);
  std::string text;
  for (const std::string_view key : {"\"message\":", "\"error\":", "\"detail\":"}) {
    text = string_of(body, key);
    if (!text.empty())
      break;
  }
  if (text.empty())
    text = body.substr(0, kMessageBytesMax);
  std::ranges::replace(text, '\n', ' ');
  return clean_text(text);
}

std::string_view to_text(AnswerVerdict verdict) {
  switch (verdict) {
    case AnswerVerdict::fine:
      return "fine";
    case AnswerVerdict::client_error:
      return "client_error";
    case AnswerVerdict::loading:
      return "loading";
    case AnswerVerdict::busy:
      return "busy";
    case AnswerVerdict::memory:
      return "memory";
    case AnswerVerdict::server_gone:
      return "server_gone";
    case AnswerVerdict::server_error:
      return "server_error";
  }
  return "server_error";
}

}  // namespace tonnage
