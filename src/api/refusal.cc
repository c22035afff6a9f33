// refusal(): a refusal by the core as an answer, with the arithmetic for programs.
#include <algorithm>

#include "api/errors.h"
#include "api/json_shapes.h"

namespace tonnage::api {
namespace {

std::string name_of(const Decision& decision, const Policy& policy) {
  const OrderedJson name = model_name(decision.model, policy);
  return name.is_string() ? name.get<std::string>() : "the model";
}

std::string pool_of(const Decision& decision, const Policy& policy) {
  const OrderedJson name = pool_name(decision.pool, policy);
  return name.is_string() ? name.get<std::string>() : "host";
}

// For a model that no empty pool can hold: what would have to change, and by how much.
void suggest_room(const Decision& decision, const Policy& policy, std::vector<std::string>& out) {
  const auto smallest = std::ranges::min_element(decision.tried, {}, &PlacementNeed::need);
  const Bytes least = smallest == decision.tried.end() ? decision.need : smallest->need;
  const std::string pool = pool_of(decision, policy);
  if (least > decision.usable) {
    out.push_back("give pool " + pool + " at least " + tonnage::to_text(least - decision.usable) +
                  " more: raise its budget, or end other programs that hold memory");
  }
  // A server of the user's own, whose memory is declared.
  if (smallest != decision.tried.end() && smallest->placement.context == 0) {
    out.push_back("if " + name_of(decision, policy) +
                  " takes less than that, correct its `memory` in the configuration");
    return;
  }
  if (smallest != decision.tried.end()) {
    if (smallest->placement.slots > 1) {
      out.push_back("run " + name_of(decision, policy) + " with fewer slots than " +
                    std::to_string(smallest->placement.slots));
    }
    out.push_back("give " + name_of(decision, policy) + " a smaller context than " +
                  std::to_string(smallest->placement.context) + " tokens");
  }
  out.push_back("use a smaller model, or a smaller quantization of this one");
}

std::vector<std::string> suggestions(const Decision& decision, const Policy& policy) {
  const std::string name = name_of(decision, policy);
  switch (decision.reason) {
    case ReasonCode::never_fits: {
      std::vector<std::string> out;
      suggest_room(decision, policy, out);
      return out;
    }
    case ReasonCode::context_too_small:
      return {"send a shorter prompt", "raise the context of " + name + " in the configuration"};
    case ReasonCode::pinned_models:
      return {"unpin a model: tonnage unpin MODEL",
              "raise the budget of pool " + pool_of(decision, policy)};
    case ReasonCode::queue_full:
      return {"ask again after the time in Retry-After", "send fewer requests at once",
              "raise queue.max_waiting, now " + std::to_string(policy.queue.waiting_max)};
    case ReasonCode::queue_timeout:
      return {"ask again after the time in Retry-After",
              "see what held the memory: tonnage why " + name,
              "raise queue.queue_timeout, now " + tonnage::to_text(policy.queue.queue_timeout)};
    case ReasonCode::crash_suspect:
      return {"see what happened: tonnage why " + name, "read the server's log: GET /logs/" + name,
              "send the request in another form: it was at the server at both crashes"};
    case ReasonCode::server_lost:
      return {"see what happened: tonnage why " + name, "read the server's log: GET /logs/" + name,
              "raise queue.max_replays, now " + std::to_string(policy.queue.replays_max)};
    case ReasonCode::model_failed:
    case ReasonCode::load_failed:
    case ReasonCode::profile_failed:
      return {"see what happened: tonnage why " + name, "read the server's log: GET /logs/" + name};
    case ReasonCode::no_resident:
      return {"name a model, or load one first: tonnage load MODEL"};
    default:
      return {};
  }
}

// The largest placement that an empty pool can hold: a hint for what to configure.
OrderedJson largest_fit(const Decision& decision) {
  const PlacementNeed* best = nullptr;
  for (const PlacementNeed& row : decision.tried) {
    if (row.need <= decision.usable && (best == nullptr || row.need > best->need))
      best = &row;
  }
  if (best == nullptr)
    return nullptr;
  return {{"placement", placement_json(best->placement)}, {"need_bytes", best->need.count}};
}

}  // namespace

ApiError refusal(const Decision& decision, int status, const Policy& policy,
                 const ContextOverflow& overflow) {
  ApiError error;
  error.status = status;
  error.code = tonnage::to_text(decision.reason);
  error.message = explain(decision, policy);
  if (decision.model && status == 400)
    error.param = "model";
  if (decision.retry_after > Duration{0}) {
    // Rounded up: asking early would be refused again.
    error.retry_after_s = std::chrono::ceil<std::chrono::seconds>(decision.retry_after).count();
  } else if (status == 503) {
    error.retry_after_s = 1;
  }
  OrderedJson more;
  more["reason"] = tonnage::to_text(decision.reason);
  more["model"] = model_name(decision.model, policy);
  more["pool"] = pool_name(decision.pool, policy);
  more["needed_bytes"] = decision.need.count;
  more["headroom_bytes"] = decision.headroom.count;
  more["usable_bytes"] = decision.usable.count;
  more["waited_ms"] = to_ms(decision.waited);
  more["largest_fit"] = largest_fit(decision);
  more["tried"] = tried_json(decision);
  more["suggestions"] = suggestions(decision, policy);
  error.tonnage_json = dump(more);
  if (decision.reason == ReasonCode::context_too_small)
    set_context_overflow(error, overflow);
  return error;
}

}  // namespace tonnage::api
