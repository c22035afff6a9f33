#include "metrics/metrics.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <set>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace tonnage {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;

// A wait is nothing for a ready model, and up to the queue's time-out for one that must be loaded.
const Histogram::BucketBoundaries kWaitBuckets = {0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1,
                                                  2.5,   5,    10,   30,  60,   300, 600};
// From a cached embedding to a long generation on a CPU.
const Histogram::BucketBoundaries kDurationBuckets = {0.01, 0.05, 0.1, 0.25, 0.5, 1,   2.5,
                                                      5,    10,   30,  60,   120, 300, 600};
// From 100 MB out of the page cache to 100 GB from a slow disk.
const Histogram::BucketBoundaries kLoadBuckets = {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 300};

constexpr std::array<std::string_view, 6> kStatusClasses = {"1xx", "2xx", "3xx",
                                                            "4xx", "5xx", "none"};
// A caller that passes request text by mistake must not grow the registry without end.
constexpr std::size_t kWordsMax = 64;

double seconds(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}
double as_double(Bytes bytes) {
  return static_cast<double>(bytes.count);
}

std::size_t status_class(int status) {
  return status >= 100 && status < 600 ? static_cast<std::size_t>(status / 100 - 1) : 5;
}

Family<Counter>& counters(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
Family<Gauge>& gauges(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}
Family<Histogram>& histograms(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

struct PoolCells {
  Gauge* capacity;
  Gauge* budget;
  Gauge* reserved;
  Gauge* measured;
  Gauge* foreign;
  Gauge* headroom;
  Gauge* used;
  Gauge* orphaned;
  Gauge* releasing;
  Gauge* level;
  Gauge* lost;
  Gauge* sample_age;
};

struct ModelPoolCells {
  Gauge* predicted;
  Gauge* reserved;
  Gauge* measured;
};

struct ModelCells {
  std::array<Counter*, kStatusClasses.size()> requests;
  Histogram* wait;
  Histogram* total;
  Counter* bytes_up;
  Counter* bytes_down;
  Counter* replays;
  std::array<Counter*, 3> tokens;
  Histogram* first_token;
  std::array<Counter*, 3> aborted;
  Histogram* loads;
  std::vector<Gauge*> states;
  Gauge* leases;
  Gauge* waiting;
  Gauge* weights;
  std::vector<ModelPoolCells> pools;
  Gauge* pinned;
  Gauge* degraded;
  Gauge* device_failures;
  Gauge* cpu_only;
  Counter* leaks;
  Counter* leaked_bytes;
  TokenTotals token_totals{};
};

// Counters whose last label comes from a small set of words, made when a word is first seen.
class WordCounters {
 public:
  WordCounters(Family<Counter>& family, std::string label)
      : family_(&family), label_(std::move(label)) {}

  void increment(const Labels& fixed, std::string_view word) {
    auto known = words_.find(word);
    if (known == words_.end()) {
      known = words_.emplace(words_.size() < kWordsMax ? word : std::string_view("other")).first;
    }
    Labels labels = fixed;
    labels.emplace(label_, *known);
    family_->Add(labels).Increment();
  }

 private:
  Family<Counter>* family_;
  std::string label_;
  std::set<std::string, std::less<>> words_;
};

// Series that carry the name of a model that may not be seen.
void leave_out(std::vector<prometheus::MetricFamily>& families, const Metrics::MaySee& may_see) {
  for (prometheus::MetricFamily& family : families) {
    std::erase_if(family.metric, [&](const prometheus::ClientMetric& metric) {
      return std::ranges::any_of(metric.label, [&](const prometheus::ClientMetric::Label& label) {
        return label.name == "model" && !label.value.empty() && !may_see(label.value);
      });
    });
  }
}

}  // namespace

struct Metrics::Cells {
  explicit Cells(const MetricsSetup& setup);

  Registry registry;
  std::vector<std::string> model_names;
  std::vector<std::string> pool_names;
  std::vector<PoolCells> pools;
  std::vector<ModelCells> models;
  std::vector<std::string> states;
  std::array<Counter*, kStatusClasses.size()> requests_without_model{};
  Gauge* connections;
  Counter* violations;
  WordCounters refusals;
  WordCounters evictions;
  WordCounters failures;
  WordCounters recoveries;
  WordCounters level_changes;

  void add_models(std::span<const std::string> names);

 private:
  void add_pools(const MetricsSetup& setup);
};

Metrics::Cells::Cells(const MetricsSetup& setup)
    : pool_names(setup.pools),
      states(setup.states),
      refusals(counters(registry, "tonnage_refusals_total",
                        "Requests answered with an error by Tonnage itself, by reason."),
               "reason"),
      evictions(counters(registry, "tonnage_evictions_total",
                         "Models stopped to make room or for another reason."),
                "reason"),
      failures(counters(registry, "tonnage_failures_total",
                        "Failed loads, dry runs and servers, by kind."),
               "kind"),
      recoveries(counters(registry, "tonnage_recoveries_total",
                          "Steps taken after an out-of-memory failure."),
                 "step"),
      level_changes(counters(registry, "tonnage_pressure_level_changes_total",
                             "Changes of a pool's pressure level, by the new one."),
                    "level") {
  gauges(registry, "tonnage_build_info", "Always 1; the version is in the label.")
      .Add({{"version", setup.version}})
      .Set(1);
  connections = &gauges(registry, "tonnage_connections", "Open client connections.").Add({});
  violations = &counters(registry, "tonnage_invariant_violations_total",
                         "Broken invariants of the scheduler's own books; always 0.")
                    .Add({});
  add_pools(setup);
  add_models(setup.models);
}

void Metrics::Cells::add_pools(const MetricsSetup& setup) {
  auto& capacity = gauges(registry, "tonnage_pool_capacity_bytes", "Physical size of the pool.");
  auto& budget = gauges(registry, "tonnage_pool_budget_bytes", "What tonnage may use of the pool.");
  auto& reserved =
      gauges(registry, "tonnage_pool_reserved_bytes", "Charged to the ledger for model servers.");
  auto& measured = gauges(registry, "tonnage_pool_measured_bytes",
                          "Seen in use by model servers, mapped weights at full size.");
  auto& foreign =
      gauges(registry, "tonnage_pool_foreign_bytes", "Seen in use by anything that is not ours.");
  auto& headroom = gauges(registry, "tonnage_pool_headroom_bytes",
                          "Free for loads; negative when foreign use has grown into it.");
  auto& used = gauges(registry, "tonnage_pool_used_bytes",
                      "Seen in use by anything, without what can be reclaimed.");
  auto& orphaned = gauges(registry, "tonnage_pool_orphaned_bytes",
                          "Device memory that no process holds; NaN where nobody can tell.");
  auto& releasing =
      gauges(registry, "tonnage_pool_releasing_bytes", "Of servers that ended, not seen free yet.");
  auto& level = gauges(registry, "tonnage_pool_pressure_level",
                       "0 below every pressure level, 1 at the least severe one, and up.");
  auto& lost = gauges(registry, "tonnage_pool_lost", "1 while the pool's device cannot be seen.");
  auto& age = gauges(registry, "tonnage_pool_sample_age_seconds",
                     "Age of the last measurement; NaN before the first.");
  for (const std::string& pool : setup.pools) {
    const Labels labels{{"pool", pool}};
    pools.push_back({&capacity.Add(labels), &budget.Add(labels), &reserved.Add(labels),
                     &measured.Add(labels), &foreign.Add(labels), &headroom.Add(labels),
                     &used.Add(labels), &orphaned.Add(labels), &releasing.Add(labels),
                     &level.Add(labels), &lost.Add(labels), &age.Add(labels)});
  }
}

// A family that is asked for again is the same one.
void Metrics::Cells::add_models(std::span<const std::string> names) {
  auto& requests =
      counters(registry, "tonnage_requests_total", "Finished requests by model and status class.");
  auto& wait = histograms(registry, "tonnage_request_wait_seconds",
                          "From a request's arrival to its admission to a server.");
  auto& total = histograms(registry, "tonnage_request_duration_seconds",
                           "From a request's arrival to the last byte of its answer.");
  auto& relayed = counters(registry, "tonnage_relayed_bytes_total",
                           "Body bytes passed on; direction up is to the server.");
  auto& replays =
      counters(registry, "tonnage_replays_total", "Lost requests that were sent again.");
  auto& loads = histograms(registry, "tonnage_load_seconds",
                           "From the start of a server to its readiness; the count is the loads.");
  auto& state = gauges(registry, "tonnage_model_state", "1 for the state that the model is in.");
  auto& leases = gauges(registry, "tonnage_model_leases", "Requests at the model's server.");
  auto& waiting = gauges(registry, "tonnage_model_waiting", "Requests that wait for the model.");
  auto& weights = gauges(registry, "tonnage_model_weights_bytes",
                         "Mapped from its file, charged once per file.");
  auto& predicted = gauges(registry, "tonnage_model_predicted_bytes",
                           "Footprint in the pool, in the host with mapped weights.");
  auto& reserved = gauges(registry, "tonnage_model_reserved_bytes",
                          "Charged to the ledger for its server, without mapped weights.");
  auto& measured =
      gauges(registry, "tonnage_model_measured_bytes",
             "Seen in use by its server, without mapped weights; NaN when not running.");
  auto& device_failures = gauges(registry, "tonnage_model_device_failures",
                                 "Out-of-memory failures of the device, within the window.");
  auto& cpu_only = gauges(registry, "tonnage_model_cpu_only", "1 while it is kept off the GPU.");
  auto& leaks = counters(registry, "tonnage_leaks_total",
                         "Ended servers whose device memory did not come back in time.");
  auto& leaked = counters(registry, "tonnage_leaked_bytes_total",
                          "Device memory of ended servers that did not come back in time.");
  const auto by_pool = [&](const std::string& model) {
    std::vector<ModelPoolCells> cells;
    for (const std::string& pool : pool_names) {
      const Labels labels{{"model", model}, {"pool", pool}};
      cells.push_back({&predicted.Add(labels), &reserved.Add(labels), &measured.Add(labels)});
    }
    return cells;
  };
  auto& pinned = gauges(registry, "tonnage_model_pinned", "1 while an operator holds the model.");
  auto& degraded = gauges(registry, "tonnage_model_degraded", "1 while a lesser placement runs.");
  const auto by_class = [&](const std::string& model) {
    std::array<Counter*, kStatusClasses.size()> cells{};
    for (std::size_t i = 0; i < cells.size(); ++i) {
      cells[i] = &requests.Add({{"model", model}, {"status", std::string(kStatusClasses[i])}});
    }
    return cells;
  };
  auto& tokens = counters(registry, "tonnage_tokens_total",
                          "Tokens of answered requests: of prompts, the part of these that was "
                          "kept from an earlier request, and generated.");
  const auto by_kind = [&](const std::string& model) {
    const auto of = [&](const char* kind) {
      return &tokens.Add({{"model", model}, {"kind", kind}});
    };
    return std::array<Counter*, 3>{of("prompt"), of("kept"), of("generated")};
  };
  auto& first_token = histograms(registry, "tonnage_time_to_first_token_seconds",
                                 "Of streams: from a request's arrival to the first byte of its "
                                 "answer from the server.");
  auto& aborted = counters(registry, "tonnage_aborted_answers_total",
                           "Answers that had begun and did not come to their end, by who ended "
                           "them.");
  const auto by_end = [&](const std::string& model) {
    const auto of = [&](const char* who) { return &aborted.Add({{"model", model}, {"by", who}}); };
    return std::array<Counter*, 3>{of("client"), of("server"), of("timeout")};
  };
  for (const std::string& model : names) {
    model_names.push_back(model);
    const Labels labels{{"model", model}};
    ModelCells cells{by_class(model),
                     &wait.Add(labels, kWaitBuckets),
                     &total.Add(labels, kDurationBuckets),
                     &relayed.Add({{"model", model}, {"direction", "up"}}),
                     &relayed.Add({{"model", model}, {"direction", "down"}}),
                     &replays.Add(labels),
                     by_kind(model),
                     &first_token.Add(labels, kWaitBuckets),
                     by_end(model),
                     &loads.Add(labels, kLoadBuckets),
                     {},
                     &leases.Add(labels),
                     &waiting.Add(labels),
                     &weights.Add(labels),
                     by_pool(model),
                     &pinned.Add(labels),
                     &degraded.Add(labels),
                     &device_failures.Add(labels),
                     &cpu_only.Add(labels),
                     &leaks.Add(labels),
                     &leaked.Add(labels)};
    for (const std::string& name : states) {
      cells.states.push_back(&state.Add({{"model", model}, {"state", name}}));
    }
    models.push_back(std::move(cells));
  }
  requests_without_model = by_class("");
}

Metrics::Metrics(const MetricsSetup& setup) : cells_(std::make_unique<Cells>(setup)) {}
Metrics::~Metrics() = default;

void Metrics::add_models(std::span<const std::string> names) {
  cells_->add_models(names);
}

void Metrics::request(const RequestMetrics& request) {
  const std::size_t status = status_class(request.status);
  if (!request.model) {
    cells_->requests_without_model[status]->Increment();
    return;
  }
  ModelCells& model = cells_->models.at(*request.model);
  model.requests[status]->Increment();
  model.wait->Observe(seconds(request.wait));
  model.total->Observe(seconds(request.total));
  model.bytes_up->Increment(static_cast<double>(request.bytes_up));
  model.bytes_down->Increment(static_cast<double>(request.bytes_down));
  const std::array<std::uint64_t, 3> counts{request.tokens.prompt, request.tokens.kept,
                                            request.tokens.generated};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0)
      model.tokens[i]->Increment(static_cast<double>(counts[i]));
  }
  TokenTotals& totals = model.token_totals;
  totals.tokens.prompt += request.tokens.prompt;
  totals.tokens.kept += request.tokens.kept;
  totals.tokens.generated += request.tokens.generated;
  totals.prompts += request.tokens.prompt > 0 ? 1 : 0;
  if (request.first_token)
    model.first_token->Observe(seconds(*request.first_token));
  if (request.aborted)
    model.aborted[static_cast<std::size_t>(*request.aborted)]->Increment();
}

void Metrics::replay(std::uint32_t model) {
  cells_->models.at(model).replays->Increment();
}

const TokenTotals& Metrics::tokens(std::uint32_t model) const {
  return cells_->models.at(model).token_totals;
}

void Metrics::load(std::uint32_t model, Duration took) {
  cells_->models.at(model).loads->Observe(seconds(took));
}

void Metrics::refusal(std::string_view reason) {
  cells_->refusals.increment({}, reason);
}

void Metrics::eviction(std::uint32_t model, std::string_view reason) {
  cells_->evictions.increment({{"model", cells_->model_names.at(model)}}, reason);
}

void Metrics::failure(std::uint32_t model, std::string_view kind) {
  cells_->failures.increment({{"model", cells_->model_names.at(model)}}, kind);
}

void Metrics::recovery(std::uint32_t model, std::string_view step) {
  cells_->recoveries.increment({{"model", cells_->model_names.at(model)}}, step);
}

void Metrics::leak(std::uint32_t model, Bytes amount) {
  const ModelCells& cells = cells_->models.at(model);
  cells.leaks->Increment();
  cells.leaked_bytes->Increment(as_double(amount));
}

void Metrics::level_change(std::uint32_t pool, std::string_view level) {
  cells_->level_changes.increment({{"pool", cells_->pool_names.at(pool)}},
                                  level.empty() ? std::string_view("none") : level);
}

void Metrics::violation() {
  cells_->violations->Increment();
}

void Metrics::connections(std::uint64_t open) {
  cells_->connections->Set(static_cast<double>(open));
}
std::string Metrics::scrape(std::span<const PoolGauges> pools, std::span<const ModelGauges> models,
                            const MaySee& may_see) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  for (const PoolGauges& row : pools) {
    const PoolCells& pool = cells_->pools.at(row.pool);
    pool.capacity->Set(as_double(row.capacity));
    pool.budget->Set(as_double(row.budget));
    pool.reserved->Set(as_double(row.reserved));
    pool.measured->Set(as_double(row.measured));
    pool.foreign->Set(as_double(row.foreign));
    pool.headroom->Set(as_double(row.headroom));
    pool.used->Set(as_double(row.used));
    pool.orphaned->Set(row.orphaned ? as_double(*row.orphaned) : kNone);
    pool.releasing->Set(as_double(row.releasing));
    pool.level->Set(row.level);
    pool.lost->Set(row.lost ? 1 : 0);
    pool.sample_age->Set(row.sample_age ? seconds(*row.sample_age) : kNone);
  }
  for (const ModelGauges& row : models) {
    const ModelCells& model = cells_->models.at(row.model);
    for (std::size_t i = 0; i < model.states.size(); ++i) {
      model.states[i]->Set(i == row.state ? 1 : 0);
    }
    model.leases->Set(row.leases);
    model.waiting->Set(row.waiting);
    model.weights->Set(as_double(row.weights));
    for (std::size_t i = 0; i < model.pools.size(); ++i) {
      const ModelPoolGauges in = i < row.pools.size() ? row.pools[i] : ModelPoolGauges{};
      model.pools[i].predicted->Set(as_double(in.predicted));
      model.pools[i].reserved->Set(as_double(in.reserved));
      model.pools[i].measured->Set(in.measured ? as_double(*in.measured) : kNone);
    }
    model.device_failures->Set(row.device_failures);
    model.cpu_only->Set(row.cpu_only ? 1 : 0);
    model.pinned->Set(row.pinned ? 1 : 0);
    model.degraded->Set(row.degraded ? 1 : 0);
  }
  std::vector<prometheus::MetricFamily> families = cells_->registry.Collect();
  if (may_see)
    leave_out(families, may_see);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tonnage
