// refusals: a refusal's reason is true, its status says the same, and what cannot run is told so
// at once.
#include <algorithm>
#include <vector>

#include "sim/budget.h"
#include "sim/checker.h"

namespace tonnage::sim {
namespace {

constexpr std::string_view kRefusalsRule = "refusals";

std::optional<RefusalStatus> status_for(ReasonCode reason) {
  switch (reason) {
    case ReasonCode::never_fits:
    case ReasonCode::context_too_small:
      return RefusalStatus::too_large;
    case ReasonCode::queue_full:
    case ReasonCode::queue_timeout:
    case ReasonCode::no_resident:
    case ReasonCode::shutting_down:
    case ReasonCode::pinned_models:
    case ReasonCode::foreign_use:
      return RefusalStatus::unavailable;
    case ReasonCode::crash_suspect:
    case ReasonCode::server_lost:
      return RefusalStatus::bad_gateway;
    case ReasonCode::model_removed:
      return RefusalStatus::not_found;
    default:
      return std::nullopt;  // what a failure is answered with depends on the failure
  }
}

bool fits_empty(const Books& books, const PlacementRow& row) {
  // Whether devices have room is not judged here: a row without them must be refused as well.
  if (!row.device_bytes.empty())
    return false;
  const PoolPolicy& pool = books.policy().pools[kHostPool.value];
  return row.host_anon + size_of(row.weights) <= budget_for(pool, books.capacity());
}

class RefusalChecker final : public Checker {
 public:
  explicit RefusalChecker(bool nothing_may_fail) : nothing_may_fail_(nothing_may_fail) {}

  void on_event(const Step&, const Event& event) override {
    const auto* profiled = std::get_if<ModelProfiled>(&event);
    if (profiled != nullptr && profiled->model.value < looked_at_anew_.size())
      looked_at_anew_[profiled->model.value] = false;
    if (const auto* changed = std::get_if<PolicyChanged>(&event)) {
      for (const ModelId model : changed->changed) {
        if (model.value < looked_at_anew_.size())
          looked_at_anew_[model.value] = true;
      }
    }
    const auto* exited = std::get_if<ServerExited>(&event);
    if (exited == nullptr || !exited->failure)
      return;
    if (exited->failure->kind != FailureKind::stale_profile)
      return;
    for (std::size_t i = 0; i < looked_at_anew_.size(); ++i) {
      const bool may_be_it = states_[i] == ResidencyState::loading;
      looked_at_anew_[i] = looked_at_anew_[i] || may_be_it;
    }
  }

  void on_action(const Step& step, const Action& action) override {
    const auto* refuse = std::get_if<Refuse>(&action);
    if (refuse == nullptr)
      return;
    const Decision& decision = refuse->decision;
    const std::string text = "request " + std::to_string(refuse->request.value) + " refused as " +
                             std::string(to_text(decision.reason));
    if (decision.kind != DecisionKind::refuse || decision.request != refuse->request) {
      step.findings.add(kRefusalsRule, text + " by a decision about something else");
    }
    if (explain(decision, step.books.policy()).empty()) {
      step.findings.add(kRefusalsRule, text + " without an explanation");
    }
    const auto status = status_for(decision.reason);
    if (status && *status != refuse->status) {
      step.findings.add(kRefusalsRule, text + " with a status that says something else");
    }
    const Books::Request* request = step.books.request(refuse->request);
    if (request == nullptr)
      return;
    if (const std::string why = untrue(step, decision, *request); !why.empty()) {
      step.findings.add(kRefusalsRule, text + ", but " + why);
    }
  }

  void after_step(const Step& step, const Snapshot& snapshot) override {
    states_.resize(snapshot.models.size());
    looked_at_anew_.resize(snapshot.models.size());
    for (std::size_t i = 0; i < states_.size(); ++i) {
      states_[i] = snapshot.models[i].state;
      looked_at_anew_[i] = looked_at_anew_[i] || states_[i] == ResidencyState::failed;
    }
    const Books& books = step.books;
    if (books.waiting() == 0 || !books.pool_seen())
      return;
    for (std::size_t i = 0; i < books.models().size(); ++i) {
      const Books::Model& model = books.models()[i];
      if (model.waiting == 0 || model.rows.empty() || model.profiling || model.between_dry_runs ||
          model.server)
        continue;
      if (looked_at_anew_[i])
        continue;
      const bool fits =
          std::any_of(model.rows.begin(), model.rows.end(), [&](const PlacementRow& row) {
            return !row.device_bytes.empty() || fits_empty(books, row);
          });
      if (fits)
        continue;
      step.findings.add(kRefusalsRule,
                        "requests wait for " +
                            name_of(books.policy(), ModelId(static_cast<std::uint32_t>(i))) +
                            ", which fits in no placement");
    }
  }

 private:
  // Why the reason cannot be true; empty when it can.
  std::string untrue(const Step& step, const Decision& decision,
                     const Books::Request& request) const {
    const Books& books = step.books;
    const QueuePolicy& queue = books.policy().queue;
    switch (decision.reason) {
      case ReasonCode::never_fits:
      case ReasonCode::context_too_small:
        return untrue_size(books, request, decision);
      case ReasonCode::queue_full: {
        if (!request.model)
          return {};
        const std::int32_t before =
            books.model(*request.model).waiting - 1 + books.waiting_residents();
        const bool full =
            books.waiting() - 1 >= queue.waiting_max || before >= queue.waiting_per_model_max;
        return full ? "" : "the queues have room";
      }
      case ReasonCode::queue_timeout:
        return step.now - request.arrived >= queue.queue_timeout ? "" : "its time was not over";
      case ReasonCode::shutting_down:
        return books.shutdown_at() ? "" : "nobody asked for a shutdown";
      case ReasonCode::no_resident:
        return request.model ? "it names a model" : untrue_resident(books);
      case ReasonCode::crash_suspect:
        return request.losses - request.forgiven >= 2 ? "" : "it met less than two crashes";
      case ReasonCode::server_lost:
        return untrue_loss(books, request);
      case ReasonCode::load_failed:
      case ReasonCode::profile_failed:
      case ReasonCode::model_failed:
      case ReasonCode::server_failed:
        if (nothing_may_fail_)
          return "nothing can fail in this run";
        if (request.model && books.model(*request.model).failures == 0)
          return "nothing failed";
        return {};
      case ReasonCode::pinned_models:
        return has_pin(books) ? "" : "no model is pinned";
      case ReasonCode::foreign_use:
        return books.foreign() > Bytes(0) ? "" : "nobody else holds memory";
      case ReasonCode::model_removed: {
        const std::optional<ModelId> id = request.model ? request.model : decision.model;
        return id && books.policy().models[id->value].removed ? "" : "it is configured";
      }
      case ReasonCode::unloaded_by_operator:
        return {};
      default:
        return "that is no reason to refuse";
    }
  }

  // What a server loses that ran out of memory is forgiven, or not, when it has ended.
  static std::string untrue_loss(const Books& books, const Books::Request& request) {
    if (request.losses == 0)
      return "it never was at a server";
    const Books::Server* server = books.server(request.generation);
    if (server != nullptr && server->out_of_memory)
      return "its server ran out of memory";
    const bool may_be_sent_again =
        request.losses - request.forgiven <= books.policy().queue.replays_max &&
        request.losses - request.forgiven < 2 &&
        request.forgiven_servers <= books.policy().recovery.kills_max;
    return may_be_sent_again ? "it may be sent again" : "";
  }

  static std::string untrue_size(const Books& books, const Books::Request& request,
                                 const Decision& decision) {
    if (!books.pool_seen())
      return "the pool was never sampled";
    // A request for `resident` was given the model that was ready when it came.
    const std::optional<ModelId> id = request.model ? request.model : decision.model;
    if (!id)
      return "it names no model";
    const Books::Model& model = books.model(*id);
    // What was learned while its server runs counts from the next load on.
    if (model.rows_wait)
      return {};
    if (model.rows.empty())
      return "the model was never profiled";
    const bool fits =
        std::any_of(model.rows.begin(), model.rows.end(), [&](const PlacementRow& row) {
          return row.placement.context >= request.context_needed && fits_empty(books, row);
        });
    return fits ? "a placement fits an empty pool" : "";
  }

  static bool has_pin(const Books& books) {
    return std::any_of(books.models().begin(), books.models().end(),
                       [](const Books::Model& model) { return model.pinned; });
  }

  std::string untrue_resident(const Books& books) const {
    for (const auto& [generation, server] : books.servers()) {
      const ModelPolicy& model = books.policy().models[server.model.value];
      const bool up = server.ready_at && !server.stop_at && !server.useless;
      // A model that drains, or whose connections just broke, need not take it.
      const bool open = server.model.value < states_.size() &&
                        states_[server.model.value] == ResidencyState::ready;
      if (model.type == ModelType::llm && up && open)
        return model.id + " is ready";
    }
    return {};
  }

  std::vector<ResidencyState> states_;  // as shown after the last step
  // After a failure and its rest a model's file is looked at anew, whatever was known of it.
  std::vector<bool> looked_at_anew_;
  bool nothing_may_fail_;
};

}  // namespace

std::unique_ptr<Checker> make_refusal_checker(bool nothing_may_fail) {
  return std::make_unique<RefusalChecker>(nothing_may_fail);
}

}  // namespace tonnage::sim
