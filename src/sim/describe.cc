#include "sim/describe.h"

#include <array>
#include <cstdio>

namespace tonnage::sim {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<Event>> kEventNames = {
    "RequestArrived", "RequestEnded",     "ClientGone",         "ModelProfiled", "ProfileFailed",
    "ServerReady",    "ServerExited",     "ServerUnresponsive", "ServerSampled", "PoolSampled",
    "LoadModel",      "UnloadModel",      "PinModel",           "Flush",         "Shutdown",
    "Timer",          "PolicyChanged",    "PoolLost",           "StallSampled",  "ClearModel",
    "DryRunEnded",    "ServerOutOfMemory"};

constexpr std::array<std::string_view, std::variant_size_v<Action>> kActionNames = {
    "Profile", "StartServer", "StopServer",   "Admit", "Refuse",     "CommandDone",
    "Decided", "Drained",     "LevelChanged", "Trim",  "KillRemains"};

// How ids are written in lines.
struct Names {
  const Policy& policy;

  std::string name(ModelId model) const {
    if (model.value >= policy.models.size())
      return "model " + std::to_string(model.value);
    return policy.models[model.value].id;
  }
  static std::string r(RequestId id) { return "r" + std::to_string(id.value); }
  static std::string g(Generation id) { return "g" + std::to_string(id.value); }
  static std::string c(CommandId id) { return "c" + std::to_string(id.value); }
  std::string pool(PoolId id) const {
    return id.value < policy.pools.size() ? policy.pools[id.value].name
                                          : "pool " + std::to_string(id.value);
  }
  static std::string failure(const Failure& f) {
    return std::string(to_text(f.kind)) + (f.text.empty() ? "" : ": " + f.text);
  }
};

struct EventLine : Names {
  std::string operator()(const RequestArrived& e) const {
    std::string text =
        "request " + r(e.request) + " for " + (e.model ? name(*e.model) : "resident");
    if (e.priority != Priority::normal)
      text += " priority " + std::string(to_text(e.priority));
    if (e.context_needed > 0)
      text += " context " + std::to_string(e.context_needed);
    if (e.context_wished > 0)
      text += " wishes " + std::to_string(e.context_wished);
    if (!e.counted)
      text += " uncounted";
    if (e.slots != 1)
      text += " slots " + std::to_string(e.slots);
    return text;
  }
  std::string operator()(const RequestEnded& e) const {
    return "end " + r(e.request) + " " + g(e.generation) + " " + std::string(to_text(e.outcome));
  }
  std::string operator()(const ClientGone& e) const { return "gone " + r(e.request); }
  std::string operator()(const ModelProfiled& e) const {
    std::string text = "profiled " + name(e.model) + ":";
    for (const PlacementRow& row : e.rows) {
      text += " [" + describe(row) + "]";
    }
    return text;
  }
  std::string operator()(const ProfileFailed& e) const {
    return "profile failed " + name(e.model) + " " + failure(e.failure);
  }
  std::string operator()(const DryRunEnded& e) const { return "dry run ended " + name(e.model); }
  std::string operator()(const ServerReady& e) const { return "ready " + g(e.generation); }
  std::string operator()(const ServerExited& e) const {
    return "exit " + g(e.generation) + (e.failure ? " " + failure(*e.failure) : "");
  }
  std::string operator()(const ServerUnresponsive& e) const {
    return "unresponsive " + g(e.generation) + " " + failure(e.failure);
  }
  std::string operator()(const ServerOutOfMemory& e) const {
    return "short " + g(e.generation) + " " + failure(e.failure);
  }
  std::string operator()(const ServerSampled& e) const {
    std::string text = "sample " + g(e.generation) + " " + to_text(e.host_anon);
    for (std::size_t i = 0; i < e.device_bytes.size(); ++i) {
      text +=
          " " + pool(PoolId(static_cast<std::uint32_t>(i + 1))) + " " + to_text(e.device_bytes[i]);
    }
    return text;
  }
  std::string operator()(const PoolSampled& e) const {
    std::string text = "pool " + pool(e.pool) + " capacity " + to_text(e.capacity) + " foreign " +
                       to_text(e.foreign);
    if (e.used > Bytes{0})
      text += " used " + to_text(e.used);
    if (e.orphaned && *e.orphaned > Bytes{0})
      text += " orphaned " + to_text(*e.orphaned);
    return text;
  }
  std::string operator()(const PoolLost& e) const {
    return "pool " + pool(e.pool) + " lost: " + e.text;
  }
  std::string operator()(const StallSampled& e) const {
    return "stalls some " + std::to_string(e.some_permille) + " full " +
           std::to_string(e.full_permille);
  }
  std::string operator()(const LoadModel& e) const {
    return "command " + c(e.command) + " load " + name(e.model) + (e.may_evict ? "" : " sparing");
  }
  std::string operator()(const UnloadModel& e) const {
    return "command " + c(e.command) + " unload " + name(e.model);
  }
  std::string operator()(const PinModel& e) const {
    return "command " + c(e.command) + (e.pinned ? " pin " : " unpin ") + name(e.model);
  }
  std::string operator()(const ClearModel& e) const {
    return "command " + c(e.command) + " clear " + name(e.model);
  }
  std::string operator()(const Flush& e) const { return "command " + c(e.command) + " flush"; }
  std::string operator()(const Shutdown&) const { return "shutdown"; }
  std::string operator()(const Timer&) const { return "timer"; }
  std::string operator()(const PolicyChanged& e) const {
    std::string text = "policy changed";
    for (const ModelId model : e.changed)
      text += " " + name(model);
    return text;
  }
};

struct ActionLine : Names {
  std::string operator()(const Profile& a) const {
    return "profile " + name(a.model) + (a.next ? ", next" : "");
  }
  std::string operator()(const StartServer& a) const {
    std::string text =
        "load " + name(a.model) + " " + g(a.generation) + " (" + describe(a.placement) + ")";
    for (std::size_t i = 0; i < a.devices.size(); ++i)
      text += (i == 0 ? " on " : ", ") + pool(a.devices[i]);
    return text;
  }
  std::string operator()(const StopServer& a) const {
    return std::string(a.kill_at_once ? "kill " : "stop ") + name(a.model) + " " + g(a.generation);
  }
  std::string operator()(const Admit& a) const {
    return "admit " + r(a.request) + " to " + name(a.model) + " " + g(a.generation);
  }
  std::string operator()(const Refuse& a) const {
    return "refuse " + r(a.request) + " " + std::string(to_text(a.status)) + ", " +
           std::string(tonnage::to_text(a.decision.reason)) + ": " + explain(a.decision, policy);
  }
  std::string operator()(const CommandDone& a) const {
    return "answer " + c(a.command) + (a.ok ? " ok: " : " failed: ") + a.text;
  }
  std::string operator()(const Decided& a) const {
    return "because " + std::string(tonnage::to_text(a.decision.kind)) + ", " +
           std::string(tonnage::to_text(a.decision.reason)) + ": " + explain(a.decision, policy);
  }
  std::string operator()(const Drained&) const { return "drained"; }
  std::string operator()(const LevelChanged& a) const {
    return "level of " + pool(a.pool) + " is " + (a.level.empty() ? "normal" : a.level) +
           (a.notify ? ", told" : "");
  }
  std::string operator()(const Trim& a) const {
    return std::string(a.hard ? "trim hard " : "trim ") + pool(a.pool);
  }
  std::string operator()(const KillRemains& a) const {
    return "kill remains of " + name(a.model) + " " + g(a.generation);
  }
};

}  // namespace

std::string describe(const Event& event, const Policy& policy) {
  return std::visit(EventLine{{policy}}, event);
}

std::string describe(const Action& action, const Policy& policy) {
  return std::visit(ActionLine{{policy}}, action);
}

std::string describe(Tick at) {
  const std::int64_t us = at.time_since_epoch().count();
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%lld.%06llds",
                static_cast<long long>(us / 1'000'000), static_cast<long long>(us % 1'000'000));
  return buffer.data();
}

std::string describe(const Placement& placement) {
  std::string text = "context " + std::to_string(placement.context) + ", " +
                     std::to_string(placement.slots) + (placement.slots == 1 ? " slot" : " slots");
  if (placement.gpu_layers > 0)
    text += ", " + std::to_string(placement.gpu_layers) + " layers on the GPU";
  if (placement.kv != KvType::f16)
    text += ", kv " + std::string(to_text(placement.kv));
  return text;
}

std::string describe(const PlacementRow& row) {
  std::string text = describe(row.placement) + ": " + to_text(row.host_anon);
  for (const WeightFile& weights : row.weights) {
    if (weights.size > Bytes(0))
      text += " + " + to_text(weights.size) + " file " + std::to_string(weights.file.value);
  }
  return text;
}

std::string_view event_name(std::size_t index) {
  return kEventNames.at(index);
}
std::string_view action_name(std::size_t index) {
  return kActionNames.at(index);
}

}  // namespace tonnage::sim
