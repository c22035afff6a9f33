// Fields<T>: the names of everything that a journal writes of events and actions. One list for each
// type, used for writing and for reading. The policy's are in policy_fields.h and those of the
// core's state in state_fields.h.
#pragma once

#include <string_view>
#include <tuple>

#include "core/actions.h"
#include "core/events.h"
#include "core/residency.h"
#include "core/usage.h"

namespace tonnage::journal {

template <typename T, typename M>
struct Field {
  std::string_view name;
  M T::* member;
};
template <typename T, typename M>
Field(const char*, M T::*) -> Field<T, M>;

// A specialisation has `kList`, a tuple of Field. Fields at their default are not written.
template <typename T>
struct Fields;

// An alternative of Event or Action has a `kType` as well, its name in the journal.
template <typename T>
concept Alternative = requires { Fields<T>::kType; };
template <typename T>
concept Described = requires { Fields<T>::kList; };

// How many values an enumeration has, from zero up; each has a to_text.
template <typename E>
inline constexpr int kValues = 0;

template <>
inline constexpr int kValues<ModelType> = static_cast<int>(ModelType::other) + 1;
template <>
inline constexpr int kValues<Priority> = static_cast<int>(Priority::high) + 1;
template <>
inline constexpr int kValues<KvType> = static_cast<int>(KvType::iq4_nl) + 1;
template <>
inline constexpr int kValues<FootprintSource> = static_cast<int>(FootprintSource::declared) + 1;
template <>
inline constexpr int kValues<FailureKind> = static_cast<int>(FailureKind::killed) + 1;
template <>
inline constexpr int kValues<RequestOutcome> = static_cast<int>(RequestOutcome::broken) + 1;
template <>
inline constexpr int kValues<ResidencyState> = static_cast<int>(ResidencyState::failed) + 1;
template <>
inline constexpr int kValues<DrainCause> = static_cast<int>(DrainCause::pressing) + 1;
template <>
inline constexpr int kValues<DecisionKind> = static_cast<int>(DecisionKind::leak) + 1;
template <>
inline constexpr int kValues<ReasonCode> = static_cast<int>(ReasonCode::more_context) + 1;
template <>
inline constexpr int kValues<RefusalStatus> = static_cast<int>(RefusalStatus::not_found) + 1;
template <>
inline constexpr int kValues<PressureBasis> = static_cast<int>(PressureBasis::overrun) + 1;
template <>
inline constexpr int kValues<PressureStepKind> = static_cast<int>(PressureStepKind::fallback) + 1;
template <>
inline constexpr int kValues<EvictionKind> = static_cast<int>(EvictionKind::value) + 1;

// Values.

template <>
struct Fields<Placement> {
  using T = Placement;
  static constexpr auto kList =
      std::tuple{Field{"gpu_layers", &T::gpu_layers}, Field{"context", &T::context},
                 Field{"slots", &T::slots}, Field{"kv", &T::kv}};
};

template <>
struct Fields<WeightFile> {
  using T = WeightFile;
  static constexpr auto kList = std::tuple{Field{"file", &T::file}, Field{"size", &T::size}};
};

template <>
struct Fields<PlacementRow> {
  using T = PlacementRow;
  static constexpr auto kList =
      std::tuple{Field{"placement", &T::placement},  Field{"device_bytes", &T::device_bytes},
                 Field{"host_anon", &T::host_anon},  Field{"weights", &T::weights},
                 Field{"speed", &T::speed_permille}, Field{"source", &T::source}};
};

template <>
struct Fields<Failure> {
  using T = Failure;
  static constexpr auto kList = std::tuple{Field{"kind", &T::kind}, Field{"text", &T::text}};
};

template <>
struct Fields<PlacementNeed> {
  using T = PlacementNeed;
  static constexpr auto kList = std::tuple{Field{"placement", &T::placement},
                                           Field{"need", &T::need}, Field{"pool", &T::pool}};
};

template <>
struct Fields<Decision> {
  using T = Decision;
  static constexpr auto kList = std::tuple{Field{"kind", &T::kind},
                                           Field{"reason", &T::reason},
                                           Field{"at", &T::at},
                                           Field{"model", &T::model},
                                           Field{"other", &T::other},
                                           Field{"request", &T::request},
                                           Field{"generation", &T::generation},
                                           Field{"placement", &T::placement},
                                           Field{"pool", &T::pool},
                                           Field{"need", &T::need},
                                           Field{"headroom", &T::headroom},
                                           Field{"usable", &T::usable},
                                           Field{"victims", &T::victims},
                                           Field{"tried", &T::tried},
                                           Field{"waited", &T::waited},
                                           Field{"retry_after", &T::retry_after},
                                           Field{"used", &T::used},
                                           Field{"capacity", &T::capacity},
                                           Field{"foreign", &T::foreign},
                                           Field{"cooldown", &T::cooldown},
                                           Field{"failure", &T::failure},
                                           Field{"text", &T::text}};
};

template <>
struct Fields<Usage::Memory> {
  using T = Usage::Memory;
  static constexpr auto kList = std::tuple{Field{"count", &T::count}, Field{"at", &T::at}};
};

// Events.

template <>
struct Fields<RequestArrived> {
  using T = RequestArrived;
  static constexpr std::string_view kType = "request_arrived";
  static constexpr auto kList = std::tuple{Field{"request", &T::request},
                                           Field{"model", &T::model},
                                           Field{"priority", &T::priority},
                                           Field{"context_needed", &T::context_needed},
                                           Field{"counted", &T::counted},
                                           Field{"slots", &T::slots},
                                           Field{"context_wished", &T::context_wished}};
};

template <>
struct Fields<RequestEnded> {
  using T = RequestEnded;
  static constexpr std::string_view kType = "request_ended";
  static constexpr auto kList = std::tuple{
      Field{"request", &T::request},         Field{"generation", &T::generation},
      Field{"outcome", &T::outcome},         Field{"prompt_tokens", &T::prompt_tokens},
      Field{"kept_tokens", &T::kept_tokens}, Field{"generated_tokens", &T::generated_tokens}};
};

template <>
struct Fields<ClientGone> {
  using T = ClientGone;
  static constexpr std::string_view kType = "client_gone";
  static constexpr auto kList = std::tuple{Field{"request", &T::request}};
};

template <>
struct Fields<ModelProfiled> {
  using T = ModelProfiled;
  static constexpr std::string_view kType = "model_profiled";
  static constexpr auto kList = std::tuple{Field{"model", &T::model}, Field{"rows", &T::rows}};
};

template <>
struct Fields<DryRunEnded> {
  using T = DryRunEnded;
  static constexpr std::string_view kType = "dry_run_ended";
  static constexpr auto kList = std::tuple{Field{"model", &T::model}};
};

template <>
struct Fields<ProfileFailed> {
  using T = ProfileFailed;
  static constexpr std::string_view kType = "profile_failed";
  static constexpr auto kList =
      std::tuple{Field{"model", &T::model}, Field{"failure", &T::failure}};
};

template <>
struct Fields<ServerReady> {
  using T = ServerReady;
  static constexpr std::string_view kType = "server_ready";
  static constexpr auto kList = std::tuple{Field{"generation", &T::generation}};
};

template <>
struct Fields<ServerExited> {
  using T = ServerExited;
  static constexpr std::string_view kType = "server_exited";
  static constexpr auto kList =
      std::tuple{Field{"generation", &T::generation}, Field{"failure", &T::failure}};
};

template <>
struct Fields<ServerUnresponsive> {
  using T = ServerUnresponsive;
  static constexpr std::string_view kType = "server_unresponsive";
  static constexpr auto kList =
      std::tuple{Field{"generation", &T::generation}, Field{"failure", &T::failure}};
};

template <>
struct Fields<ServerOutOfMemory> {
  using T = ServerOutOfMemory;
  static constexpr std::string_view kType = "server_out_of_memory";
  static constexpr auto kList =
      std::tuple{Field{"generation", &T::generation}, Field{"failure", &T::failure}};
};

template <>
struct Fields<ServerSampled> {
  using T = ServerSampled;
  static constexpr std::string_view kType = "server_sampled";
  static constexpr auto kList =
      std::tuple{Field{"generation", &T::generation}, Field{"host_anon", &T::host_anon},
                 Field{"device_bytes", &T::device_bytes}};
};

template <>
struct Fields<PoolSampled> {
  using T = PoolSampled;
  static constexpr std::string_view kType = "pool_sampled";
  static constexpr auto kList = std::tuple{
      Field{"pool", &T::pool}, Field{"capacity", &T::capacity}, Field{"foreign", &T::foreign},
      Field{"used", &T::used}, Field{"orphaned", &T::orphaned}, Field{"expected", &T::expected}};
};

template <>
struct Fields<PoolLost> {
  using T = PoolLost;
  static constexpr std::string_view kType = "pool_lost";
  static constexpr auto kList = std::tuple{Field{"pool", &T::pool}, Field{"text", &T::text}};
};

template <>
struct Fields<StallSampled> {
  using T = StallSampled;
  static constexpr std::string_view kType = "stall_sampled";
  static constexpr auto kList =
      std::tuple{Field{"some", &T::some_permille}, Field{"full", &T::full_permille}};
};

template <>
struct Fields<PolicyChanged> {
  using T = PolicyChanged;
  static constexpr std::string_view kType = "policy_changed";
  static constexpr auto kList =
      std::tuple{Field{"policy", &T::policy}, Field{"changed", &T::changed}};
};

template <>
struct Fields<LoadModel> {
  using T = LoadModel;
  static constexpr std::string_view kType = "load_model";
  static constexpr auto kList = std::tuple{Field{"command", &T::command}, Field{"model", &T::model},
                                           Field{"may_evict", &T::may_evict}};
};

template <>
struct Fields<UnloadModel> {
  using T = UnloadModel;
  static constexpr std::string_view kType = "unload_model";
  static constexpr auto kList =
      std::tuple{Field{"command", &T::command}, Field{"model", &T::model}};
};

template <>
struct Fields<PinModel> {
  using T = PinModel;
  static constexpr std::string_view kType = "pin_model";
  static constexpr auto kList = std::tuple{Field{"command", &T::command}, Field{"model", &T::model},
                                           Field{"pinned", &T::pinned}};
};

template <>
struct Fields<ClearModel> {
  using T = ClearModel;
  static constexpr std::string_view kType = "clear_model";
  static constexpr auto kList =
      std::tuple{Field{"command", &T::command}, Field{"model", &T::model}};
};

template <>
struct Fields<Flush> {
  using T = Flush;
  static constexpr std::string_view kType = "flush";
  static constexpr auto kList = std::tuple{Field{"command", &T::command}};
};

template <>
struct Fields<Shutdown> {
  static constexpr std::string_view kType = "shutdown";
  static constexpr auto kList = std::tuple{};
};

template <>
struct Fields<Timer> {
  static constexpr std::string_view kType = "timer";
  static constexpr auto kList = std::tuple{};
};

// Actions.

template <>
struct Fields<Profile> {
  using T = Profile;
  static constexpr std::string_view kType = "profile";
  static constexpr auto kList = std::tuple{Field{"model", &T::model}, Field{"next", &T::next}};
};

template <>
struct Fields<StartServer> {
  using T = StartServer;
  static constexpr std::string_view kType = "start_server";
  static constexpr auto kList =
      std::tuple{Field{"model", &T::model}, Field{"generation", &T::generation},
                 Field{"placement", &T::placement}, Field{"devices", &T::devices}};
};

template <>
struct Fields<StopServer> {
  using T = StopServer;
  static constexpr std::string_view kType = "stop_server";
  static constexpr auto kList =
      std::tuple{Field{"model", &T::model}, Field{"generation", &T::generation},
                 Field{"kill_at_once", &T::kill_at_once}};
};

template <>
struct Fields<Admit> {
  using T = Admit;
  static constexpr std::string_view kType = "admit";
  static constexpr auto kList = std::tuple{Field{"request", &T::request}, Field{"model", &T::model},
                                           Field{"generation", &T::generation}};
};

template <>
struct Fields<Refuse> {
  using T = Refuse;
  static constexpr std::string_view kType = "refuse";
  static constexpr auto kList = std::tuple{
      Field{"request", &T::request}, Field{"status", &T::status}, Field{"decision", &T::decision}};
};

template <>
struct Fields<CommandDone> {
  using T = CommandDone;
  static constexpr std::string_view kType = "command_done";
  static constexpr auto kList =
      std::tuple{Field{"command", &T::command}, Field{"ok", &T::ok}, Field{"text", &T::text}};
};

template <>
struct Fields<Decided> {
  using T = Decided;
  static constexpr std::string_view kType = "decided";
  static constexpr auto kList = std::tuple{Field{"decision", &T::decision}};
};

template <>
struct Fields<LevelChanged> {
  using T = LevelChanged;
  static constexpr std::string_view kType = "level_changed";
  static constexpr auto kList = std::tuple{
      Field{"pool", &T::pool}, Field{"level", &T::level},       Field{"before", &T::before},
      Field{"used", &T::used}, Field{"capacity", &T::capacity}, Field{"notify", &T::notify}};
};

template <>
struct Fields<Trim> {
  using T = Trim;
  static constexpr std::string_view kType = "trim";
  static constexpr auto kList = std::tuple{Field{"pool", &T::pool}, Field{"hard", &T::hard}};
};

template <>
struct Fields<KillRemains> {
  using T = KillRemains;
  static constexpr std::string_view kType = "kill_remains";
  static constexpr auto kList =
      std::tuple{Field{"model", &T::model}, Field{"generation", &T::generation}};
};

template <>
struct Fields<Drained> {
  static constexpr std::string_view kType = "drained";
  static constexpr auto kList = std::tuple{};
};

}  // namespace tonnage::journal
