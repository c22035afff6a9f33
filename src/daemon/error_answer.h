// Errors on their way out: one place that makes an answer, or the last event of a stream, of one.
#pragma once

#include <string_view>
#include <vector>

#include "api/errors.h"
#include "config/config.h"
#include "net/exchange.h"
#include "net/limits.h"
#include "net/refusal.h"

namespace tonnage {

// The whole answer, with Retry-After where asking again makes sense.
net::Response error_response(const api::ApiError& error, api::Dialect dialect,
                             std::vector<net::Header> headers = {});

// Whole, or as the last event of a stream that began, where `headers` come too late.
void answer_error(net::Exchange& exchange, const api::ApiError& error, api::Dialect dialect,
                  std::vector<net::Header> headers = {});

// A relay to the server of `name` that ran into one of its timeouts: the limit, and its key.
api::ApiError timeout_error(const net::RelayResult& result, std::string_view name,
                            const ModelConfig& model, const Limits& limits);

// The errors of the HTTP layer itself, with the limit that was hit and the key that sets it.
api::ApiError protocol_error(const net::Refusal& refusal, const net::Limits& limits);

}  // namespace tonnage
