// answers, slots, queues: each request is answered once, by a ready server with a free slot, and
// waits within the bounds of the policy.
#include <algorithm>
#include <optional>

#include "sim/budget.h"
#include "sim/checker.h"

namespace tonnage::sim {
namespace {

class RequestChecker final : public Checker {
 public:
  void on_event(const Step&, const Event& event) override {
    const auto* arrived = std::get_if<RequestArrived>(&event);
    arrived_ = arrived != nullptr ? std::optional(arrived->request) : std::nullopt;
  }

  void on_action(const Step& step, const Action& action) override {
    if (const auto* admit = std::get_if<Admit>(&action))
      check_admit(step, *admit);
    if (const auto* refuse = std::get_if<Refuse>(&action))
      check_refuse(step, *refuse);
  }

  void after_step(const Step& step, const Snapshot& snapshot) override {
    check_bounds(step);
    check_idle_slots(step, snapshot);
    if (snapshot.waiting != step.books.waiting()) {
      step.findings.add("answers", "the core counts " + std::to_string(snapshot.waiting) +
                                       " waiting requests, there are " +
                                       std::to_string(step.books.waiting()));
    }
    // A lease whose server has gone holds nothing any more, only its end is still to come.
    std::int32_t leases = 0;
    for (const auto& [generation, server] : step.books.servers())
      leases += server.leases;
    if (snapshot.leases != leases) {
      step.findings.add("answers", "the core counts " + std::to_string(snapshot.leases) +
                                       " leases, there are " + std::to_string(leases));
    }
  }

 private:
  static std::string text_of(RequestId id) { return "request " + std::to_string(id.value); }

  static bool must_wait(const Step& step, RequestId id, std::string_view what) {
    const Books::Request* request = step.books.request(id);
    if (request == nullptr) {
      step.findings.add("answers", std::string(what) + " of unknown " + text_of(id));
      return false;
    }
    if (request->state != Books::RequestState::waiting) {
      const std::string why = request->state == Books::RequestState::admitted
                                  ? "which is at a server"
                              : request->client_gone ? "whose client has gone"
                                                     : "which was answered";
      step.findings.add("answers", std::string(what) + " of " + text_of(id) + ", " + why);
      return false;
    }
    return true;
  }

  static void check_admit(const Step& step, const Admit& admit) {
    if (!must_wait(step, admit.request, "Admit"))
      return;
    const Books& books = step.books;
    const Books::Request& request = *books.request(admit.request);
    const std::string text = text_of(admit.request);
    const Books::Server* server = books.server(admit.generation);
    if (server == nullptr || server->model != admit.model) {
      step.findings.add("answers", text + " goes to an unknown server");
      return;
    }
    if (!server->ready_at || server->stop_at || server->useless) {
      step.findings.add("answers", text + " goes to a server that is not ready");
    }
    const ModelPolicy& model = books.policy().models[admit.model.value];
    const bool resident =
        model.type == ModelType::llm || books.policy().pressure.fallback == admit.model;
    if (request.model ? *request.model != admit.model : !resident) {
      step.findings.add("answers", text + " goes to another model than it asked for");
    }
    if (request.counted && server->placement.context < request.context_needed) {
      step.findings.add("answers", text + " needs a context of " +
                                       std::to_string(request.context_needed) + " and gets " +
                                       std::to_string(server->placement.context));
    }
    check_wish(step, admit, request, *server);
    const std::int32_t takes = Books::slots_for(request, slots_of(books, admit.model, *server));
    if (request.counted && server->counted + takes > model.in_flight_max) {
      step.findings.add("slots", name_of(books.policy(), admit.model) + " has " +
                                     std::to_string(server->counted) + " requests and gets " +
                                     text);
    }
    if (books.model(admit.model).unloads_pending > 0)
      step.findings.add("answers", text + " goes to a server that an operator unloads");
    if (books.model(admit.model).replaced)
      step.findings.add("answers", text + " goes to a server whose configuration has changed");
    check_order(step, admit, request);
    if (request.admits > request.replays_max + request.forgiven) {
      step.findings.add("answers", text + " is replayed more than replays_max times");
    }
  }

  // Who wishes for more context than the server has would only be told that its prompt is too long,
  // where a row that holds it would fit into what is free and what the server holds. Judged on the
  // host alone, and carefully: the row's weights count once more.
  static void check_wish(const Step& step, const Admit& admit, const Books::Request& request,
                         const Books::Server& server) {
    const Books& books = step.books;
    const Books::Model& model = books.model(admit.model);
    const bool counts = request.counted && request.model && !request.wish_tried &&
                        step.now - request.arrived < books.policy().queue.queue_timeout / 2;
    const bool held_back =
        !books.policy().pressure.levels.empty() && books.policy().pressure.preset != "demand";
    if (!counts || request.context_wished <= server.placement.context || model.pinned ||
        model.recovered || model.rows_wait || held_back || !books.pool_seen())
      return;
    const Bytes left = books.host_headroom() + std::max(server.own_most, server.sampled);
    for (const PlacementRow& row : model.rows) {
      const Bytes own = std::max(with_margin(row, books.policy().margin), model.sampled_most);
      if (!row.device_bytes.empty() || row.placement.context < request.context_wished ||
          own + size_of(row.weights) > left)
        continue;
      step.findings.add("answers", text_of(admit.request) + " wishes for a context of " +
                                       std::to_string(request.context_wished) + ", gets " +
                                       std::to_string(server.placement.context) + ", and " +
                                       std::to_string(row.placement.context) + " would fit");
      return;
    }
  }

  // Nobody overtakes who came earlier and is at least as urgent. Suspects of a crash go first, and
  // looks at a server take no slot.
  static void check_order(const Step& step, const Admit& admit, const Books::Request& request) {
    if (!request.model || !request.counted || request.losses > 0)
      return;
    for (const RequestId other : step.books.model(*request.model).queue) {
      if (other >= admit.request)
        return;
      if (step.books.request(other)->priority < request.priority)
        continue;
      step.findings.add("order", text_of(admit.request) + " overtakes " + text_of(other));
      return;
    }
  }

  static void check_refuse(const Step& step, const Refuse& refuse) {
    must_wait(step, refuse.request, "Refuse");
  }

  // Replays come on top: they were let in before. So were those whose bound has changed since.
  void check_bounds(const Step& step) const {
    const Books& books = step.books;
    const Books::Request* newest = arrived_ ? books.request(*arrived_) : nullptr;
    if (newest == nullptr || newest->state != Books::RequestState::waiting)
      return;
    const QueuePolicy& queue = books.policy().queue;
    if (books.waiting() - books.waiting_replays() > queue.waiting_max) {
      step.findings.add("queues", std::to_string(books.waiting()) +
                                      " requests wait, the bound is " +
                                      std::to_string(queue.waiting_max));
    }
    for (std::size_t i = 0; i < books.models().size(); ++i) {
      if (newest->model != ModelId(static_cast<std::uint32_t>(i)))
        continue;
      const std::int32_t waiting = books.models()[i].waiting;
      if (waiting - books.models()[i].replays > queue.waiting_per_model_max) {
        step.findings.add(
            "queues", name_of(books.policy(), ModelId(static_cast<std::uint32_t>(i))) + " has " +
                          std::to_string(waiting) + " waiting");
      }
    }
  }

  // A request for a ready model that has a free slot does not wait. Suspects of a crash do, and
  // requests that need more context than the server gives.
  static void check_idle_slots(const Step& step, const Snapshot& snapshot) {
    const Books& books = step.books;
    if (books.waiting() == 0 || books.admission_may_stop())
      return;
    for (const ModelSnapshot& shown : snapshot.models) {
      const Books::Model& model = books.model(shown.model);
      if (shown.state != ResidencyState::ready || model.waiting == 0 || !model.server)
        continue;
      const Books::Server* server = books.server(*model.server);
      if (server == nullptr)
        continue;
      const std::int32_t slots = slots_of(books, shown.model, *server);
      if (server->counted >= slots || has_special_request(books, shown.model, *server))
        continue;
      step.findings.add("slots", name_of(books.policy(), shown.model) + " is ready with " +
                                     std::to_string(server->counted) + " of " +
                                     std::to_string(slots) + " slots in use while " +
                                     std::to_string(model.waiting) + " requests wait for it");
    }
  }

  // A lesser placement takes its share of what the best one takes.
  static std::int32_t slots_of(const Books& books, ModelId id, const Books::Server& server) {
    const std::int32_t most = books.policy().models[id.value].in_flight_max;
    const std::int32_t slots = server.placement.slots;
    const std::vector<PlacementRow>& rows = books.model(id).rows;
    const std::int32_t best = rows.empty() ? slots : rows.front().placement.slots;
    return std::min({most, slots, std::max(1, most * slots / std::max(slots, best))});
  }

  static bool has_special_request(const Books& books, ModelId model, const Books::Server& server) {
    for (const RequestId id : books.open_requests()) {
      const Books::Request& request = *books.request(id);
      if (request.model && *request.model != model)
        continue;
      if (request.losses > 0 || request.context_needed > server.placement.context ||
          request.context_wished > server.placement.context || request.slots > 1)
        return true;
    }
    return false;
  }

  std::optional<RequestId> arrived_;  // in this step
};

}  // namespace

std::unique_ptr<Checker> make_request_checker() {
  return std::make_unique<RequestChecker>();
}

}  // namespace tonnage::sim
