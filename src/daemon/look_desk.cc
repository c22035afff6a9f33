#include "daemon/look_desk.h"

#include <algorithm>
#include <utility>

#include "api/route.h"
#include "core/snapshot.h"
#include "daemon/error_answer.h"

namespace tonnage {
namespace {

// When to look again: a load that is under way ends soon, one that nobody asked for may never come.
constexpr std::int64_t kAgainWhileLoading_s = 2;
constexpr std::int64_t kAgainWhileAbsent_s = 30;

bool answers(const ModelSnapshot& model) {
  return model.generation.has_value() &&
         (model.state == ResidencyState::ready || model.state == ResidencyState::draining);
}

api::ApiError not_loaded(const std::string& name, ResidencyState state) {
  const bool coming = state == ResidencyState::loading || state == ResidencyState::profiling;
  api::ApiError error;
  error.status = 503;
  error.code = "model_not_loaded";
  error.message = "'" + name + "' is not loaded (" + std::string(to_text(state)) +
                  "). A look at its server never loads it; a request to one of its inference paths "
                  "does, or POST /api/memory/models/" +
                  api::encode_segment(name) + "/load.";
  error.retry_after_s = coming ? kAgainWhileLoading_s : kAgainWhileAbsent_s;
  return error;
}

}  // namespace

LookDesk::LookDesk(const Config& config, GovernorLoop& loop, EngineRoom& engines,
                   const Directory& directory)
    : config_(config), loop_(loop), engines_(engines), directory_(directory) {}

void LookDesk::answer_not_loaded(const Look& look) const {
  const Snapshot snapshot = loop_.snapshot();
  const auto found = std::ranges::find(snapshot.models, look.model, &ModelSnapshot::model);
  const auto state =
      found == snapshot.models.end() || answers(*found) ? ResidencyState::stopping : found->state;
  answer_error(*look.exchange, not_loaded(directory_.id(look.model), state), look.dialect);
}

void LookDesk::take(Look look) {
  if (look.exchange->client_is_gone())
    return;
  const Snapshot snapshot = loop_.snapshot();
  const auto found = std::ranges::find(snapshot.models, look.model, &ModelSnapshot::model);
  if (found == snapshot.models.end() || !answers(*found))
    return answer_not_loaded(look);
  const auto endpoint = engines_.endpoint(*found->generation);
  if (!endpoint)
    return answer_not_loaded(look);
  const std::uint64_t id = next_++;
  open_.emplace(id, Open{std::move(look), *found->generation});
  relay(id, *endpoint);
}

void LookDesk::relay(std::uint64_t id, const net::Address& endpoint) {
  const Look& look = open_.at(id).look;
  const ModelConfig& model = config_.models[look.model.value];
  net::RelayTarget target;
  target.upstream = endpoint;
  target.target = look.target;
  target.connect_timeout = config_.limits.connect_timeout;
  target.idle_timeout = config_.limits.upstream_idle_timeout;
  target.total_timeout = model.request_timeout.value_or(config_.limits.request_timeout);
  target.response_headers = {{"x-tonnage-model", directory_.id(look.model)}};
  target.drop_request_headers = {"authorization", "x-api-key", "cookie", "x-conversation-id"};
  look.exchange->relay(std::move(target),
                       [this, id](net::RelayResult result) { relayed(id, std::move(result)); });
}

void LookDesk::relayed(std::uint64_t id, net::RelayResult result) {
  using End = net::RelayResult::End;
  const auto node = open_.extract(id);
  if (node.empty())
    return;
  const Look& look = node.mapped().look;
  const api::ApiError late = timeout_error(result, directory_.id(look.model),
                                           config_.models[look.model.value], config_.limits);
  switch (result.end) {
    case End::complete:
    case End::client_gone:
    case End::held:
      return;
    case End::connect_failed:
    case End::lost_before_body:
      return answer_not_loaded(look);
    case End::timed_out_before_body:
      return answer_error(*look.exchange, late, look.dialect);
    case End::timed_out_midstream:
      look.exchange->finish_broken(api::error_event(late, look.dialect));
      return;
    case End::broken_midstream: {
      const auto error = api::upstream_lost(directory_.id(look.model), result.why);
      look.exchange->finish_broken(api::error_event(error, look.dialect));
      return;
    }
  }
}

void LookDesk::server_stops(Generation generation) {
  for (const auto& [id, open] : open_) {
    if (open.generation == generation)
      open.look.exchange->cut_relay("the model's server is stopped");
  }
}

}  // namespace tonnage
