// Refusal and AnswerRecord: what the server tells about requests that it answers itself, and about
// every answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/tick.h"

namespace tonnage::net {

// Why a request never becomes an exchange.
enum class RefusedFor : std::uint8_t {
  bad_request,           // 400 or 501: `why` says what does not parse
  head_too_large,        // 431: Limits::header_bytes_max or header_fields_max
  head_late,             // 408: Limits::header_timeout
  body_late,             // 408: Limits::body_idle_timeout
  body_too_large,        // 413: Limits::body_bytes_max
  bodies_full,           // 503: Limits::bodies_memory_max, and no file could take it
  too_many_connections,  // 503: Limits::connections_max
  dropped,               // 500: whoever had the request let go of it
};

struct Refusal {
  RefusedFor reason = RefusedFor::bad_request;
  int status = 400;
  std::string_view why;   // a sentence without its full stop
  std::string_view path;  // empty when no request line was understood
};

// What is told of a request beside its line and its answer; whoever answers it sets it.
struct ExchangeNote {
  std::optional<std::uint64_t> request;  // the number that `tonnage why` takes
  std::string model;
  std::string key;               // its name, never the key
  std::optional<Duration> wait;  // from its arrival until a server took it
  int status = 0;                // of an error within a stream; 0: the status of the head counts
};

// One request that was answered, or whose client left.
struct AnswerRecord {
  std::string_view method;  // as sent; empty when no request line was understood
  std::string_view path;    // without the query, which may hold secrets
  std::string_view peer;
  int status = 0;               // of the head; 0: the client left before there was one
  std::uint64_t bytes_in = 0;   // of the request's body
  std::uint64_t bytes_out = 0;  // of the answer's body
  std::optional<Duration> first_byte;
  Duration total{};  // until the last byte was handed to the system
  bool client_left = false;
  const ExchangeNote* note = nullptr;  // empty where the request never became an exchange
};

}  // namespace tonnage::net
