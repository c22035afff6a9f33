// Config: everything a user may set, from file, environment and flags, validated and immutable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/tick.h"
#include "core/policy.h"
#include "core/types.h"

namespace tonnage {

// A lesser placement that the user allows. What is empty stays as in the configured placement.
struct LadderStep {
  std::optional<std::int32_t> context;
  std::optional<std::int32_t> slots;
  std::optional<std::int32_t> gpu_layers;
  std::optional<KvType> kv;

  friend bool operator==(const LadderStep&, const LadderStep&) = default;
};

// `step` applied to `base`.
Placement apply(const LadderStep& step, Placement base);

// What the daemon needs to run one model. Same index as Policy::models, which holds its rules.
struct ModelConfig {
  std::vector<std::string> aliases;
  std::filesystem::path gguf;  // absolute; whether it exists is seen when it is used
  // Instead of `gguf`: a server of the user's own, as its program and arguments. `${...}` stands
  // for what is known when it starts; see command_words.h.
  std::vector<std::string> command;
  std::string health = "/health";  // of such a server: 200 means ready
  // What such a server takes, in its owner's words; empty: nothing was said.
  std::optional<Bytes> declared_host;
  std::optional<Bytes> declared_gpu;
  // Files beside it, absolute: a draft that proposes tokens, a projector for images or sound, LoRA
  // adapters and control vectors.
  std::filesystem::path draft;
  std::filesystem::path mmproj;
  std::vector<std::string> lora;
  std::vector<std::string> control_vector;
  std::optional<ModelType>
      type;              // empty: found from the file (Policy::models[i].type says llm then)
  Placement configured;  // the best placement the user asks for
  // Layers on GPUs, neither more nor fewer; also in `configured`. Empty: as many as fit.
  std::optional<std::int32_t> gpu_layers;
  bool context_given = false;      // false: configured.context is that of `defaults`
  bool concurrency_given = false;  // false: in_flight_max is the configured slots
  std::vector<LadderStep> ladder;  // best to least; empty: nothing below `configured` is allowed
  std::vector<std::string> args;   // passed to the engine as they are, after tonnage's own
  std::vector<std::pair<std::string, std::string>> env;  // for the server, over the clean base
  std::string pooling;  // of embedding models: "mean", "cls", ...; empty: the file's
  Bytes cache_ram;      // the engine's prompt cache; part of the footprint
  std::optional<std::int32_t> checkpoints;   // of the state, per slot; empty: by the kind of model
  std::optional<std::int32_t> batch;         // empty: the engine adapter's choice for the type
  std::optional<std::int32_t> ubatch;        // the same
  std::optional<std::int32_t> threads;       // empty: the engine's own choice
  bool preload = false;                      // load at start, before anybody asks
  std::vector<std::string> no_replay_paths;  // requests to these are never sent twice
  std::optional<Duration> request_timeout;   // empty: Limits::request_timeout

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

struct Scopes {
  bool infer = true;   // the model doors
  bool read = false;   // state
  bool admin = false;  // controls, logs, pass-through

  friend bool operator==(const Scopes&, const Scopes&) = default;
};

struct ApiKey {
  std::string name;  // for logs and messages; the key itself is never shown
  std::string key;
  Scopes scopes;
  std::vector<std::string> models;          // ids, or "qwen*" for a prefix; empty: all models
  std::optional<Priority> priority;         // of its requests; empty: the model's
  std::optional<std::int32_t> concurrency;  // requests at once; empty: no limit of its own

  friend bool operator==(const ApiKey&, const ApiKey&) = default;
};

struct Listen {
  std::string host = "127.0.0.1";  // an address without brackets, or a name: all its addresses
  std::uint16_t port = 8726;       // 0: the kernel chooses, and the start-up lines say which

  friend bool operator==(const Listen&, const Listen&) = default;
};

// "127.0.0.1:8726", "[::1]:8726"; of several, with commas between them.
std::string to_text(const Listen& listen);
std::string to_text(const std::vector<Listen>& listen);
// True where only this machine can reach it: 127.0.0.0/8, ::1, localhost.
bool is_loopback(const Listen& listen);

// Bounds of the front door.
struct Limits {
  Bytes body_max;                    // of one request
  Bytes header_max;                  // of one request, start line included
  Bytes bodies_max_total;            // kept in memory for replay, over all requests
  Bytes bodies_disk_max;             // kept in files of state_dir beyond that, over all requests
  std::int32_t connections_max{};    // from clients
  Duration connect_timeout{};        // to a model server
  Duration header_timeout{};         // from the first byte of a request to the end of its head
  Duration client_read_timeout{};    // silence in the middle of a request body
  Duration client_idle_timeout{};    // silence between two requests of one connection
  Duration client_write_timeout{};   // a client that does not read its answer
  Duration upstream_idle_timeout{};  // silence of a model server in the middle of an answer
  Duration request_timeout{};        // from the lease to the last byte

  friend bool operator==(const Limits&, const Limits&) = default;
};

// The record of every event and action; see journal/recorder.h.
struct JournalConfig {
  bool enabled = true;  // on disk; the latest part in memory is always there
  Bytes segment_max;    // a file that grew to this is followed by the next one
  Bytes total_max;      // over all files; the oldest go first

  friend bool operator==(const JournalConfig&, const JournalConfig&) = default;
};

// Memory over time, in `state_dir`.
struct HistoryConfig {
  bool enabled = true;
  Duration every{};  // between two samples
  Duration keep{};   // after a day as means of five minutes

  friend bool operator==(const HistoryConfig&, const HistoryConfig&) = default;
};

// How the memory of devices is watched.
struct ProbeConfig {
  Duration interval{};                 // between two surveys while nothing happens
  Duration active_interval{};          // while a model works, loads or leaves
  std::filesystem::path devices_file;  // says what there is instead of the drivers; empty: none

  friend bool operator==(const ProbeConfig&, const ProbeConfig&) = default;
};

// A budget of one device; what is empty is as for every device.
struct DeviceBudget {
  std::string device;  // "gpu0", or the id of a survey: a UUID or PCI address
  std::optional<Reserve> reserve;
  std::optional<std::int64_t> max_permille;
  std::optional<Bytes> limit;
  std::optional<Bytes> deficit_tolerance;

  friend bool operator==(const DeviceBudget&, const DeviceBudget&) = default;
};

// A device that the daemon found at its start, and its pool.
struct DevicePool {
  std::string name;  // "gpu0"
  std::string id;    // of a survey
  Bytes capacity;    // what may be used of it: without the driver's share
  bool unified = false;
  Bytes context;  // taken there by each program that uses it, whatever it does

  friend bool operator==(const DevicePool&, const DevicePool&) = default;
};

// Which models a start brings back without being asked.
enum class Resume : std::uint8_t { none, last };

enum class LogLevel : std::uint8_t { debug, info, warn, error };
// `automatic` is text for a terminal and json for everything else.
enum class LogFormat : std::uint8_t { automatic, text, json };

// What is written of each request that was answered: nothing, a line for people, or an object.
enum class AccessLog : std::uint8_t { off, line, json };

std::string_view to_text(Resume resume);
std::string_view to_text(LogLevel level);
std::string_view to_text(LogFormat format);
std::string_view to_text(AccessLog form);

// One value in force and where it came from. Keys of clients are masked.
struct Setting {
  std::string path;   // "queue.yield_after"
  std::string value;  // as written
  std::string
      source;  // "default", "tonnage.yaml:12:16", "environment TONNAGE_LISTEN", "flag --listen"

  friend bool operator==(const Setting&, const Setting&) = default;
};

struct Config {
  // pools[0] is the host; apply_devices adds those of devices.
  Policy policy;
  std::vector<ModelConfig> models;  // same index as policy.models
  PoolPolicy gpu;                   // of every device; its name is "gpu"
  std::vector<DeviceBudget> device_budgets;
  std::vector<DevicePool> devices;  // set by apply_devices
  bool cpu = false;                 // devices are left alone
  bool park = true;                 // false: idle models are unloaded, never parked
  ProbeConfig probe;
  std::optional<Duration> report_interval;   // of the state of memory in the log; empty: none
  std::vector<Listen> listen{Listen{}};      // at least one
  std::vector<ApiKey> keys;                  // empty: no key is asked for
  std::vector<std::string> allowed_hosts;    // Host headers accepted beside the loopback names
  std::vector<std::string> allowed_origins;  // OriginPattern: pages accepted beside those of hosts
  bool insecure = false;                     // a non-loopback listen without keys is wanted
  std::filesystem::path runtime_dir;         // absolute
  std::filesystem::path state_dir;           // absolute; what outlives a run: journal, history
  JournalConfig journal;
  HistoryConfig history;
  Resume resume = Resume::none;
  std::optional<std::filesystem::path> llama_server;  // empty: found on PATH, else the cached build
  std::optional<std::int32_t> spin_count;  // GOMP_SPINCOUNT of model servers; empty: measured
  Duration load_still_max{};               // a load without progress is given up
  Duration progress_timeout{};             // a ready server without progress is replaced
  Limits limits;
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::automatic;
  AccessLog access_log = AccessLog::off;
  std::string file;  // the file that was read; empty: none
  std::vector<Setting> sources;
  std::vector<std::string> warnings;  // what works but is probably not meant
};

// The unix socket that the command line talks to; whoever may open it is an admin.
std::filesystem::path control_socket(const std::filesystem::path& runtime_dir);

}  // namespace tonnage
