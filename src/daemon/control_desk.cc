#include "daemon/control_desk.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include <spdlog/spdlog.h>

#include "api/founding_shapes.h"
#include "api/kept_prompts.h"
#include "api/list_range.h"
#include "api/log_api.h"
#include "api/openapi.h"
#include "daemon/decision_line.h"
#include "daemon/error_answer.h"
#include "daemon/gauges.h"
#include "daemon/history_desk.h"
#include "daemon/logging.h"
#include "daemon/service_watch.h"
#include "metrics/process_metrics.h"

namespace tonnage {
namespace {

constexpr std::size_t kEventsDefault = 100;
constexpr std::size_t kEventsMax = 2048;
// Decisions by which a model leaves memory.
const std::vector<DecisionKind> kLeaving = {DecisionKind::evict, DecisionKind::unload};

std::uint64_t number_or(std::string_view text, std::uint64_t fallback) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? value
                                                                                   : fallback;
}

bool wants_stream(const net::Exchange& exchange, const api::Route& route) {
  if (!route.query_value("follow").empty())
    return route.query_value("follow") != "0";
  const auto accept = exchange.header("accept");
  return accept && accept->find("text/event-stream") != std::string_view::npos;
}

std::string_view word(api::Endpoint endpoint) {
  switch (endpoint) {
    case api::Endpoint::load:
      return "load";
    case api::Endpoint::unload:
      return "unload";
    case api::Endpoint::pin:
      return "pin";
    case api::Endpoint::unpin:
      return "unpin";
    case api::Endpoint::clear:
      return "clear";
    default:
      return "flush";
  }
}

}  // namespace

void respond_json(net::Exchange& exchange, int status, std::string body) {
  net::Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  exchange.respond(std::move(response));
}

ControlDesk::ControlDesk(const Config& config, GovernorLoop& loop, EngineRoom& engines,
                         MemoryWatch& memory, const Directory& directory, Metrics& metrics,
                         JournalKeeper& journal, Reloader& reloader, HistoryKeeper& history)
    : config_(config),
      loop_(loop),
      engines_(engines),
      memory_(memory),
      directory_(directory),
      metrics_(metrics),
      journal_(journal),
      reloader_(reloader),
      history_(history),
      started_(std::chrono::steady_clock::now()) {
  clock_.unix_us_at_zero = loop.unix_us_at_zero();
  reconfigured();
}

void ControlDesk::reconfigured() {
  faces_.clear();
  for (std::uint32_t i = 0; i < config_.models.size(); ++i) {
    const ModelConfig& model = config_.models[i];
    const std::string file = model.gguf.filename();
    faces_.push_back({model.aliases, std::string(engines_.engine_name(ModelId(i))),
                      engines_.known(ModelId(i)).created_s, file, api::quantization_of(file),
                      model.configured.context, std::nullopt, TokenTotals{},
                      std::vector<std::string>{}});
  }
}

// What a file says is known once it was read, on a worker; the rest is counted as answers come.
void ControlDesk::refresh_faces() {
  for (std::uint32_t i = 0; i < faces_.size(); ++i) {
    const ModelId id(i);
    api::ModelFace& face = faces_[i];
    const KnownModel known = engines_.known(id);
    face.trained_context = known.trained_context;
    face.tokens = metrics_.tokens(i);
    face.notes.clear();
    for (std::string note :
         {known.note, api::kept_note({.totals = face.tokens,
                                      .slots = config_.models[i].configured.slots,
                                      .checkpoints_off = known.checkpoints_off})}) {
      if (!note.empty())
        face.notes.push_back(std::move(note));
    }
  }
}

ControlDesk::~ControlDesk() = default;

void ControlDesk::take(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                       std::optional<ModelId> model, const api::Caller& caller) {
  using E = api::Endpoint;
  switch (route.endpoint) {
    case E::openai_models:
      return list_models(*exchange, caller);
    case E::openai_model:
    case E::memory_model:
      return one_model(*exchange, route, model, caller);
    case E::health:
      return health(*exchange, caller);
    case E::metrics:
      return metrics(*exchange, caller);
    case E::memory_status:
      return status(*exchange, caller);
    case E::memory_stats:
    case E::memory_health:
    case E::loaded_models:
    case E::eviction_history:
    case E::system_memory:
      return founding_shape(*exchange, route, caller);
    case E::openapi:
      return respond_json(*exchange, 200,
                          api::openapi_json(TONNAGE_VERSION, !config_.keys.empty()));
    case E::memory_models:
      refresh_faces();
      return respond_json(*exchange, 200,
                          api::memory_models_json(view_of(caller).of(loop_.snapshot()), context()));
    case E::memory_events:
      return decisions(exchange, route, false, caller);
    case E::memory_evictions:
      return decisions(exchange, route, true, caller);
    case E::load:
    case E::unload:
    case E::pin:
    case E::unpin:
    case E::clear:
    case E::flush:
      return command(exchange, route, model, caller);
    case E::logs:
      return logs(exchange, route, *model);
    case E::memory_request:
      return request_story(exchange, route, caller);
    case E::reload:
      return reload(exchange);
    case E::memory_history:
      return answer_history(exchange, route, caller, directory_, history_);
    case E::log:
    case E::set_log:
      return log_settings(*exchange, route);
    case E::preflight:
    case E::inference:
    case E::upstream:
      return;
  }
}

void ControlDesk::status(net::Exchange& exchange, const api::Caller& caller) {
  memory_.refresh();
  refresh_faces();
  api::DaemonFacts facts;
  facts.version = TONNAGE_VERSION;
  facts.listen = listen_;
  facts.pid = ::getpid();
  facts.uptime = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started_);
  facts.memory_source = memory_.source();
  if (const auto left = log_.query({.kinds = kLeaving, .limit = 1}); !left.empty())
    facts.last_unload = left.back()->decision.at;
  Snapshot snapshot = loop_.snapshot();
  std::ranges::move(memory_.problems(), std::back_inserter(snapshot.problems));
  const api::View view = view_of(caller);
  respond_json(exchange, 200, api::status_json(view.of(std::move(snapshot)), context(view), facts));
}

void ControlDesk::founding_shape(net::Exchange& exchange, const api::Route& route,
                                 const api::Caller& caller) {
  const api::View view = view_of(caller);
  const Snapshot snapshot = view.of(loop_.snapshot());
  switch (route.endpoint) {
    case api::Endpoint::memory_stats:
      return respond_json(exchange, 200, api::memory_stats_json(snapshot, context()));
    case api::Endpoint::memory_health:
      return respond_json(exchange, 200, api::memory_health_json(snapshot, context()));
    case api::Endpoint::loaded_models:
      return respond_json(exchange, 200, api::loaded_models_json(snapshot, context()));
    case api::Endpoint::system_memory:
      return respond_json(exchange, 200, api::system_memory_json(snapshot, context()));
    default:
      break;
  }
  api::DecisionFilter filter;
  filter.kinds = kLeaving;
  const auto range = api::read_range(route, kEventsDefault, kEventsMax);
  if (!range)
    return answer_error(exchange, range.error(), route.dialect);
  filter.limit = range->limit;
  respond_json(exchange, 200,
               api::eviction_history_json(seen(filter, view), snapshot, context(view)));
}

// The newest `filter.limit` of those that the caller may see.
std::vector<const api::LoggedDecision*> ControlDesk::seen(api::DecisionFilter filter,
                                                          const api::View& view) const {
  if (!view.limited())
    return log_.query(filter);
  const std::size_t limit = std::exchange(filter.limit, kEventsMax);
  std::vector<const api::LoggedDecision*> entries = log_.query(filter);
  std::erase_if(entries,
                [&view](const api::LoggedDecision* entry) { return !view.shows(entry->decision); });
  if (entries.size() > limit)
    entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(limit));
  return entries;
}

void ControlDesk::list_models(net::Exchange& exchange, const api::Caller& caller) {
  refresh_faces();
  std::vector<bool> visible;
  for (std::uint32_t i = 0; i < directory_.size(); ++i) {
    visible.push_back(!loop_.policy().models[i].removed &&
                      caller.may_use(directory_.id(ModelId(i))));
  }
  const api::View view = view_of(caller);
  respond_json(exchange, 200,
               api::openai_models_json(loop_.snapshot(), context(), visible, !view.limited()));
}

void ControlDesk::one_model(net::Exchange& exchange, const api::Route& route,
                            std::optional<ModelId> model, const api::Caller& caller) {
  refresh_faces();
  const Snapshot snapshot = view_of(caller).of(loop_.snapshot());
  if (!model)
    return respond_json(exchange, 200, api::openai_resident_json(snapshot, context()));
  const bool openai = route.endpoint == api::Endpoint::openai_model;
  respond_json(exchange, 200,
               openai ? api::openai_model_json(snapshot, *model, context())
                      : api::memory_model_json(snapshot, *model, context()));
}

void ControlDesk::decisions(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                            bool evictions, const api::Caller& caller) {
  const api::View view = view_of(caller);
  api::DecisionFilter filter;
  if (evictions) {
    filter.kinds = kLeaving;
  }
  if (const auto name = route.query_value("model"); !name.empty()) {
    filter.model = directory_.find(name);
    if (!filter.model || !view.sees(*filter.model)) {
      answer_error(*exchange, api::unknown_model(name, names_for(directory_, caller)),
                   route.dialect);
      return;
    }
  }
  const auto range = api::read_range(route, kEventsDefault, kEventsMax);
  if (!range)
    return answer_error(*exchange, range.error(), route.dialect);
  filter.after_seq = range->after;
  filter.limit = range->limit;
  if (!wants_stream(*exchange, route)) {
    return respond_json(*exchange, 200,
                        api::decisions_json(seen(filter, view), log_, context(view)));
  }
  if (const auto last = exchange->header("last-event-id")) {
    filter.after_seq = api::resume_after(*last, clock_);
    filter.limit = kEventsMax;  // all that was missed, as far as it is still there
  }
  exchange->begin_stream(200, "text/event-stream");
  if (exchange->method() == "HEAD")
    return exchange->end_stream();
  exchange->send(": tonnage events\n\n");  // so that a reader knows at once that it is connected
  for (const api::LoggedDecision* entry : seen(filter, view)) {
    exchange->send(api::decision_event(*entry, context(view)));
  }
  followers_.push_back({exchange, filter, caller});
  exchange->on_client_gone([this, raw = exchange.get()] {
    std::erase_if(followers_, [raw](const Follower& f) { return f.exchange.get() == raw; });
  });
}

CommandId ControlDesk::own_command() {
  return CommandId(next_command_++);
}

void ControlDesk::command(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                          std::optional<ModelId> model, const api::Caller& caller) {
  if (!model && view_of(caller).limited()) {
    api::ApiError error;
    error.status = 403;
    error.code = "missing_scope";
    error.message = "This unloads every model, and the key '" + caller.rule->name +
                    "' is limited to some. Unload those with DELETE /api/memory/models/{id}.";
    return answer_error(*exchange, error, route.dialect);
  }
  const CommandId id = own_command();
  commands_[id] = {exchange, route.endpoint, model, caller, loop_.snapshot()};
  exchange->on_client_gone([this, id] { commands_.erase(id); });
  switch (route.endpoint) {
    case api::Endpoint::load:
      return loop_.post(LoadModel{id, *model});
    case api::Endpoint::unload:
      return loop_.post(UnloadModel{id, *model});
    case api::Endpoint::pin:
      return loop_.post(PinModel{id, *model, true});
    case api::Endpoint::unpin:
      return loop_.post(PinModel{id, *model, false});
    case api::Endpoint::clear:
      return loop_.post(ClearModel{id, *model});
    default:
      return loop_.post(Flush{id});
  }
}

void ControlDesk::command_done(const CommandDone& action) {
  const auto found = commands_.find(action.command);
  if (found == commands_.end())
    return;
  const Command command = std::move(found->second);
  commands_.erase(found);
  command.exchange->on_client_gone({});
  memory_.refresh();
  api::CommandResult result{word(command.endpoint), command.model, action.ok, action.text};
  const api::View view = view_of(command.caller);
  const std::string text = view.without_others(action.text);
  result.text = text;
  respond_json(
      *command.exchange, action.ok ? 200 : 409,
      api::command_json(result, view.of(command.before), view.of(loop_.snapshot()), context(view)));
}

void ControlDesk::logs(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                       ModelId model) {
  if (const auto range = api::read_range(route, 1, 1); !range)
    return answer_error(*exchange, range.error(), route.dialect);
  LogRing& ring = engines_.supervisor().log(model);
  std::string text;
  for (const LogLine& line : ring.lines())
    text += line.text + "\n";
  if (!wants_stream(*exchange, route)) {
    net::Response response;
    response.content_type = "text/plain; charset=utf-8";
    response.body = std::move(text);
    return exchange->respond(std::move(response));
  }
  exchange->begin_stream(200, "text/plain; charset=utf-8");
  if (exchange->method() == "HEAD")
    return exchange->end_stream();
  exchange->send(text);
  const std::uint64_t follower = next_follower_++;
  log_followers_[follower] =
      ring.subscribe([exchange](const LogLine& line) { exchange->send(line.text + "\n"); });
  exchange->on_client_gone([this, follower] { log_followers_.erase(follower); });
}

void ControlDesk::request_story(const std::shared_ptr<net::Exchange>& exchange,
                                const api::Route& route, const api::Caller& caller) {
  const RequestId request(number_or(route.model, 0));
  const auto question = journal_.tell_request(
      request, loop_.policy(),
      [this, exchange, request, caller, name = route.model](std::vector<journal::StoryLine> lines) {
        exchange->on_client_gone({});
        const api::View view = view_of(caller);
        std::vector<api::StoryRow> rows;
        for (journal::StoryLine& line : lines)
          rows.push_back({line.at, std::move(line.text)});
        if (rows.empty() || !view.shows_story(rows))
          return answer_error(*exchange, api::unknown_request(name), api::Dialect::openai);
        for (api::StoryRow& row : rows)
          row.text = view.without_others(std::move(row.text));
        respond_json(*exchange, 200, api::story_json(request, rows, context()));
      });
  if (!question) {
    api::ApiError error;
    error.status = 503;
    error.code = "overloaded";
    error.message = "Limit of " + std::to_string(JournalKeeper::kAskedMax) +
                    " concurrent reads of request records reached; retry in a second.";
    return answer_error(*exchange, error, api::Dialect::openai);
  }
  exchange->on_client_gone([this, number = *question] { journal_.forget_story(number); });
}

void ControlDesk::reload(const std::shared_ptr<net::Exchange>& exchange) {
  reloader_.reload([exchange](const ReloadAnswer& answer) {
    if (exchange->client_is_gone())
      return;
    if (!answer) {
      api::ApiError error;
      error.status = 422;
      error.code = "bad_configuration";
      error.message = answer.error();
      return answer_error(*exchange, error, api::Dialect::openai);
    }
    respond_json(*exchange, 200, api::reload_json(*answer));
  });
}

void ControlDesk::log_settings(net::Exchange& exchange, const api::Route& route) {
  if (route.endpoint == api::Endpoint::set_log) {
    const auto level = api::read_log_level(exchange.body()->view());
    if (!level)
      return answer_error(exchange, level.error(), route.dialect);
    const auto place = std::ranges::find(api::kLogLevels, *level) - api::kLogLevels.begin();
    set_log_level(static_cast<LogLevel>(place));
    spdlog::info("the log's level is {} now", *level);
  }
  respond_json(exchange, 200, api::log_json(to_text(log_level()), to_text(log_format())));
}

void ControlDesk::metrics(net::Exchange& exchange, const api::Caller& caller) {
  const Snapshot snapshot = loop_.snapshot();
  std::vector<PoolGauges> pools;
  for (const PoolSnapshot& pool : snapshot.pools)
    pools.push_back(gauges_of(pool, loop_.policy().pressure));
  std::vector<ModelGauges> models;
  for (const ModelSnapshot& model : snapshot.models)
    models.push_back(gauges_of(model));
  if (connections_)
    metrics_.connections(connections_());
  net::Response response;
  response.content_type = std::string(Metrics::kContentType);
  const auto may_see = [&](const std::string& id) { return caller.may_use(id); };
  response.body = view_of(caller).limited() ? metrics_.scrape(pools, models, may_see)
                                            : metrics_.scrape(pools, models);
  response.body += process_metrics("/proc/self");
  exchange.respond(std::move(response));
}

// Needs no key, so it names models only to whoever may see them all.
void ControlDesk::health(net::Exchange& exchange, const api::Caller& caller) {
  Snapshot snapshot = view_of(caller).of(loop_.snapshot());
  if (!caller.scopes.covers(api::Scope::read))
    api::hide_problem_texts(snapshot.problems);
  const bool moves = scheduler_moves(loop_.now(), loop_.governor().next_deadline());
  api::HealthAnswer answer = api::health(snapshot, moves);
  respond_json(exchange, answer.status, std::move(answer.body));
}

void ControlDesk::count(const Decision& decision) {
  if (!decision.model)
    return;
  const std::uint32_t model = decision.model->value;
  switch (decision.kind) {
    case DecisionKind::ready:
      return metrics_.load(model, decision.waited);
    case DecisionKind::evict:
    case DecisionKind::unload:
      return metrics_.eviction(model, to_text(decision.reason));
    case DecisionKind::fail:
      return metrics_.failure(
          model, decision.failure ? to_text(*decision.failure) : to_text(decision.reason));
    case DecisionKind::recover:
      return metrics_.recovery(model, to_text(decision.reason));
    case DecisionKind::leak:
      return metrics_.leak(model, decision.need);
    default:
      return;
  }
}

void ControlDesk::keep(const Decision& decision) {
  count(decision);
  const api::LoggedDecision& entry = log_.append(decision);
  log_decision(entry, context());
  for (const Follower& follower : std::vector<Follower>(followers_)) {
    if (!api::DecisionLog::matches(follower.filter, entry))
      continue;
    const api::View view = view_of(follower.caller);
    if (view.shows(entry.decision))
      follower.exchange->send(api::decision_event(entry, context(view)));
  }
}

}  // namespace tonnage
