// Actions: everything that the core can ask of the world. A request to act, never a fact.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/decision.h"
#include "core/types.h"

namespace tonnage {

// Work out the model's placement rows, off the loop. Answered by ModelProfiled, ProfileFailed, or
// by DryRunEnded where more dry runs follow.
struct Profile {
  ModelId model;
  bool next = false;  // go on with the next dry run; else from the beginning

  friend bool operator==(const Profile&, const Profile&) = default;
};

// Start a server. Answered by ServerReady or ServerExited (StartServer never goes unanswered).
struct StartServer {
  ModelId model;
  Generation generation;
  Placement placement;
  // The pool of each logical device of the server, in its order; empty: it runs without a GPU.
  std::vector<PoolId> devices;

  friend bool operator==(const StartServer&, const StartServer&) = default;
};

// End a server; answered by ServerExited. SIGTERM first and SIGKILL after the stop time-out,
// or SIGKILL at once when it hangs.
struct StopServer {
  ModelId model;
  Generation generation;
  bool kill_at_once = false;

  friend bool operator==(const StopServer&, const StopServer&) = default;
};

// Send the request to that server. Answered by one RequestEnded.
struct Admit {
  RequestId request;
  ModelId model;
  Generation generation;

  friend bool operator==(const Admit&, const Admit&) = default;
};

// How a refusal looks to the client.
enum class RefusalStatus : std::uint8_t {
  too_large,    // 507-like: never fits; sent as 400 invalid_request_error with the arithmetic
  unavailable,  // 503 with Retry-After
  bad_gateway,  // 502: its server failed with it, or cannot be started
  not_found,    // 404: the configuration names the model no more
};

std::string_view to_text(RefusalStatus status);

// Answer the request with an error. The decision carries the reason and the arithmetic.
struct Refuse {
  RequestId request;
  RefusalStatus status = RefusalStatus::unavailable;
  Decision decision;

  friend bool operator==(const Refuse&, const Refuse&) = default;
};

// The end of an operator's command: done, or why not.
struct CommandDone {
  CommandId command;
  bool ok = true;
  std::string text;  // for people

  friend bool operator==(const CommandDone&, const CommandDone&) = default;
};

// Keep this decision: for `why`, for the log, for the event stream.
struct Decided {
  Decision decision;

  friend bool operator==(const Decided&, const Decided&) = default;
};

// A pool's pressure level changed. `level` and `before` are names; empty: below every level.
struct LevelChanged {
  PoolId pool;
  std::string level;
  std::string before;
  Bytes used;
  Bytes capacity;
  bool notify = false;  // the level wants somebody told, beyond the log

  friend bool operator==(const LevelChanged&, const LevelChanged&) = default;
};

// Give back what is kept only to be quick. `hard`: also what takes time to get back.
struct Trim {
  PoolId pool;
  bool hard = false;

  friend bool operator==(const Trim&, const Trim&) = default;
};

// A server has gone and its device memory has not come back: kill whatever is left of it.
struct KillRemains {
  ModelId model;
  Generation generation;

  friend bool operator==(const KillRemains&, const KillRemains&) = default;
};

// Shutdown is complete: no request, no server.
struct Drained {
  friend bool operator==(const Drained&, const Drained&) = default;
};

using Action = std::variant<Profile, StartServer, StopServer, Admit, Refuse, CommandDone, Decided,
                            Drained, LevelChanged, Trim, KillRemains>;
using Actions = std::vector<Action>;

}  // namespace tonnage
