#include "daemon/error_answer.h"

#include <cctype>
#include <string>
#include <utility>

namespace tonnage {
namespace {

std::string sentence(std::string_view why) {
  std::string text(why);
  if (!text.empty())
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text + ".";
}

api::ApiError limit_error(int status, std::string code, std::string_view why, std::string limit,
                          std::string_view key) {
  return {status,
          std::move(code),
          sentence(why) + " The limit is " + std::move(limit) + " (" + std::string(key) + ").",
          {},
          {},
          {}};
}

}  // namespace

api::ApiError protocol_error(const net::Refusal& refusal, const net::Limits& limits) {
  using R = net::RefusedFor;
  const auto limit = [&](std::string code, std::string text, std::string_view key) {
    return limit_error(refusal.status, std::move(code), refusal.why, std::move(text), key);
  };
  switch (refusal.reason) {
    case R::body_too_large:
      return api::body_too_large(limits.body_bytes_max);
    case R::head_too_large:
      return limit("header_too_large",
                   to_text(limits.header_bytes_max) + " and " +
                       std::to_string(limits.header_fields_max) + " fields",
                   "limits.header_max");
    case R::head_late:
      return limit("request_timeout", to_text(limits.header_timeout), "limits.header_timeout");
    case R::body_late:
      return limit("request_timeout", to_text(limits.body_idle_timeout) + " of silence",
                   "limits.client_read_timeout");
    case R::bodies_full:
      return limit("overloaded",
                   to_text(limits.bodies_memory_max) + " in memory and " +
                       to_text(limits.bodies_file_max) + " on disk for all requests together",
                   "limits.bodies_max_total, limits.bodies_disk_max");
    case R::too_many_connections:
      return limit("overloaded", std::to_string(limits.connections_max), "limits.connections_max");
    case R::dropped:
      return {refusal.status, "internal_error", sentence(refusal.why), {}, {}, {}};
    case R::bad_request:
      break;
  }
  return {refusal.status, "bad_request", sentence(refusal.why), {}, {}, {}};
}

net::Response error_response(const api::ApiError& error, api::Dialect dialect,
                             std::vector<net::Header> headers) {
  net::Response response;
  response.status = error.status;
  response.content_type = "application/json";
  response.body = api::error_body(error, dialect);
  response.headers = std::move(headers);
  if (const auto seconds = api::retry_after_s(error))
    response.headers.push_back({"Retry-After", std::to_string(*seconds)});
  if (error.status == 401)
    response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

void answer_error(net::Exchange& exchange, const api::ApiError& error, api::Dialect dialect,
                  std::vector<net::Header> headers) {
  exchange.note().status = error.status;
  if (!exchange.answer_begun())
    return exchange.respond(error_response(error, dialect, std::move(headers)));
  exchange.send(api::error_event(error, dialect));
  exchange.end_stream();
}

api::ApiError timeout_error(const net::RelayResult& result, std::string_view name,
                            const ModelConfig& model, const Limits& limits) {
  if (result.timeout == net::RelayResult::Timeout::idle) {
    return api::upstream_timeout(name, "sent nothing more", limits.upstream_idle_timeout,
                                 "limits.upstream_idle_timeout");
  }
  const bool begun = result.end == net::RelayResult::End::timed_out_midstream;
  const std::string_view what = begun ? "did not finish its answer" : "gave no answer";
  if (model.request_timeout) {
    return api::upstream_timeout(name, what, *model.request_timeout,
                                 "models." + std::string(name) + ".request_timeout");
  }
  return api::upstream_timeout(name, what, limits.request_timeout, "limits.request_timeout");
}

}  // namespace tonnage
