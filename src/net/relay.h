// RelayTarget and RelayResult: what to ask of a model server for a client, and how it went.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/tick.h"
#include "http/address.h"
#include "http/message.h"
#include "net/body.h"

namespace tonnage::net {

struct RelayTarget {
  Address upstream;
  std::string target;                // origin form, "/v1/chat/completions?x=1"
  std::shared_ptr<const Body> body;  // instead of the client's own, when set

  Duration connect_timeout = 2s;     // a model server is on this machine
  Duration first_byte_timeout = 0s;  // request sent -> first body byte; 0 = none: prompts take long
  Duration idle_timeout = 0s;        // between body bytes; 0 = none
  Duration total_timeout = 0s;       // the whole relay; 0 = none

  std::vector<Header> request_headers;   // added for the server; replace the client's of that name
  std::vector<Header> response_headers;  // added for the client; replace the server's of that name
  std::vector<std::string>
      drop_request_headers;  // such as authorization: tonnage's key is not theirs

  // An answer with at least this status is kept from the client and ends as `held`: the caller
  // answers in its place, or relays the request again. 0: none is.
  int hold_from_status = 0;
  // What is longer than Limits::held_answer_max is cut there and held too. False: it goes on to the
  // client as every answer does.
  bool cut_held = false;
  // Instead of Limits::held_answer_max, where it is not zero.
  Bytes hold_max;

  // An event by which the server says that its stream failed is handed over, and what this returns
  // takes its place and ends the stream; where it returns nothing, the event passes on.
  std::move_only_function<std::optional<std::string>(std::string_view event)> on_error_event;

  // The exchange has already begun an event stream (queue comments): only the server's body is
  // relayed. An answer that is not an event stream, and is not held, becomes one event.
  bool stream_already_begun = false;
};

// An answer that was kept from the client.
struct HeldAnswer {
  std::string body;
  std::vector<Header> headers;  // without those of the connection
  bool cut = false;             // it was longer than Limits::held_answer_max
};

// How much of an answer's body is kept at each end for whoever reads its figures.
inline constexpr std::size_t kKeptEndBytes = 2048;

struct RelayResult {
  enum class End : std::uint8_t {
    complete,          // the whole answer went to the client
    held,              // by its status (hold_from_status); nothing was sent to the client
    client_gone,       // the client left or stopped reading; the upstream connection was closed
    connect_failed,    // no connection to the server; nothing was sent to the client
    lost_before_body,  // connection broke before any body byte; nothing was sent to the client
    timed_out_before_body,  // first_byte or total timeout; nothing was sent to the client
    broken_midstream,  // connection broke, or the server sent nonsense, after body bytes were sent
    timed_out_midstream,  // idle or total timeout after body bytes were sent
  };

  // Which of the target's timeouts passed, where one did.
  enum class Timeout : std::uint8_t { none, connect, first_byte, idle, total };

  End end = End::complete;
  Timeout timeout = Timeout::none;
  HeldAnswer held;               // where it ended as `held`
  bool error_event = false;      // the stream ended with what on_error_event returned
  int status = 0;                // of the server's answer, when its head arrived
  std::uint64_t body_bytes = 0;  // of the answer's body, sent towards the client
  // The body's first and last bytes, up to kKeptEndBytes of each; they may overlap.
  std::string body_begin;
  std::string body_end;
  std::string why;  // what the system or the parser said, when something failed

  Duration connect_time{};                  // zero for a pooled connection
  std::optional<Duration> first_byte_time;  // relay() -> first body byte
  Duration total_time{};
  bool reused_connection = false;

  // Nothing of an answer has reached the client, so respond() or another relay() may follow.
  bool may_answer_again() const {
    return end == End::held || end == End::connect_failed || end == End::lost_before_body ||
           end == End::timed_out_before_body;
  }
};

std::string_view to_text(RelayResult::End end);

}  // namespace tonnage::net
