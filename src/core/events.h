// Events: everything that can happen to the core, as plain aggregates that a journal can encode.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/policy.h"
#include "core/types.h"

namespace tonnage {

// A client asks for a model. Without a model it asks for `resident`: the most recently used ready
// LLM, which never loads or evicts anything.
struct RequestArrived {
  RequestId request;
  std::optional<ModelId> model;
  Priority priority = Priority::normal;
  std::int32_t context_needed = 0;  // tokens at least, as a fact; 0 when nobody knows
  bool counted = true;  // false: a look at a server (/props, /slots) that takes a lease but no slot
  // Sequences that it makes the server work on at once: of `n` answers, of a list of texts. It is
  // admitted when so many slots are free, or all that there are.
  std::int32_t slots = 1;
  // Tokens of prompt and answer by estimate; 0: none was made. A placement that holds them is
  // preferred, and nothing is refused for their sake.
  std::int32_t context_wished = 0;

  friend bool operator==(const RequestArrived&, const RequestArrived&) = default;
};

// A request that was admitted to `generation` came to its end; its lease is over.
struct RequestEnded {
  RequestId request;
  Generation generation;
  RequestOutcome outcome = RequestOutcome::answered;
  // What its answer says, for the record: nothing is decided by it.
  std::uint32_t prompt_tokens = 0;
  std::uint32_t kept_tokens = 0;  // of the prompt, from earlier requests
  std::uint32_t generated_tokens = 0;

  friend bool operator==(const RequestEnded&, const RequestEnded&) = default;
};

// The client of a request left. A waiting request is forgotten; an admitted one keeps its lease
// until RequestEnded says that the server's slot is idle.
struct ClientGone {
  RequestId request;

  friend bool operator==(const ClientGone&, const ClientGone&) = default;
};

// The answer to Profile, or unasked: what was learned since. Rows that come while the model has a
// server count from its next load on.
struct ModelProfiled {
  ModelId model;
  std::vector<PlacementRow> rows;  // best first; 1 to kPlacementRowsMax

  friend bool operator==(const ModelProfiled&, const ModelProfiled&) = default;
};

// Between two dry runs of a profile: what the one that ended held on devices has to be seen free
// before the next. Answered by another Profile, or by none where the profile has become pointless.
struct DryRunEnded {
  ModelId model;

  friend bool operator==(const DryRunEnded&, const DryRunEnded&) = default;
};

struct ProfileFailed {
  ModelId model;
  Failure failure;

  friend bool operator==(const ProfileFailed&, const ProfileFailed&) = default;
};

struct ServerReady {
  Generation generation;

  friend bool operator==(const ServerReady&, const ServerReady&) = default;
};

// The process of a generation is gone, and its host memory with it. `failure` is empty when it
// ended because it was told to.
struct ServerExited {
  Generation generation;
  std::optional<Failure> failure;

  friend bool operator==(const ServerExited&, const ServerExited&) = default;
};

// A ready server stopped answering. It still holds its memory until ServerExited.
struct ServerUnresponsive {
  Generation generation;
  Failure failure;

  friend bool operator==(const ServerUnresponsive&, const ServerUnresponsive&) = default;
};

// A ready server answered a request with an out-of-memory error and goes on running. It holds what
// it holds until ServerExited; its next request would fail as well. Each request that met with it
// may say so; the first word counts. It comes before the RequestEnded of its request, so that the
// core knows then what the request was lost for.
struct ServerOutOfMemory {
  Generation generation;
  Failure failure;

  friend bool operator==(const ServerOutOfMemory&, const ServerOutOfMemory&) = default;
};

// What one server's process tree holds now: anonymous, shared and locked memory, without its
// mapped weight files, and what its processes hold in each device pool.
struct ServerSampled {
  Generation generation;
  Bytes host_anon;
  // Index is PoolId - 1. Empty where no source tells what a process holds on a device.
  std::vector<Bytes> device_bytes;

  friend bool operator==(const ServerSampled&, const ServerSampled&) = default;
};

// What a probe saw of a pool. `foreign` is what cannot be reclaimed and is not ours.
struct PoolSampled {
  PoolId pool;
  Bytes capacity;
  Bytes foreign;
  Bytes used;  // everything in use that cannot be reclaimed: ours and foreign
  // The part of `foreign` that no process holds: a driver that has not given it back yet, a leak.
  // Empty where no source tells the processes of a device.
  std::optional<Bytes> orphaned;
  // What living programs of others held lately beyond what they hold now. They may take it again,
  // so no load counts on it; nothing is stopped for it.
  Bytes expected;

  friend bool operator==(const PoolSampled&, const PoolSampled&) = default;
};

// A device is no longer visible: it fell off the bus, or its driver is gone. Nothing is placed
// there until it is sampled again.
struct PoolLost {
  PoolId pool;
  std::string text;  // for people

  friend bool operator==(const PoolLost&, const PoolLost&) = default;
};

// Share of the last 10 s that some, or all, tasks of the machine or of our cgroup waited for
// host memory, whichever is worse (PSI).
struct StallSampled {
  std::int64_t some_permille = 0;
  std::int64_t full_permille = 0;

  friend bool operator==(const StallSampled&, const StallSampled&) = default;
};

// The configuration changed. Models keep their ids: new ones come after the known ones, and those
// that are gone stay, marked as removed. `changed` are models whose servers have to be replaced,
// because they run with what is no longer configured. Pools are as many as before; a policy for
// fewer models or other pools is ignored.
struct PolicyChanged {
  Policy policy;
  std::vector<ModelId> changed;

  friend bool operator==(const PolicyChanged&, const PolicyChanged&) = default;
};

// Operator commands. Each is answered by one CommandDone.
struct LoadModel {
  CommandId command;
  ModelId model;
  bool may_evict = true;  // false: only if it fits beside what is there; fails at once otherwise

  friend bool operator==(const LoadModel&, const LoadModel&) = default;
};
struct UnloadModel {
  CommandId command;
  ModelId model;

  friend bool operator==(const UnloadModel&, const UnloadModel&) = default;
};
struct PinModel {
  CommandId command;
  ModelId model;
  bool pinned = true;

  friend bool operator==(const PinModel&, const PinModel&) = default;
};
// Forgets what went wrong with a model: it may use its device again, and does not rest.
struct ClearModel {
  CommandId command;
  ModelId model;

  friend bool operator==(const ClearModel&, const ClearModel&) = default;
};
// Unloads everything that no request uses and nobody pinned.
struct Flush {
  CommandId command;

  friend bool operator==(const Flush&, const Flush&) = default;
};

// No new work; what runs may end; then every server stops and Drained follows.
struct Shutdown {
  friend bool operator==(const Shutdown&, const Shutdown&) = default;
};

// The deadline that next_deadline() named has come.
struct Timer {
  friend bool operator==(const Timer&, const Timer&) = default;
};

using Event =
    std::variant<RequestArrived, RequestEnded, ClientGone, ModelProfiled, ProfileFailed,
                 ServerReady, ServerExited, ServerUnresponsive, ServerSampled, PoolSampled,
                 LoadModel, UnloadModel, PinModel, Flush, Shutdown, Timer, PolicyChanged, PoolLost,
                 StallSampled, ClearModel, DryRunEnded, ServerOutOfMemory>;

}  // namespace tonnage
