#include "config/load.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

std::string source_of(const Config& config, std::string_view path) {
  const auto found = std::ranges::find(config.sources, path, &Setting::path);
  return found == config.sources.end() ? "not listed" : found->source;
}

TEST(Load, EveryDefaultIsThatOfTheCoreAndTheDocumentation) {
  const Config config = config_of(kOneModel);

  EXPECT_EQ(config.listen, (std::vector<Listen>{{"127.0.0.1", 8726}}));
  EXPECT_FALSE(config.insecure);
  EXPECT_TRUE(config.keys.empty());
  EXPECT_TRUE(config.allowed_hosts.empty());
  EXPECT_EQ(config.runtime_dir, "/tmp/tonnage-1000");
  EXPECT_EQ(config.state_dir, "/ada/.local/state/tonnage");
  EXPECT_EQ(config.journal,
            (JournalConfig{.enabled = true, .segment_max = 8_MiB, .total_max = 64_MiB}));
  EXPECT_EQ(config.history, (HistoryConfig{.enabled = true, .every = 10s, .keep = 24h * 30}));
  EXPECT_EQ(config.resume, Resume::none);
  EXPECT_EQ(config.llama_server, std::nullopt);
  EXPECT_EQ(config.spin_count, std::nullopt);
  EXPECT_EQ(config.log_level, LogLevel::info);
  EXPECT_EQ(config.log_format, LogFormat::automatic);
  EXPECT_EQ(config.access_log, AccessLog::off);

  const PoolPolicy host{.name = "host", .reserve = {.permille = 200, .size = 8_GiB}};
  EXPECT_EQ(config.policy.pools, std::vector{host});
  EXPECT_EQ(config.policy.queue, QueuePolicy{});
  EXPECT_EQ(config.policy.residency, ResidencyPolicy{});
  // A load without progress ends long before.
  EXPECT_EQ(config.policy.load, (LoadPolicy{.timeout = 120min, .profile_ahead = true}));
  EXPECT_EQ(config.load_still_max, 10min);
  EXPECT_EQ(config.progress_timeout, 90s);
  EXPECT_EQ(config.policy.margin, MarginPolicy{});

  Limits limits;
  limits.body_max = 64_MiB;
  limits.header_max = 64_KiB;
  limits.bodies_max_total = 256_MiB;
  limits.bodies_disk_max = 4_GiB;
  limits.connections_max = 8192;
  limits.connect_timeout = 5s;
  limits.header_timeout = 10s;
  limits.client_read_timeout = 30s;
  limits.client_idle_timeout = 75s;
  limits.client_write_timeout = 60s;
  limits.upstream_idle_timeout = 10min;
  limits.request_timeout = 1h;
  EXPECT_EQ(config.limits, limits);

  ModelConfig model;
  model.gguf = "/etc/tonnage/a.gguf";
  model.configured = {.gpu_layers = 0, .context = 4096, .slots = 2, .kv = KvType::f16};
  EXPECT_EQ(config.models, std::vector{model});
  EXPECT_EQ(config.policy.models, (std::vector{ModelPolicy{.id = "a", .in_flight_max = 2}}));
  EXPECT_TRUE(config.warnings.empty());
}

TEST(Load, EveryKeyReachesItsField) {
  const Config config = config_of(R"(
listen: "[::]:0"
insecure: true
allowed_hosts: [host.docker.internal]
runtime_dir: run
state_dir: state
resume: last
journal: { enabled: false, segment_max: 1MiB, total_max: 2MiB }
budgets: { host: { reserve: 10%, max: 80.5%, limit: 6GiB } }
queue: { max_waiting: 9, max_waiting_per_model: 8, queue_timeout: 7m, yield_after: 6s,
         degrade_after: 5s, max_replays: 4 }
residency: { grace: 1s, grace_on_demand: 2s, min_residency: 100ms, ttl: 3h, heavy_slot: true,
             single_model: yes, eviction: lru }
load: { stall_after: 4s, timeout: 5m, attempts: 3, retry_backoff_min: 6s, retry_backoff_max: 7s,
        profile_reservation: 8MiB, profile_ahead: false, stop_timeout: 9s, drain_timeout: 10s }
limits: { body_max: 1MiB, header_max: 2KiB, bodies_max_total: 3MiB, bodies_disk_max: 7MiB,
          connections_max: 4, connect_timeout: 5ms, header_timeout: 6ms, client_read_timeout: 7ms,
          client_idle_timeout: 8ms, client_write_timeout: 9ms, upstream_idle_timeout: 10ms,
          request_timeout: 11ms }
engine: { llama_server: ~/bin/llama-server, spin_count: 12 }
log: { level: debug, format: json, access: line }
)" + std::string(kOneModel));
  EXPECT_EQ(config.listen, (std::vector<Listen>{{"::", 0}}));
  EXPECT_TRUE(config.insecure);
  EXPECT_EQ(config.allowed_hosts, std::vector<std::string>{"host.docker.internal"});
  EXPECT_EQ(config.runtime_dir, "/etc/tonnage/run");
  EXPECT_EQ(config.state_dir, "/etc/tonnage/state");
  EXPECT_EQ(config.resume, Resume::last);
  EXPECT_EQ(config.journal, (JournalConfig{false, 1_MiB, 2_MiB}));
  EXPECT_EQ(config.policy.pools[0], (PoolPolicy{.name = "host",
                                                .reserve = {.permille = 100, .size = {}},
                                                .max_permille = 805,
                                                .limit = 6_GiB}));
  EXPECT_EQ(config.policy.queue, (QueuePolicy{.waiting_max = 9,
                                              .waiting_per_model_max = 8,
                                              .queue_timeout = 7min,
                                              .yield_after = 6s,
                                              .degrade_after = 5s,
                                              .replays_max = 4}));
  EXPECT_EQ(config.policy.residency, (ResidencyPolicy{.grace = 1s,
                                                      .grace_on_demand = 2s,
                                                      .min_residency_min = 100ms,
                                                      .min_residency_max = 100ms,
                                                      .heavy_slot = true,
                                                      .single_model = true,
                                                      .eviction = EvictionKind::lru}));
  EXPECT_EQ(config.policy.load, (LoadPolicy{.stall_after = 4s,
                                            .timeout = 60min,
                                            .retry_backoff_min = 6s,
                                            .retry_backoff_max = 7s,
                                            .attempts_max = 3,
                                            .profile_reservation = 8_MiB,
                                            .stop_timeout = 9s,
                                            .drain_timeout = 10s}));
  EXPECT_EQ(config.limits,
            (Limits{1_MiB, 2_KiB, 3_MiB, 7_MiB, 4, 5ms, 6ms, 7ms, 8ms, 9ms, 10ms, 11ms}));
  EXPECT_EQ(config.llama_server, "/ada/bin/llama-server");
  EXPECT_EQ(config.load_still_max, 5min);
  EXPECT_EQ(config.spin_count, 12);
  EXPECT_EQ(config.log_level, LogLevel::debug);
  EXPECT_EQ(config.log_format, LogFormat::json);
  EXPECT_EQ(config.access_log, AccessLog::line);
  EXPECT_EQ(config.policy.models[0].ttl, Duration(3h));
}

TEST(Load, EveryModelKeyReachesItsField) {
  const Config config = config_of(R"(
residency: { ttl: 3h }
models:
  org/Model:8b q4:
    gguf: ~/m.gguf
    type: embedding
    aliases: [m, "gpt-4o"]
    context: 8192
    slots: 4
    concurrency: 6
    kv_type: q8_0
    ladder: [ {slots: 2}, {slots: 1, context: 2048, kv_type: q4_0} ]
    pin: true
    preload: true
    heavy: true
    priority: high
    ttl: never
    request_timeout: 2m
    no_replay_paths: [/v1/audio/speech]
    cache_ram: 64MiB
    batch: 100
    ubatch: 50
    threads: 3
    pooling: mean
    args: [--flash-attn, on, -x, 5]
    env: { A: "1", B: x=y }
)");
  ModelConfig model;
  model.aliases = {"m", "gpt-4o"};
  model.gguf = "/ada/m.gguf";
  model.type = ModelType::embedding;
  model.configured = {.gpu_layers = 0, .context = 8192, .slots = 4, .kv = KvType::q8_0};
  model.context_given = true;
  model.concurrency_given = true;
  model.ladder = {{.context = {}, .slots = 2, .gpu_layers = {}, .kv = {}},
                  {.context = 2048, .slots = 1, .gpu_layers = {}, .kv = KvType::q4_0}};
  model.args = {"--flash-attn", "on", "-x", "5"};
  model.env = {{"A", "1"}, {"B", "x=y"}};
  model.pooling = "mean";
  model.cache_ram = 64_MiB;
  model.batch = 100;
  model.ubatch = 50;
  model.threads = 3;
  model.preload = true;
  model.no_replay_paths = {"/v1/audio/speech"};
  model.request_timeout = 2min;
  EXPECT_EQ(config.models, std::vector{model});
  EXPECT_EQ(config.policy.models, (std::vector{ModelPolicy{.id = "org/Model:8b q4",
                                                           .type = ModelType::embedding,
                                                           .priority = Priority::high,
                                                           .pinned = true,
                                                           .heavy = true,
                                                           .ttl = {},
                                                           .in_flight_max = 6}}));
}

TEST(Load, ClientKeysReachTheirFields) {
  ConfigInputs inputs = inputs_of(R"(
keys:
  - { name: laptop, key: 0123456789 }
  - { name: team, key_env: TEAM_KEY, scopes: [read, admin], models: [gpt, "b*"],
      priority: low, concurrency: 2 }
models: { a: { gguf: a, aliases: [gpt] } }
)");
  inputs.environment["TEAM_KEY"] = "abcdefghij";
  const Config config = config_of(inputs);
  const ApiKey laptop{.name = "laptop", .key = "0123456789", .scopes = {true, false, false}};
  const ApiKey team{.name = "team",
                    .key = "abcdefghij",
                    .scopes = {false, true, true},
                    .models = {"a", "b*"},
                    .priority = Priority::low,
                    .concurrency = 2};
  EXPECT_EQ(config.keys, (std::vector{laptop, team}));
}

TEST(Load, LaterSourcesWin) {
  ConfigInputs inputs = inputs_of(
      "queue: {yield_after: 2s, degrade_after: 2s}\n"
      "defaults: {context: 1000}\n"
      "models: {a: {gguf: a}, b: {gguf: b, context: 9000}}\n");
  EXPECT_EQ(config_of(inputs).policy.queue.yield_after, 2s);
  inputs.environment["TONNAGE_QUEUE_YIELD_AFTER"] = "3s";
  EXPECT_EQ(config_of(inputs).policy.queue.yield_after, 3s);
  inputs.environment["TONNAGE_DEFAULTS_CONTEXT"] = "2000";
  inputs.flags = {{"--yield-after", "queue.yield_after", "4s"}};
  Config config = config_of(inputs);
  EXPECT_EQ(config.policy.queue.yield_after, 4s);
  EXPECT_EQ(config.policy.queue.degrade_after, 2s);
  EXPECT_EQ(config.models[0].configured.context, 2000);
  EXPECT_FALSE(config.models[0].context_given);
  EXPECT_EQ(config.models[1].configured.context, 9000);
  EXPECT_EQ(source_of(config, "queue.yield_after"), "flag --yield-after");
  EXPECT_EQ(source_of(config, "queue.degrade_after"), "tonnage.yaml:1:41");
  EXPECT_EQ(source_of(config, "defaults.context"), "environment TONNAGE_DEFAULTS_CONTEXT");
  EXPECT_EQ(source_of(config, "queue.queue_timeout"), "default");

  inputs.flags = {{"--context", "defaults.context", "3000"}};
  inputs.environment["TONNAGE_MODELS_B_CONTEXT"] = "10000";
  config = config_of(inputs);
  EXPECT_EQ(config.models[0].configured.context, 3000);
  EXPECT_EQ(config.models[1].configured.context, 10000);
}

TEST(Load, TheSecretOfAKeyIsNeverListed) {
  const Config config =
      config_of("keys: [{name: laptop, key: hunter2hunter2}]\n" + std::string(kOneModel));
  for (const Setting& setting : config.sources) {
    EXPECT_EQ(setting.value.find("hunter2"), std::string::npos) << setting.path;
  }
}

TEST(Load, FoundModelsComeAfterThoseOfTheFile) {
  ConfigInputs inputs = inputs_of(kOneModel);
  inputs.found_models = {{"z", "/m/z.gguf"}, {"b", "/m/b.gguf"}};
  const Config config = config_of(inputs);
  ASSERT_EQ(config.policy.models.size(), 3U);
  EXPECT_EQ(config.policy.models[1].id, "z");
  EXPECT_EQ(config.models[2].gguf, "/m/b.gguf");
}

TEST(Load, TheRuntimeFolderFollowsXdg) {
  ConfigInputs inputs = inputs_of(kOneModel);
  inputs.environment["XDG_RUNTIME_DIR"] = "/run/user/1000";
  EXPECT_EQ(config_of(inputs).runtime_dir, "/run/user/1000/tonnage-1000");
  inputs.environment["TONNAGE_RUNTIME_DIR"] = "run";
  EXPECT_EQ(config_of(inputs).runtime_dir, "/here/run");
  EXPECT_EQ(control_socket("/run/tonnage"), "/run/tonnage/control.sock");
}

TEST(Load, TheStateFolderFollowsXdgAndNeedsNoHome) {
  ConfigInputs inputs = inputs_of(kOneModel);
  inputs.environment["XDG_STATE_HOME"] = "/var/state";
  EXPECT_EQ(config_of(inputs).state_dir, "/var/state/tonnage");
  inputs.environment["TONNAGE_STATE_DIR"] = "mine";
  EXPECT_EQ(config_of(inputs).state_dir, "/here/mine");
  EXPECT_EQ(default_state_dir({}, "/run/v"), "/run/v/state");
}

TEST(Load, AnAliasOfYamlSharesSettings) {
  const Config config = config_of(
      "models:\n"
      "  a: &base {gguf: a, slots: 7}\n"
      "  b: *base\n");
  EXPECT_EQ(config.models[1].configured.slots, 7);
}

TEST(Load, AStepOfALadderKeepsWhatItDoesNotSay) {
  const Placement top{.gpu_layers = 3, .context = 100, .slots = 4, .kv = KvType::q8_0};
  const LadderStep step{.context = {}, .slots = 1, .gpu_layers = {}, .kv = {}};
  EXPECT_EQ(apply(step, top),
            (Placement{.gpu_layers = 3, .context = 100, .slots = 1, .kv = KvType::q8_0}));
}

TEST(Load, LoopbackIsRecognised) {
  for (const char* host : {"127.0.0.1", "127.8.8.8", "::1", "localhost"}) {
    EXPECT_TRUE(is_loopback({host, 1})) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "192.168.1.2", "127.example.com", "::ffff:1.2.3.4"}) {
    EXPECT_FALSE(is_loopback({host, 1})) << host;
  }
}

TEST(Load, LayersOnGpusMayBeNamed) {
  const Config config = config_of(
      "models:\n"
      "  a: {gguf: a}\n"
      "  b: {gguf: b, gpu_layers: 0}\n"
      "  c: {gguf: c, gpu_layers: 20, ladder: [{gpu_layers: 12}, {gpu_layers: 4, context: "
      "1024}]}\n");
  EXPECT_EQ(config.models[0].gpu_layers, std::nullopt);
  EXPECT_EQ(config.models[1].gpu_layers, 0);
  EXPECT_EQ(config.models[2].configured.gpu_layers, 20);
  EXPECT_EQ(config.models[2].ladder[0].gpu_layers, 12);
  EXPECT_EQ(apply(config.models[2].ladder[1], config.models[2].configured).gpu_layers, 4);
  EXPECT_EQ(
      problems_of("models: {a: {gguf: a, gpu_layers: 4, ladder: [{gpu_layers: 8}]}}"),
      "tonnage.yaml:1:10: models.a.ladder: a step asks for more than the model itself; steps go "
      "down from context 4096 and 2 slots, with 4 layers\n");
}

}  // namespace
}  // namespace tonnage
