#include "config/reload.h"

#include <algorithm>
#include <utility>

#include "config/device_pools.h"

namespace tonnage {
namespace {

// Whether a server that was started with `a` is what `b` asks for. What only tonnage itself looks
// at, such as aliases, needs no other server.
bool same_server(const ModelConfig& a, const ModelPolicy& a_policy, const ModelConfig& b,
                 const ModelPolicy& b_policy) {
  ModelConfig like = b;
  like.aliases = a.aliases;
  like.preload = a.preload;
  like.no_replay_paths = a.no_replay_paths;
  like.request_timeout = a.request_timeout;
  like.context_given = a.context_given;
  like.concurrency_given = a.concurrency_given;
  like.type = a.type;
  return like == a && a_policy.type == b_policy.type;
}

// Keys that parts of the daemon took when they were made. The running value stays in force.
class StartKeys {
 public:
  StartKeys(const Config& running, Config& next, std::vector<std::string>& later)
      : running_(running), next_(next), later_(later) {}

  template <typename T>
  void keep(T Config::* field, const char* key) {
    if (next_.*field == running_.*field)
      return;
    later_.emplace_back(key);
    next_.*field = running_.*field;
  }

 private:
  const Config& running_;
  Config& next_;
  std::vector<std::string>& later_;
};

void keep_start_keys(const Config& running, Config& next, std::vector<std::string>& later) {
  StartKeys keys(running, next, later);
  keys.keep(&Config::cpu, "cpu");
  keys.keep(&Config::listen, "listen");
  keys.keep(&Config::runtime_dir, "runtime_dir");
  keys.keep(&Config::state_dir, "state_dir");
  keys.keep(&Config::journal, "journal");
  keys.keep(&Config::history, "history");
  keys.keep(&Config::llama_server, "engine.llama_server");
  keys.keep(&Config::spin_count, "engine.spin_count");
  keys.keep(&Config::log_format, "log.format");
  if (next.probe.devices_file != running.probe.devices_file) {
    later.emplace_back("probe.devices_file");
    next.probe.devices_file = running.probe.devices_file;
  }
  // The door's own bounds were given to it; those of requests are looked up each time.
  Limits limits = next.limits;
  limits.connect_timeout = running.limits.connect_timeout;
  limits.upstream_idle_timeout = running.limits.upstream_idle_timeout;
  limits.request_timeout = running.limits.request_timeout;
  if (limits != running.limits) {
    later.emplace_back("limits");
    Limits kept = running.limits;
    kept.connect_timeout = next.limits.connect_timeout;
    kept.upstream_idle_timeout = next.limits.upstream_idle_timeout;
    kept.request_timeout = next.limits.request_timeout;
    next.limits = kept;
  }
}

}  // namespace

MergedConfig merge_reload(const Config& running, Config next) {
  MergedConfig merged;
  keep_start_keys(running, next, merged.later);
  // The devices are those of the start; their budgets and defaults are read anew.
  if (!running.devices.empty())
    apply_devices(next, running.devices);
  const std::optional<ModelId> fallback = next.policy.pressure.fallback;
  std::vector<ModelPolicy> policies = running.policy.models;
  std::vector<ModelConfig> models = running.models;
  std::vector<bool> named(policies.size(), false);
  for (std::size_t i = 0; i < next.models.size(); ++i) {
    const std::string& id = next.policy.models[i].id;
    const bool is_fallback = fallback && fallback->value == i;
    const auto known = std::ranges::find(policies, id, &ModelPolicy::id);
    if (is_fallback) {
      next.policy.pressure.fallback = ModelId(static_cast<std::uint32_t>(known - policies.begin()));
    }
    if (known == policies.end()) {
      policies.push_back(next.policy.models[i]);
      models.push_back(next.models[i]);
      named.push_back(true);
      merged.added.push_back(id);
      continue;
    }
    const auto at = static_cast<std::size_t>(known - policies.begin());
    named[at] = true;
    if (policies[at].removed)
      merged.added.push_back(id);
    if (policies[at].removed ||
        !same_server(models[at], policies[at], next.models[i], next.policy.models[i]))
      merged.changed.emplace_back(static_cast<std::uint32_t>(at));
    policies[at] = next.policy.models[i];
    models[at] = next.models[i];
  }
  for (std::size_t i = 0; i < policies.size(); ++i) {
    if (named[i] || policies[i].removed)
      continue;
    policies[i].removed = true;
    models[i].aliases.clear();
    models[i].preload = false;
    merged.removed.push_back(policies[i].id);
  }
  std::ranges::sort(merged.changed);
  merged.config = std::move(next);
  merged.config.policy.models = std::move(policies);
  merged.config.models = std::move(models);
  return merged;
}

}  // namespace tonnage
