// The rows of the key table that are set once for the daemon, but for those about memory.
#include <array>

#include "config/key_store.h"

namespace tonnage {
namespace {

using T = KeyTarget;
using V = const Value&;

constexpr std::array<std::string_view, 2> kEvictions = {"lru", "value"};
constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 3> kFormats = {"auto", "text", "json"};
constexpr std::array<std::string_view, 3> kAccessLogs = {"off", "line", "json"};
constexpr std::array<std::string_view, 2> kResumes = {"none", "last"};

// A shorter longest residency lowers the shortest one with it.
// What a load may take at most, however much it does meanwhile: one that computes for ever ends
// too.
constexpr int kLoadTimeoutsMax = 12;

void store_load_timeout(KeyTarget& t, const Value& v) {
  set(t.config->load_still_max, v);
  t.config->policy.load.timeout = t.config->load_still_max * kLoadTimeoutsMax;
}

void store_min_residency(KeyTarget& t, const Value& v) {
  ResidencyPolicy& residency = t.config->policy.residency;
  set(residency.min_residency_max, v);
  residency.min_residency_min =
      std::min(ResidencyPolicy{}.min_residency_min, residency.min_residency_max);
}

const KeySpec kDoorRows[] = {
    row("listen", ValueType::listen, "127.0.0.1:8726",
        "Address and port of the HTTP door, or a list of them. A name such as `localhost` stands "
        "for all its addresses. Port 0 lets the kernel choose. An address that other machines can "
        "reach needs `keys` or `insecure`.",
        [](T& t, V v) { set(t.config->listen, v); }),
    row("insecure", ValueType::boolean, "false",
        "Allows a listen address that other machines can reach without any key.",
        [](T& t, V v) { set(t.config->insecure, v); }),
    row("allowed_hosts", ValueType::text_list, "[]",
        "Host names that clients may use beside localhost and addresses, such as "
        "`host.docker.internal`. Others are refused as a DNS rebinding attack.",
        [](T& t, V v) { set(t.config->allowed_hosts, v); }),
    row("allowed_origins", ValueType::text_list, "[]",
        "Web pages, extensions and webviews that may use this server beside pages of this machine "
        "and of `allowed_hosts`, by the Origin they send: `app://obsidian.md`, "
        "`chrome-extension://*`, `vscode-webview://*`, `tauri://localhost`, "
        "`https://*.example.org`, `http://box.lan:*`. `*` is every page, `null` pages without an "
        "origin, such as files.",
        [](T& t, V v) { set(t.config->allowed_origins, v); }),
    row("runtime_dir", ValueType::path, "",
        "Folder for sockets and the record of running servers, one daemon each. By default "
        "`$XDG_RUNTIME_DIR/tonnage-UID`, else `/tmp/tonnage-UID`.",
        [](T& t, V v) { set(t.config->runtime_dir, v); }),
    row("state_dir", ValueType::path, "",
        "Folder for what outlives a run: the journal, the history of memory, the list of models to "
        "resume. By default `$XDG_STATE_HOME/tonnage`, else `~/.local/state/tonnage`.",
        [](T& t, V v) { set(t.config->state_dir, v); }),
    row("resume", ValueType::choice, "none",
        "Models that a start loads without being asked: none, or those that were ready at the end "
        "of the last run, as far as they fit.",
        [](T& t, V v) { set(t.config->resume, v); })
        .one_of(kResumes),
    row("journal.enabled", ValueType::boolean, "true",
        "Records every event and action in `state_dir`, so that they can be asked about and "
        "replayed. The text of requests and answers is never in it.",
        [](T& t, V v) { set(t.config->journal.enabled, v); }),
    row("journal.segment_max", ValueType::bytes, "8MiB",
        "A journal file that grew to this size is followed by the next one.",
        [](T& t, V v) { set(t.config->journal.segment_max, v); })
        .within(64 * kKiB, kGiB),
    row("journal.total_max", ValueType::bytes, "64MiB",
        "Size of all journal files together; the oldest are deleted first.",
        [](T& t, V v) { set(t.config->journal.total_max, v); })
        .within(64 * kKiB, 1024 * kGiB),
    row("history.enabled", ValueType::boolean, "true",
        "Keeps memory over time in `state_dir`, for `tonnage history`.",
        [](T& t, V v) { set(t.config->history.enabled, v); }),
    row("history.every", ValueType::duration, "10s", "Time between two samples of the history.",
        [](T& t, V v) { set(t.config->history.every, v); })
        .within(kSecond, us(1h)),
    row("history.keep", ValueType::duration, "30d",
        "How long the history goes back. After a day its samples become means and peaks of five "
        "minutes; whatever this says, the file stays below 64 MiB.",
        [](T& t, V v) { set(t.config->history.keep, v); })
        .within(us(1h), 3650 * kDay),
};

const KeySpec kWorkRows[] = {
    row("queue.max_waiting", ValueType::integer, "512",
        "Requests that may wait, over all models. One more is answered with 503 at once.",
        [](T& t, V v) { set(t.config->policy.queue.waiting_max, v); })
        .within(0, 1'000'000),
    row("queue.max_waiting_per_model", ValueType::integer, "512",
        "Requests that may wait for one model.",
        [](T& t, V v) { set(t.config->policy.queue.waiting_per_model_max, v); })
        .within(0, 1'000'000),
    row("queue.queue_timeout", ValueType::duration, "10m",
        "A request that waited this long for its model is answered with 503 and Retry-After.",
        [](T& t, V v) { set(t.config->policy.queue.queue_timeout, v); })
        .within(kSecond, 7 * kDay),
    row("queue.yield_after", ValueType::duration, "30s",
        "A busy model takes no new requests once another model has waited this long for its "
        "memory.",
        [](T& t, V v) { set(t.config->policy.queue.yield_after, v); })
        .within(0, 7 * kDay),
    row("queue.degrade_after", ValueType::duration, "60s",
        "A lesser placement of the model's ladder is taken when the expected wait is longer than "
        "this.",
        [](T& t, V v) { set(t.config->policy.queue.degrade_after, v); })
        .within(0, 7 * kDay),
    row("queue.max_replays", ValueType::integer, "2",
        "How often a request is sent again when its server was lost before it answered.",
        [](T& t, V v) { set(t.config->policy.queue.replays_max, v); })
        .within(0, 10),
    row("residency.grace", ValueType::duration, "5s",
        "A model used this recently is safe from its ttl and from pressure.",
        [](T& t, V v) { set(t.config->policy.residency.grace, v); })
        .within(0, kDay),
    row("residency.grace_on_demand", ValueType::duration_or_never, "never",
        "Makes a model used this recently safe from demand of other models as well.",
        [](T& t, V v) { set(t.config->policy.residency.grace_on_demand, v); })
        .within(0, kDay),
    row("residency.min_residency", ValueType::duration, "10s",
        "Upper bound of the minimum residency: a loaded model with queued work stays for twice its "
        "load time, but no longer than this.",
        store_min_residency)
        .within(0, kDay)
        .or_as("queue.min_residency"),
    row("residency.ttl", ValueType::duration_or_never, "never",
        "Unloads a model that was idle for this long, for models without a `ttl` of their own.",
        [](T& t, V v) { set(t.model->policy.ttl, v); })
        .within(kSecond, 365 * kDay),
    row("residency.heavy_slot", ValueType::boolean, "false",
        "At most one model marked `heavy` is loaded at a time.",
        [](T& t, V v) { set(t.config->policy.residency.heavy_slot, v); }),
    row("residency.single_model", ValueType::boolean, "false",
        "At most one model is loaded at a time.",
        [](T& t, V v) { set(t.config->policy.residency.single_model, v); }),
    row("residency.eviction", ValueType::choice, "value",
        "Which idle models give way first: the least recently used, or those whose expected use "
        "and time to bring back are worth the least per byte.",
        [](T& t, V v) { set(t.config->policy.residency.eviction, v); })
        .one_of(kEvictions),
    row("residency.park", ValueType::boolean, "true",
        "Under pressure idle models may be parked in host memory. `false` unloads them instead, "
        "which is also what happens where an engine cannot be parked.",
        [](T& t, V v) { set(t.config->park, v); })
        .founded_as("ENABLE_CPU_OFFLOAD"),
    row("load.stall_after", ValueType::duration, "20s",
        "A load that takes longer is shown by /health, and loads of other models stop waiting for "
        "it.",
        [](T& t, V v) { set(t.config->policy.load.stall_after, v); })
        .within(kSecond, kDay),
    row("load.timeout", ValueType::duration, "10m",
        "A load that makes no progress for this long is stopped and counts as failed: its server "
        "reads nothing, takes no memory, computes nothing and prints nothing. Whatever it does, a "
        "load ends after twelve times as long.",
        store_load_timeout)
        .within(kSecond, kDay),
    row("load.attempts", ValueType::integer, "2",
        "Loads tried for the requests that wait before they are told that the model failed.",
        [](T& t, V v) { set(t.config->policy.load.attempts_max, v); })
        .within(1, 10),
    row("load.retry_backoff_min", ValueType::duration, "1s",
        "Rest of a model after its first failed load; doubled by each further failure.",
        [](T& t, V v) { set(t.config->policy.load.retry_backoff_min, v); })
        .within(0, kDay),
    row("load.retry_backoff_max", ValueType::duration, "5m",
        "Longest rest of a model after failed loads.",
        [](T& t, V v) { set(t.config->policy.load.retry_backoff_max, v); })
        .within(0, kDay),
    row("load.profile_ahead", ValueType::boolean, "true",
        "Find the footprints of models while nothing waits, instead of at their first request.",
        [](T& t, V v) { set(t.config->policy.load.profile_ahead, v); }),
    row("load.profile_reservation", ValueType::bytes, "64MiB",
        "Host memory set aside while a model's footprint is found by a dry run.",
        [](T& t, V v) { set(t.config->policy.load.profile_reservation, v); })
        .within(0, 64 * kGiB),
    row("load.stop_timeout", ValueType::duration, "500ms",
        "A model server that was told to stop and still runs after this is killed.",
        [](T& t, V v) { set(t.config->policy.load.stop_timeout, v); })
        .within(us(10ms), us(10min)),
    row("load.drain_timeout", ValueType::duration, "30s",
        "How long running requests may go on when the daemon is told to end.",
        [](T& t, V v) { set(t.config->policy.load.drain_timeout, v); })
        .within(0, kDay),
    row("limits.body_max", ValueType::bytes, "64MiB", "Largest body of a request.",
        [](T& t, V v) { set(t.config->limits.body_max, v); })
        .within(kKiB, 16 * kGiB),
    row("limits.header_max", ValueType::bytes, "64KiB",
        "Largest header of a request, start line included.",
        [](T& t, V v) { set(t.config->limits.header_max, v); })
        .within(kKiB, 16 * kMiB),
    row("limits.bodies_max_total", ValueType::bytes, "256MiB",
        "Memory for request bodies, which are kept for replay; more go to unlinked files in "
        "`state_dir`.",
        [](T& t, V v) { set(t.config->limits.bodies_max_total, v); })
        .within(0, 1024 * kGiB),
    row("limits.bodies_disk_max", ValueType::bytes, "4GiB",
        "Disk space for request bodies beyond `limits.bodies_max_total`; requests beyond it are "
        "answered 503.",
        [](T& t, V v) { set(t.config->limits.bodies_disk_max, v); })
        .within(0, 1024 * kGiB),
    row("limits.connections_max", ValueType::integer, "8192", "Connections from clients at once.",
        [](T& t, V v) { set(t.config->limits.connections_max, v); })
        .within(1, 1'000'000),
    row("limits.connect_timeout", ValueType::duration, "5s",
        "Longest wait for a connection to a model server.",
        [](T& t, V v) { set(t.config->limits.connect_timeout, v); })
        .within(us(1ms), us(10min)),
    row("limits.header_timeout", ValueType::duration, "10s",
        "Longest time from the first byte of a request to the end of its header.",
        [](T& t, V v) { set(t.config->limits.header_timeout, v); })
        .within(us(1ms), kDay),
    row("limits.client_read_timeout", ValueType::duration, "30s",
        "Silence in the middle of a request body after which its connection is closed.",
        [](T& t, V v) { set(t.config->limits.client_read_timeout, v); })
        .within(us(1ms), kDay),
    row("limits.client_idle_timeout", ValueType::duration, "75s",
        "Silence between two requests of one connection after which it is closed.",
        [](T& t, V v) { set(t.config->limits.client_idle_timeout, v); })
        .within(us(1ms), kDay),
    row("limits.client_write_timeout", ValueType::duration, "60s",
        "A client that reads nothing of its answer for this long is disconnected.",
        [](T& t, V v) { set(t.config->limits.client_write_timeout, v); })
        .within(us(1ms), kDay),
    row("limits.upstream_idle_timeout", ValueType::duration, "10m",
        "Silence of a model server in the middle of an answer after which the request fails.",
        [](T& t, V v) { set(t.config->limits.upstream_idle_timeout, v); })
        .within(us(1ms), 7 * kDay),
    row("limits.request_timeout", ValueType::duration, "1h",
        "Longest time from the start of a request at its server to its last byte.",
        [](T& t, V v) { set(t.config->limits.request_timeout, v); })
        .within(us(1ms), 7 * kDay),
    row("engine.llama_server", ValueType::path, "",
        "The llama-server program. By default the one on PATH, else the build in the cache.",
        [](T& t, V v) { set(t.config->llama_server, v); }),
    row("engine.progress_timeout", ValueType::duration, "90s",
        "A model server whose computation stands still for this long is replaced, even where it "
        "answers health probes: it uses no processor time and tells of no progress in its slots.",
        [](T& t, V v) { set(t.config->progress_timeout, v); })
        .within(us(10s), kDay),
    row("engine.spin_count", ValueType::integer, "",
        "GOMP_SPINCOUNT of model servers: how long a thread spins before it sleeps. Too long, and "
        "two models that answer at once slow each other down; too short, and one alone is slow. By "
        "default it is measured once per machine; `tonnage doctor` shows the result.",
        [](T& t, V v) { set(t.config->spin_count, v); })
        .within(0, 1'000'000'000),
    row("log.level", ValueType::choice, "info",
        "The least severe line that is written. `tonnage log LEVEL` changes it while the daemon "
        "runs.",
        [](T& t, V v) { set(t.config->log_level, v); })
        .one_of(kLevels),
    row("log.format", ValueType::choice, "auto",
        "Lines for people (text) or one JSON object a line for programs (json). `auto` is text on "
        "a "
        "terminal, else json.",
        [](T& t, V v) { set(t.config->log_format, v); })
        .one_of(kFormats),
    row("log.access", ValueType::choice, "off",
        "Writes a line, or one JSON object a line, into the log for each request that was "
        "answered, whatever `log.level` is. Never the text of requests or answers, a query or the "
        "secret of a key.",
        [](T& t, V v) { set(t.config->access_log, v); })
        .one_of(kAccessLogs),
    row("keys", ValueType::api_keys, "",
        "Keys of clients. Once there is one, every request needs one; /health does not.", nullptr),
    row("defaults", ValueType::defaults, "", "Values for models that do not set them.", nullptr),
    row("models", ValueType::models, "", "The models, by id.", nullptr),
};

}  // namespace

std::span<const KeySpec> global_keys() {
  static const std::vector<KeySpec> rows = [] {
    std::vector<KeySpec> all;
    for (const std::span<const KeySpec> part :
         {std::span<const KeySpec>(kDoorRows), memory_keys(), std::span<const KeySpec>(kWorkRows)})
      all.insert(all.end(), part.begin(), part.end());
    return all;
  }();
  return rows;
}

}  // namespace tonnage
