// Metrics: what Prometheus scrapes; cheap to count, text only when asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/tick.h"
#include "metrics/token_counts.h"

namespace tonnage {

// A pool's gauges at a scrape. `pool` is an index into MetricsSetup::pools.
struct PoolGauges {
  std::uint32_t pool = 0;
  Bytes capacity;
  Bytes budget;
  Bytes reserved;
  Bytes measured;
  Bytes foreign;
  Bytes headroom;
  Bytes used;
  std::optional<Bytes> orphaned;
  Bytes releasing;
  std::uint32_t level = 0;  // 0 below every pressure level, then in the order of the policy
  bool lost = false;
  std::optional<Duration> sample_age;
};

// What a model needs, is charged with and holds in one pool.
struct ModelPoolGauges {
  Bytes predicted;
  Bytes reserved;
  std::optional<Bytes> measured;
};

// A model's gauges at a scrape. `model` and `state` are indexes into MetricsSetup.
struct ModelGauges {
  std::uint32_t model = 0;
  std::uint32_t state = 0;
  std::int32_t leases = 0;
  std::int32_t waiting = 0;
  Bytes weights;
  std::vector<ModelPoolGauges> pools;  // like MetricsSetup::pools; may be shorter
  bool pinned = false;
  bool degraded = false;
  std::int32_t device_failures = 0;
  bool cpu_only = false;
};

// The names behind the indexes. Models may be added later, nothing is ever taken away.
struct MetricsSetup {
  std::vector<std::string> pools;
  std::vector<std::string> models;
  std::vector<std::string> states;  // "absent", "loading", ...
  std::string version;
};

// Who ended an answer before its end.
enum class EndedBy : std::uint8_t { client, server, timeout };

// Everything about one finished request. Counting it costs under 100 ns.
struct RequestMetrics {
  std::optional<std::uint32_t> model;   // empty: it never got as far as a model
  int status = 200;                     // as sent to the client; 0 where it left before an answer
  Duration wait{};                      // from arrival to admission
  Duration total{};                     // from arrival to the last byte
  std::uint64_t bytes_up = 0;           // relayed to the server
  std::uint64_t bytes_down = 0;         // relayed to the client
  TokenCounts tokens;                   // as its answer says
  std::optional<Duration> first_token;  // of a stream: from arrival to the first byte of the answer
  std::optional<EndedBy> aborted;       // its answer had begun and did not come to its end
};

// Of all answers of a model.
struct TokenTotals {
  TokenCounts tokens;
  std::uint64_t prompts = 0;  // answers that said how many tokens their prompts had

  friend bool operator==(const TokenTotals&, const TokenTotals&) = default;
};

// For one thread: the daemon's loop. Indexes must be within the setup.
class Metrics {
 public:
  explicit Metrics(const MetricsSetup& setup);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Further models, with the indexes that follow.
  void add_models(std::span<const std::string> names);

  // Per request: no look-up by name.
  void request(const RequestMetrics& request);
  void replay(std::uint32_t model);
  const TokenTotals& tokens(std::uint32_t model) const;

  // Per load and per incident. `reason` and `kind` are the core's words (to_text): a bounded set.
  void load(std::uint32_t model, Duration took);
  void refusal(std::string_view reason);
  void eviction(std::uint32_t model, std::string_view reason);
  void failure(std::uint32_t model, std::string_view kind);
  void recovery(std::uint32_t model, std::string_view step);
  // Device memory of an ended server that did not come back.
  void leak(std::uint32_t model, Bytes amount);
  // `level` is a name of the policy; empty: below every level.
  void level_change(std::uint32_t pool, std::string_view level);

  // Something in the core's own books does not add up.
  void violation();

  // Before a scrape: client connections that are open now.
  void connections(std::uint64_t open);

  // Sets the gauges and returns Prometheus' text format, version 0.0.4.
  // With `may_see`, series of models for which it says no are left out.
  using MaySee = std::function<bool(const std::string& model)>;
  std::string scrape(std::span<const PoolGauges> pools, std::span<const ModelGauges> models,
                     const MaySee& may_see = {});

  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Cells;
  std::unique_ptr<Cells> cells_;
};

}  // namespace tonnage
