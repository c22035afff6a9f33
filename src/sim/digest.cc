#include "sim/digest.h"

#include <concepts>
#include <optional>
#include <type_traits>
#include <vector>

namespace tonnage::sim {

// One overload per kind of field; each act() lists the fields of its aggregate.
struct DigestFields {
  Digest& digest;

  template <typename... Fields>
  void all(const Fields&... fields) {
    (put(fields), ...);
  }

  template <typename T>
    requires std::integral<T> || std::is_enum_v<T>
  void put(T value) {
    digest.mix(static_cast<std::uint64_t>(value));
  }
  template <typename Tag, typename Rep>
  void put(Id<Tag, Rep> id) {
    put(id.value);
  }
  void put(Bytes bytes) { put(bytes.count); }
  void put(Duration duration) { put(duration.count()); }
  void put(Tick tick) { put(tick.time_since_epoch().count()); }
  void put(const std::string& text) {
    put(text.size());
    for (const char c : text)
      put(static_cast<unsigned char>(c));
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value)
      put(*value);
  }
  template <typename T>
  void put(const std::vector<T>& values) {
    put(values.size());
    for (const T& value : values)
      put(value);
  }

  void put(const Placement& p) { all(p.gpu_layers, p.context, p.slots, p.kv); }
  void put(const Failure& f) { all(f.kind, f.text); }
  void put(const PlacementNeed& n) { all(n.placement, n.need, n.pool); }
  void put(const PlacementRow& r) {
    all(r.placement, r.device_bytes, r.host_anon);
    for (const WeightFile& weights : r.weights)
      all(weights.file, weights.size);
    all(r.speed_permille, r.source);
  }
  void put(const Decision& d) {
    all(d.kind, d.reason, d.at, d.model, d.other, d.request, d.generation, d.placement, d.pool,
        d.need, d.headroom, d.usable, d.victims, d.tried, d.waited, d.retry_after, d.used,
        d.capacity, d.foreign, d.cooldown, d.failure, d.text);
  }

  void put(const RequestArrived& e) {
    all(e.request, e.model, e.priority, e.context_needed, e.counted, e.slots, e.context_wished);
  }
  void put(const RequestEnded& e) { all(e.request, e.generation, e.outcome); }
  void put(const ClientGone& e) { all(e.request); }
  void put(const ModelProfiled& e) { all(e.model, e.rows); }
  void put(const ProfileFailed& e) { all(e.model, e.failure); }
  void put(const DryRunEnded& e) { all(e.model); }
  void put(const ServerReady& e) { all(e.generation); }
  void put(const ServerExited& e) { all(e.generation, e.failure); }
  void put(const ServerUnresponsive& e) { all(e.generation, e.failure); }
  void put(const ServerOutOfMemory& e) { all(e.generation, e.failure); }
  void put(const ServerSampled& e) { all(e.generation, e.host_anon, e.device_bytes); }
  void put(const PoolSampled& e) {
    all(e.pool, e.capacity, e.foreign, e.used, e.orphaned, e.expected);
  }
  void put(const PoolLost& e) { all(e.pool, e.text); }
  void put(const StallSampled& e) { all(e.some_permille, e.full_permille); }
  void put(const LoadModel& e) { all(e.command, e.model, e.may_evict); }
  void put(const UnloadModel& e) { all(e.command, e.model); }
  void put(const PinModel& e) { all(e.command, e.model, e.pinned); }
  void put(const ClearModel& e) { all(e.command, e.model); }
  void put(const Flush& e) { all(e.command); }
  void put(const Shutdown&) {}
  void put(const Timer&) {}
  void put(const PolicyChanged& e) { all(e.changed); }

  void put(const Profile& a) { all(a.model, a.next); }
  void put(const StartServer& a) { all(a.model, a.generation, a.placement, a.devices); }
  void put(const StopServer& a) { all(a.model, a.generation, a.kill_at_once); }
  void put(const Admit& a) { all(a.request, a.model, a.generation); }
  void put(const Refuse& a) { all(a.request, a.status, a.decision); }
  void put(const CommandDone& a) { all(a.command, a.ok, a.text); }
  void put(const Decided& a) { all(a.decision); }
  void put(const Drained&) {}
  void put(const LevelChanged& a) { all(a.pool, a.level, a.before, a.used, a.capacity, a.notify); }
  void put(const Trim& a) { all(a.pool, a.hard); }
  void put(const KillRemains& a) { all(a.model, a.generation); }
};

void Digest::add(Tick now, const Event& event) {
  DigestFields fields{*this};
  fields.put(now);
  fields.put(event.index());
  std::visit([&](const auto& e) { fields.put(e); }, event);
}

void Digest::add(const Action& action) {
  DigestFields fields{*this};
  fields.put(action.index());
  std::visit([&](const auto& a) { fields.put(a); }, action);
}

}  // namespace tonnage::sim
