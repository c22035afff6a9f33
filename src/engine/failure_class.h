// classify_exit, classify_answer: what a server's end or its answer says about what went wrong.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/types.h"
#include "engine/failure_catalogue.h"
#include "engine/failure_detail.h"
#include "process/exit_status.h"

namespace tonnage {

// `killed_by_kernel`: an OOM kill was counted about when the server ended. `last_lines`: oldest
// first; the last 60 that are neither empty nor a debugger's count. `rows` is an argument for
// tests.
//
// An end in order (status 0) is no failure of memory, set-up or model, whatever the server said
// before. A signal that no program raises by a fault of its own is `killed`: somebody sent it.
Failure classify_exit(ExitStatus status, bool killed_by_kernel,
                      std::span<const std::string_view> last_lines,
                      std::span<const FailureRow> rows = failure_catalogue());

// Whether the newest words of a server that was ready are those of one that ends because somebody
// asked it to: a signal may leave one that answers nobody and has not gone yet.
bool was_asked_to_end(std::span<const std::string_view> last_lines);

// What an answer says about its server.
enum class AnswerVerdict : std::uint8_t {
  fine,          // not an error
  client_error,  // the request is at fault; no server would serve it as it is
  loading,       // the server is not ready yet
  busy,          // the server is full; the same request may be sent again later
  memory,        // the server ran out of memory: AnswerClass::failure says of which
  server_gone,   // the answering program lives, the server behind it does not
  server_error,  // anything else
};

struct AnswerClass {
  AnswerVerdict verdict = AnswerVerdict::fine;
  // Of `memory`, `server_gone` and `server_error`; its text is "HTTP 500: the body's message".
  std::optional<Failure> failure;
  FailureDetail detail;
};

// `body` may be JSON or text; its first 64 KiB are looked at. `last_lines` of the same server, if
// known, decide where a body is vague ("Compute error.").
AnswerClass classify_answer(int status, std::string_view body,
                            std::span<const std::string_view> last_lines = {},
                            std::span<const FailureRow> rows = failure_catalogue());

// The message of an error body in any dialect, without line ends; at most 500 bytes.
std::string message_of(std::string_view body);

std::string_view to_text(AnswerVerdict verdict);

}  // namespace tonnage
