#include "daemon/history_desk.h"

#include <chrono>
#include <utility>

#include "api/history_api.h"
#include "daemon/control_desk.h"
#include "daemon/error_answer.h"

namespace tonnage {
namespace {

std::int64_t whole_seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

HistoryQuery query_of(const api::HistoryOrder& order, const Directory& directory) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  HistoryQuery query;
  // Up to and with the sample of this second.
  query.until_s = std::chrono::duration_cast<std::chrono::seconds>(now).count() + 1;
  query.since_s = query.until_s - whole_seconds(order.since);
  query.step_s = whole_seconds(order.step);
  if (!order.model.empty()) {
    // A model that has left the configuration may still have a history.
    const auto model = directory.find(order.model);
    query.model = model ? directory.id(*model) : order.model;
  }
  return query;
}

api::ApiError unavailable(int status, std::string code, std::string message) {
  return {status, std::move(code), std::move(message), {}, {}, {}};
}

}  // namespace

void answer_history(const std::shared_ptr<net::Exchange>& exchange, const api::Route& route,
                    const api::Caller& caller, const Directory& directory, HistoryKeeper& history) {
  const auto order = api::read_history_order(route);
  if (!order)
    return answer_error(*exchange, order.error(), route.dialect);
  if (!history.is_enabled()) {
    return answer_error(
        *exchange,
        unavailable(404, "history_disabled", "No history is kept: history.enabled is false."),
        route.dialect);
  }
  const auto model = directory.find(order->model);
  if (!order->model.empty() && !caller.may_use(model ? directory.id(*model) : order->model)) {
    return answer_error(*exchange, api::unknown_model(order->model, names_for(directory, caller)),
                        route.dialect);
  }
  const bool known = model.has_value() || order->model.empty();
  const bool taken = history.query(
      query_of(*order, directory), [exchange, dialect = route.dialect, name = order->model, known,
                                    caller, &directory](Result<HistoryKeeper::Found> found) {
        if (!found) {
          return answer_error(
              *exchange,
              unavailable(503, "history_unavailable",
                          "The history cannot be read: " + found.error().text() + "."),
              dialect);
        }
        if (!known && !found->model_known)
          return answer_error(*exchange, api::unknown_model(name, names_for(directory, caller)),
                              dialect);
        respond_json(*exchange, 200, api::history_for(std::move(found->json), caller));
      });
  if (!taken) {
    answer_error(*exchange,
                 unavailable(503, "overloaded",
                             "Too many questions about the history wait for the disk already."),
                 route.dialect);
  }
}

}  // namespace tonnage
