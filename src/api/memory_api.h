// The memory API's answers: snapshots, decisions and command results as JSON (docs/api.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/decision_log.h"
#include "core/snapshot.h"
#include "metrics/metrics.h"

namespace tonnage::api {

// What the core does not know of a model; index is ModelId, like Policy::models.
struct ModelFace {
  std::vector<std::string> aliases;
  std::string engine;                           // "llama"
  std::int64_t created_s = 0;                   // Unix time of the file, for OpenAI's `created`
  std::string file;                             // its name without the folder
  std::string quantization;                     // "Q4_K_M", as the file's name says; may be empty
  std::int32_t configured_context = 0;          // tokens per request that the user asks for
  std::optional<std::int32_t> trained_context;  // what the file says; empty until it was read
  TokenTotals tokens{};                         // of its answers since the start
  std::vector<std::string> notes{};             // what a user may want to change, in sentences
};

// From `from` on, another time of day belongs to Tick zero.
struct WallMove {
  Tick from;
  std::int64_t unix_us_at_zero = 0;
};

// Turns the core's ticks into the time of day: Unix microseconds at Tick zero. The two go apart
// when the machine was suspended, the process paused or the clock set.
struct WallClock {
  std::int64_t unix_us_at_zero = 0;  // at the start; names the run
  std::vector<WallMove> moves;       // in their order; the latest kMovesMax

  static constexpr std::size_t kMovesMax = 64;

  void moved(Tick from, std::int64_t unix_us);
  std::int64_t unix_ms(Tick tick) const;
};

// What the daemon adds to a status.
struct DaemonFacts {
  std::string version;
  std::string listen;  // "127.0.0.1:8726"
  std::int64_t pid = 0;
  Duration uptime{};
  std::string memory_source;  // HostSample::source
  std::optional<Tick> last_unload;
};

// Everything that the encoders need beside the snapshot itself. `faces` may be shorter than the
// models; views must outlive the call.
struct ApiContext {
  const Policy& policy;
  std::span<const ModelFace> faces;
  WallClock clock;
};

// Every function returns one complete JSON text, without a trailing newline; they never throw on
// text that is not UTF-8. Sizes are `_bytes`, durations `_ms`, times of day `time_ms` (Unix).
// Absent values are null, so that every object of a kind has the same fields.

std::string status_json(const Snapshot& snapshot, const ApiContext& context,
                        const DaemonFacts& daemon);
std::string memory_models_json(const Snapshot& snapshot, const ApiContext& context);
std::string memory_model_json(const Snapshot& snapshot, ModelId model, const ApiContext& context);

// OpenAI's list: every configured model and `resident`. `visible` empty: all; else one flag per
// model, for keys that are limited to some, which cannot ask for `resident` either.
std::string openai_models_json(const Snapshot& snapshot, const ApiContext& context,
                               const std::vector<bool>& visible = {}, bool resident = true);
std::string openai_model_json(const Snapshot& snapshot, ModelId model, const ApiContext& context);
std::string openai_resident_json(const Snapshot& snapshot, const ApiContext& context);

// The model that `resident` stands for now: in use first, then the most recently used ready LLM.
std::optional<ModelId> resident_model(const Snapshot& snapshot);

// /health: 200 {"status":"ok"}, or {"status":"degraded","problems":[...]}: 503 where the scheduler
// does not move, which a restart would mend, and 200 for what concerns one model, file or device
// only. `more` holds what only the daemon can see.
struct HealthAnswer {
  int status = 200;
  std::string body;
};
HealthAnswer health(const Snapshot& snapshot, bool scheduler_moves,
                    std::span<const HealthProblem> more = {});

std::string decision_json(const LoggedDecision& entry, const ApiContext& context);
// For a log line that has a time and the sentence already: the other fields, without those that do
// not apply.
std::string decision_fields_json(const LoggedDecision& entry, const ApiContext& context);
// {"object":"list","data":[...],"first_seq","last_seq"}
std::string decisions_json(std::span<const LoggedDecision* const> entries, const DecisionLog& log,
                           const ApiContext& context);
// One SSE event: id = RUN-SEQ, event = kind, data = decision_json. RUN differs between two runs of
// the daemon, because the numbers begin again with each.
std::string decision_event(const LoggedDecision& entry, const ApiContext& context);
// After which seq a reader goes on that saw `last_event_id` last: 0 where another run gave it out,
// or where it makes no sense. A bare number is a seq of this run.
std::uint64_t resume_after(std::string_view last_event_id, const WallClock& clock);

// What happened to a request, in sentences.
struct StoryRow {
  Tick at;
  std::string text;
};
// {"object":"list","request":N,"data":[{"time_ms","explain"}]}
std::string story_json(RequestId request, std::span<const StoryRow> rows,
                       const ApiContext& context);

// What a reload of the configuration did; ids of models, and keys.
struct ReloadResult {
  std::vector<std::string> changed;  // replaced once their requests end
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> later;  // keys that take effect with the next start
  std::vector<std::string> warnings;
};
std::string reload_json(const ReloadResult& result);

// The answer to load, unload, pin, unpin, clear and flush. `model` is empty for flush.
struct CommandResult {
  std::string_view command;  // "load"
  std::optional<ModelId> model;
  bool ok = true;
  std::string_view text;  // the core's own words
};
// before/after hold the pools and, where the command is about one, the model; moved lists every
// model whose state or tier differs. Status: 200, or 409 when not ok (daemon's choice).
std::string command_json(const CommandResult& result, const Snapshot& before, const Snapshot& after,
                         const ApiContext& context);

}  // namespace tonnage::api
