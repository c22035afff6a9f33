#include "daemon/door.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "api/model_fit.h"
#include "base/text.h"
#include "daemon/error_answer.h"

namespace tonnage {
namespace {

// Parsing a larger body would hold up everybody else by more than half a millisecond.
constexpr std::size_t kParseOnLoopMax = std::size_t{1} << 20;
// More than connections there can be.
constexpr std::size_t kBodiesWaitingMax = 1'000'000;

std::vector<api::KeyRule> key_rules(const Config& config, const Directory& directory) {
  std::vector<api::KeyRule> rules;
  for (const ApiKey& key : config.keys) {
    api::KeyRule rule;
    rule.name = key.name;
    rule.key = key.key;
    rule.scopes = {key.scopes.infer, key.scopes.read, key.scopes.admin};
    for (const std::string& name : key.models) {
      const auto model = directory.find(name);
      rule.models.push_back(model ? directory.id(*model) : name);
    }
    rule.priority = key.priority;
    rule.in_flight_max = key.concurrency;
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::string_view header_or_empty(const net::Exchange& exchange, std::string_view name) {
  return exchange.header(name).value_or(std::string_view{});
}

api::SiteFacts site_facts(const net::Exchange& exchange) {
  return {.host = exchange.host(),
          .origin = header_or_empty(exchange, "origin"),
          .sec_fetch_site = header_or_empty(exchange, "sec-fetch-site"),
          .sec_fetch_mode = header_or_empty(exchange, "sec-fetch-mode"),
          .sec_fetch_dest = header_or_empty(exchange, "sec-fetch-dest"),
          .sec_fetch_user = header_or_empty(exchange, "sec-fetch-user"),
          .content_type = header_or_empty(exchange, "content-type")};
}

api::SiteRules site_rules(const Config& config) {
  api::SiteRules rules;
  for (const Listen& listen : config.listen)
    rules.listen_hosts.push_back(to_text(Listen{listen.host, 0}));
  rules.allowed_hosts = config.allowed_hosts;
  for (const std::string& text : config.allowed_origins) {
    if (auto pattern = OriginPattern::parse(text))
      rules.allowed_origins.push_back(*std::move(pattern));
  }
  rules.keys = !config.keys.empty();
  return rules;
}

// A preflight asks for what would follow it.
api::Effect effect_of(const api::Route& route) {
  if (route.changes_state || route.endpoint == api::Endpoint::preflight)
    return api::Effect::change;
  return route.scope == api::Scope::open ? api::Effect::open : api::Effect::read;
}

// What the scripts of an allowed page may read of an answer's header.
constexpr std::string_view kExposedHeaders =
    "x-tonnage-request, x-tonnage-model, x-tonnage-wait-ms, x-tonnage-replays, retry-after, date, "
    "allow, www-authenticate";
constexpr std::size_t kStrangersMax = 32;
constexpr std::size_t kStrangerBytesMax = 120;

// What a log line can hold of what a client sent.
std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

}  // namespace

Door::Door(boost::asio::io_context& io, Workers& workers, const Config& config,
           const Directory& directory, RequestDesk& requests, LookDesk& looks, ControlDesk& control,
           Metrics& metrics)
    : io_(io),
      reader_(workers.lane("bodies", {.queue_max = kBodiesWaitingMax})),
      config_(config),
      directory_(directory),
      requests_(requests),
      looks_(looks),
      control_(control),
      metrics_(metrics),
      site_(site_rules(config)) {
  keys_.emplace_back(key_rules(config, directory));
}

void Door::reconfigured(bool keys_changed) {
  if (keys_changed)
    keys_.emplace_back(key_rules(config_, directory_));
  site_ = site_rules(config_);
}

std::expected<api::Route, api::NoRoute> Door::route_of(const net::Exchange& exchange) const {
  const std::string_view query = exchange.query();
  const auto is_model = [this](std::string_view name) { return directory_.find(name).has_value(); };
  if (query.empty())
    return api::route(exchange.method(), exchange.path(), is_model);
  std::string target(exchange.path());
  target += '?';
  target += query;
  return api::route(exchange.method(), target, is_model);
}

api::ApiResult<api::Caller> Door::caller_of(const net::Exchange& exchange) const {
  if (exchange.listener_tag() == kControlListener)
    return api::control_socket_caller();
  return keys_.back().identify(
      {header_or_empty(exchange, "authorization"), header_or_empty(exchange, "x-api-key")});
}

// What lets the script of an allowed page read the answer; nothing for anybody else.
std::vector<net::Header> Door::site_headers(const net::Exchange& exchange) const {
  if (exchange.listener_tag() == kControlListener)
    return {};
  // An answer to one page must not be taken from a cache for another, nor for none.
  const bool preflight = exchange.method() == "OPTIONS";
  std::vector<net::Header> headers;
  if (exchange.method() != "POST" || exchange.header("origin")) {
    headers.push_back({"Vary", preflight ? "Origin, Access-Control-Request-Method, "
                                           "Access-Control-Request-Headers, "
                                           "Access-Control-Request-Private-Network"
                                         : "Origin"});
  }
  const std::string_view origin = api::readable_by(site_, site_facts(exchange));
  if (origin.empty())
    return headers;
  headers.push_back({"Access-Control-Allow-Origin", std::string(origin)});
  if (!preflight)
    headers.push_back({"Access-Control-Expose-Headers", std::string(kExposedHeaders)});
  return headers;
}

// What an allowed page may do, without a key; the request that follows needs one.
void Door::answer_preflight(net::Exchange& exchange, bool for_page) {
  net::Response response;
  response.status = 204;
  response.headers = {{"Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, OPTIONS"}};
  std::string headers =
      api::allowed_headers(header_or_empty(exchange, "access-control-request-headers"));
  if (headers.empty())
    headers = "authorization, content-type, x-api-key";
  response.headers.push_back({"Access-Control-Allow-Headers", std::move(headers)});
  if (for_page &&
      to_lower(header_or_empty(exchange, "access-control-request-private-network")) == "true") {
    response.headers.push_back({"Access-Control-Allow-Private-Network", "true"});
  }
  response.headers.push_back({"Access-Control-Max-Age", "600"});
  exchange.respond(std::move(response));
}

// A browser shows its user no more than that something failed, so the log says what to set.
void Door::note_stranger(const net::Exchange& exchange) const {
  const std::string origin(header_or_empty(exchange, "origin").substr(0, kStrangerBytesMax));
  if (origin.empty() || strangers_.size() >= kStrangersMax || !strangers_.insert(origin).second)
    return;
  spdlog::info("a page from {} was refused; allowed_origins says which pages may use this server",
               printable(origin));
}

std::optional<net::Response> Door::check_head(const net::Exchange& exchange) const {
  auto refused = refusal_of_head(exchange);
  if (refused)
    std::ranges::move(site_headers(exchange), std::back_inserter(refused->headers));
  return refused;
}

net::Response Door::refused(const api::ApiError& error, const api::Route& route) const {
  count_refusal(error.code, error.status, &route);
  return error_response(error, route.dialect);
}

std::optional<net::Response> Door::refusal_of_head(const net::Exchange& exchange) const {
  const auto route = route_of(exchange);
  if (!route) {
    count_refusal(route.error().error.code, route.error().error.status, nullptr);
    std::vector<net::Header> headers;
    if (!route.error().allow.empty())
      headers.push_back({"Allow", route.error().allow});
    return error_response(route.error().error, route.error().dialect, std::move(headers));
  }
  if (exchange.listener_tag() != kControlListener) {
    if (const auto error = api::check_site(site_, site_facts(exchange), effect_of(*route))) {
      note_stranger(exchange);
      return refused(*error, *route);
    }
  }
  const auto caller = caller_of(exchange);
  if (!caller) {
    if (route->scope == api::Scope::open)
      return std::nullopt;
    return refused(caller.error(), *route);
  }
  if (const auto error = api::may_enter(*caller, route->scope))
    return refused(*error, *route);
  // A body that nobody here can read; RFC 9110 asks for what could be.
  const std::string_view encoding = header_or_empty(exchange, "content-encoding");
  if (!encoding.empty() && !net::same_name(encoding, "identity")) {
    net::Response response = refused(api::compressed_body(encoding), *route);
    response.headers.push_back({"Accept-Encoding", "identity"});
    return response;
  }
  return std::nullopt;
}

void Door::take(std::shared_ptr<net::Exchange> exchange) {
  exchange->set_answer_headers(site_headers(*exchange));
  auto route = route_of(*exchange);
  if (!route)
    return answer_error(*exchange, route.error().error, route.error().dialect);
  const auto identified = caller_of(*exchange);
  const api::Caller caller = identified ? *identified : api::Caller{};
  if (route->endpoint == api::Endpoint::preflight) {
    const bool for_page = exchange->listener_tag() != kControlListener &&
                          !api::readable_by(site_, site_facts(*exchange)).empty();
    return answer_preflight(*exchange, for_page);
  }
  if (route->endpoint == api::Endpoint::upstream) {
    return upstream(std::move(exchange), *route, caller);
  }
  if (route->endpoint == api::Endpoint::inference) {
    const std::shared_ptr<const net::Body> body = exchange->body();
    const std::string type(header_or_empty(*exchange, "content-type"));
    if (body->size() <= kParseOnLoopMax) {
      return infer(std::move(exchange), *route, caller, api::read_body(type, body->view()));
    }
    // The exchange must be let go on the loop, so it travels there and back.
    (void)reader_.post([this, body, type, exchange, route = std::move(*route), caller]() mutable {
      auto facts = api::read_body(type, body->view());
      boost::asio::post(io_, [this, facts = std::move(facts), exchange = std::move(exchange),
                              route = std::move(route), caller]() mutable {
        infer(std::move(exchange), route, caller, facts);
      });
    });
    return;
  }
  std::optional<ModelId> model;
  const bool limited = caller.rule != nullptr && !caller.rule->models.empty();
  const bool resident =
      route->endpoint == api::Endpoint::openai_model && route->model == kResident && !limited;
  const bool names_model = route->endpoint != api::Endpoint::memory_request;
  if (!route->model.empty() && !resident && names_model) {
    model = resolve(*exchange, *route, caller, route->model);
    if (!model)
      return;
  }
  control_.take(exchange, *route, model, caller);
}

// Answers the request itself where the name means nothing, or nothing for this caller.
std::optional<ModelId> Door::resolve(net::Exchange& exchange, const api::Route& route,
                                     const api::Caller& caller, std::string_view name) {
  const auto model = directory_.find(name);
  if (model && caller.may_use(directory_.id(*model)))
    return model;
  // A model that the key must not use looks like one that is not there.
  refuse(exchange, api::unknown_model(name, names_for(directory_, caller)), route);
  return std::nullopt;
}

// True where the model's kind can never do what the door is for. `resident` is a language model.
bool Door::refuse_unfit(net::Exchange& exchange, const api::Route& route,
                        std::optional<ModelId> model, std::string_view name) {
  const ModelType type = model ? config_.policy.models[model->value].type : ModelType::llm;
  const std::string_view door =
      route.endpoint == api::Endpoint::upstream ? std::string_view(route.rest) : route.door;
  const auto error = api::unfit_model(name, type, route.work, door);
  if (error)
    refuse(exchange, *error, route);
  return error.has_value();
}

// An error of the door itself: counted, as no desk hears of the request.
void Door::refuse(net::Exchange& exchange, const api::ApiError& error, const api::Route& route) {
  count_refusal(error.code, error.status, &route);
  answer_error(exchange, error, route.dialect);
}

void Door::count_refusal(std::string_view code, int status, const api::Route* route) const {
  metrics_.refusal(code);
  const bool for_models = route != nullptr && (route->endpoint == api::Endpoint::inference ||
                                               route->endpoint == api::Endpoint::upstream);
  if (for_models)
    metrics_.request({.status = status});
}

void Door::infer(std::shared_ptr<net::Exchange> exchange, const api::Route& route,
                 const api::Caller& caller, const api::ApiResult<api::BodyFacts>& facts) {
  if (!facts)
    return refuse(*exchange, facts.error(), route);
  RequestOrder order;
  // `resident` may be any model, so a key that is limited to some cannot ask for it.
  const bool limited = caller.rule != nullptr && !caller.rule->models.empty();
  if (facts->model != kResident || limited) {
    order.model = resolve(*exchange, route, caller, facts->model);
    if (!order.model)
      return;
  }
  if (refuse_unfit(*exchange, route, order.model, facts->model))
    return;
  order.target = route.door;
  if (!exchange->query().empty())
    order.target.append("?").append(exchange->query());
  order.dialect = route.dialect;
  order.replayable = route.replayable;
  if (order.model) {
    for (const std::string& path : config_.models[order.model->value].no_replay_paths) {
      if (route.door == path)
        order.replayable = false;
    }
  }
  // Elsewhere the field has no effect on the server, and its answer is one object.
  order.stream =
      facts->stream && (route.work == api::Work::generate || route.work == api::Work::media);
  if (const auto error = weigh(*facts, order, route.door, *exchange->body()))
    return answer_error(*exchange, *error, route.dialect);
  order.context_needed = facts->context_needed;
  order.prompt_bytes = facts->prompt_bytes;
  order.answer_tokens = static_cast<std::int32_t>(std::min<std::int64_t>(
      facts->max_tokens.value_or(0), std::numeric_limits<std::int32_t>::max() / 2));
  order.teaches = facts->texts == 1 && !facts->media && facts->context_needed == 0;
  order.key = caller.rule;
  order.exchange = std::move(exchange);
  requests_.take(std::move(order));
}

// How many of the server's slots the request takes: one for each answer to each text. `n` answers
// are made at once, so more of them than slots there can never be; texts come one after the other.
std::optional<api::ApiError> Door::weigh(const api::BodyFacts& facts, RequestOrder& order,
                                         std::string_view door, const net::Body& body) const {
  constexpr std::int32_t kSlotsMax = 1 << 16;
  const std::int32_t slots =
      order.model ? config_.models[order.model->value].configured.slots : kSlotsMax;
  const std::int64_t choices = std::max<std::int64_t>(1, facts.choices.value_or(1));
  const bool chooses = door.ends_with("/completions");
  if (chooses && choices > slots) {
    return api::ApiError{400,
                         "too_many_choices",
                         "n is " + std::to_string(choices) + ", but " +
                             directory_.id(*order.model) + " answers at most " +
                             std::to_string(slots) +
                             " at once. Ask for fewer, or raise `slots` for this model.",
                         "n",
                         {},
                         {}};
  }
  const std::int64_t texts = std::min<std::int64_t>(facts.texts, kSlotsMax);
  order.slots = static_cast<std::int32_t>(
      std::min<std::int64_t>((chooses ? choices : 1) * texts, std::int64_t{slots}));
  if (facts.input_bytes > 0 && facts.texts > slots && door == "/v1/embeddings") {
    const std::string_view text = body.view();
    order.parts = std::make_shared<api::TextParts>(
        text, text.substr(facts.input_at, facts.input_bytes), static_cast<std::size_t>(slots));
  }
  return std::nullopt;
}

void Door::upstream(std::shared_ptr<net::Exchange> exchange, const api::Route& route,
                    const api::Caller& caller) {
  RequestOrder order;
  order.model = resolve(*exchange, route, caller, route.model);
  if (!order.model)
    return;
  if (route.look) {
    return looks_.take({.exchange = std::move(exchange),
                        .model = *order.model,
                        .target = route.rest,
                        .dialect = route.dialect});
  }
  if (refuse_unfit(*exchange, route, order.model, route.model))
    return;
  order.target = route.rest;
  order.raw = true;
  order.dialect = route.dialect;
  order.replayable = route.replayable;
  order.counted = route.counted;
  order.key = caller.rule;
  order.exchange = std::move(exchange);
  requests_.take(std::move(order));
}

}  // namespace tonnage
