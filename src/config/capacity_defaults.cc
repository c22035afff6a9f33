#include "config/capacity_defaults.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"
#include "config/key.h"
#include "config/pressure_reader.h"
#include "config/value.h"

namespace tonnage {
namespace {

constexpr Bytes kNoBound{std::numeric_limits<std::int64_t>::max()};

// Cards report some percent less than they are sold with; the bounds lie between the sizes sold.
const std::vector<CapacityClass> kClasses = {
    {.name = "4 GB",
     .below = 6_GiB,
     .defaults = {{"budgets.gpu.reserve", "min(10%, 1GiB)"},
                  {"pressure", "demand"},
                  {"residency.ttl", "5m"},
                  {"residency.heavy_slot", "true"},
                  {"queue.degrade_after", "30s"},
                  {"defaults.context", "4096"},
                  {"defaults.slots", "1"}},
     .why = "One model fills the card. Models marked `heavy` exclude each other, an idle model "
            "leaves the card to the desktop soon, and one slot halves the KV cache."},
    {.name = "8 GB",
     .below = 10_GiB,
     .defaults = {{"budgets.gpu.reserve", "min(10%, 1GiB)"},
                  {"pressure", "demand"},
                  {"residency.ttl", "15m"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "30s"},
                  {"defaults.context", "4096"},
                  {"defaults.slots", "2"}},
     .why = "A model of 4 to 5 GB and a small one beside it. Idle models still leave by "
            "themselves, and a lesser placement is taken sooner than a long wait."},
    {.name = "12 GB",
     .below = 14_GiB,
     .defaults = {{"budgets.gpu.reserve", "min(10%, 1GiB)"},
                  {"pressure", "demand"},
                  {"residency.ttl", "30m"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "60s"},
                  {"defaults.context", "4096"},
                  {"defaults.slots", "2"}},
     .why =
         "The middle: two models of the usual sizes fit together, so idle ones may stay longer."},
    {.name = "16 GB",
     .below = 20_GiB,
     .defaults = {{"budgets.gpu.reserve", "min(10%, 1GiB)"},
                  {"pressure", "demand"},
                  {"residency.ttl", "never"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "60s"},
                  {"defaults.context", "4096"},
                  {"defaults.slots", "2"}},
     .why = "Several models live together, and an idle one leaves when somebody needs its memory, "
            "not by the clock."},
    {.name = "24 GB",
     .below = 32_GiB,
     .defaults = {{"budgets.gpu.reserve", "min(10%, 1GiB)"},
                  {"pressure", "demand"},
                  {"residency.ttl", "never"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "60s"},
                  {"defaults.context", "8192"},
                  {"defaults.slots", "2"}},
     .why = "As with 16 GB; twice the context of a usual 8B model costs 1 GiB, which is there."},
    {.name = "48 GB",
     .below = kNoBound,
     .defaults = {{"budgets.gpu.reserve", "min(10%, 2GiB)"},
                  {"pressure", "demand"},
                  {"residency.ttl", "never"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "60s"},
                  {"defaults.context", "8192"},
                  {"defaults.slots", "4"}},
     .why =
         "A card that several people share: four requests at once, and a larger reserve, because "
         "the spikes of larger models are larger."},
    {.name = "unified 18 GB",
     .unified = true,
     .below = 36_GiB,
     .defaults = {{"pressure", "unified"},
                  {"residency.ttl", "15m"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "30s"},
                  {"defaults.context", "4096"},
                  {"defaults.slots", "2"}},
     .why = "System, programs and models share one small memory. New models may count on less the "
            "fuller it is, and small ones are preferred when it is almost full."},
    {.name = "unified 128 GB",
     .unified = true,
     .below = kNoBound,
     .defaults = {{"pressure", "demand"},
                  {"residency.ttl", "never"},
                  {"residency.heavy_slot", "false"},
                  {"queue.degrade_after", "60s"},
                  {"defaults.context", "8192"},
                  {"defaults.slots", "4"}},
     .why = "Models have most of the memory to themselves, as on a large card."},
};

constexpr std::string_view kDefaultsPrefix = "defaults.";

const KeySpec& spec_of(std::string_view path) {
  const bool inherited = path.starts_with(kDefaultsPrefix);
  const std::string_view within = inherited ? path.substr(kDefaultsPrefix.size()) : path;
  const KeyScope scope = inherited ? KeyScope::model : KeyScope::global;
  const auto table = key_table();
  const auto spec = std::ranges::find_if(
      table, [&](const KeySpec& s) { return s.scope == scope && s.path == within; });
  TONNAGE_CHECK(spec != table.end(), "a capacity default names no key");
  return *spec;
}

Value value_of(const KeySpec& spec, std::string_view text) {
  Node node;
  node.kind = Node::Kind::scalar;
  node.text = text;
  auto value = parse_value(spec, node, {});
  TONNAGE_CHECK(value.has_value(), "a capacity default does not parse");
  return *value;
}

class Applying {
 public:
  Applying(Config& config, const CapacityClass& machine) : config_(config), machine_(machine) {}

  void apply(const CapacityDefault& given) {
    const auto setting = std::ranges::find(config_.sources, given.path, &Setting::path);
    if (setting != config_.sources.end() && !is_default(*setting))
      return;
    if (given.path == "pressure" && !apply_pressure(given.value))
      return;
    if (given.path != "pressure")
      store(spec_of(given.path), given);
    if (setting == config_.sources.end())
      return;
    if (setting->value == given.value)
      return;
    setting->value = given.value;
    setting->source = "default for " + std::string(machine_.name);
  }

 private:
  static bool is_default(const Setting& setting) { return setting.source.starts_with("default"); }

  // A user who changed a part of the levels meant those of the usual preset.
  bool apply_pressure(std::string_view preset) {
    const bool touched = std::ranges::any_of(config_.sources, [](const Setting& s) {
      return s.path.starts_with("pressure.") && !is_default(s);
    });
    if (touched)
      return false;
    config_.policy.pressure = pressure_preset(preset).value_or(PressurePolicy{});
    if (!config_.park)
      unload_instead_of_parking(config_.policy.pressure);
    return true;
  }

  void store(const KeySpec& spec, const CapacityDefault& given) {
    const Value value = value_of(spec, given.value);
    ModelDraft nobody;
    KeyTarget target{.config = &config_, .model = &nobody};
    spec.store(target, value);
    const std::size_t dot = given.path.rfind('.');
    for (std::size_t i = 0; i < config_.models.size(); ++i)
      store_for_model(spec, given.path.substr(dot + 1), value, i);
  }

  // Where the key is one that models inherit and this one has none of its own.
  void store_for_model(const KeySpec& spec, std::string_view key, const Value& value,
                       std::size_t i) {
    const std::string own = "models." + config_.policy.models[i].id + "." + std::string(key);
    if (std::ranges::find(config_.sources, own, &Setting::path) != config_.sources.end())
      return;
    ModelDraft draft{config_.models[i], config_.policy.models[i]};
    // A global key writes into the config only; its own fields were set above.
    KeyTarget target{.config = &config_, .model = &draft};
    spec.store(target, value);
    draft.config.context_given = config_.models[i].context_given;
    if (!draft.config.concurrency_given)
      draft.policy.in_flight_max = draft.config.configured.slots;
    // Steps of a ladder go down from the placement; the user wrote them for the usual one.
    const Placement& top = draft.config.configured;
    for (const LadderStep& step : draft.config.ladder) {
      const Placement lesser = tonnage::apply(step, top);
      if (lesser.context > top.context || lesser.slots > top.slots)
        return;
    }
    config_.models[i] = std::move(draft.config);
    config_.policy.models[i] = std::move(draft.policy);
  }

  Config& config_;
  const CapacityClass& machine_;
};

std::string gib(Bytes bytes) {
  return std::to_string(bytes.count / kGiB) + " GiB";
}

std::string range_text(const CapacityClass& machine) {
  const CapacityClass* before = nullptr;
  for (const CapacityClass& other : kClasses) {
    if (other.unified == machine.unified && other.below < machine.below)
      before = &other;
  }
  if (before == nullptr)
    return "below " + gib(machine.below);
  if (machine.below == kNoBound)
    return "from " + gib(before->below);
  return gib(before->below) + " to " + gib(machine.below);
}

}  // namespace

std::span<const CapacityClass> capacity_classes() {
  return kClasses;
}

const CapacityClass* capacity_class(const Capacities& capacities) {
  const bool unified = capacities.largest_device == Bytes{};
  const Bytes capacity = unified ? capacities.unified : capacities.largest_device;
  if (capacity == Bytes{})
    return nullptr;
  for (const CapacityClass& machine : kClasses) {
    if (machine.unified == unified && capacity < machine.below)
      return &machine;
  }
  return nullptr;
}

void apply_capacity_defaults(Config& config, const Capacities& capacities) {
  const CapacityClass* machine = capacity_class(capacities);
  if (machine == nullptr)
    return;
  Applying applying(config, *machine);
  for (const CapacityDefault& given : machine->defaults)
    applying.apply(given);
}

std::string capacity_reference() {
  std::string out = "| machine | capacity |";
  std::string line = "|---|---|";
  for (const CapacityDefault& column : kClasses.front().defaults) {
    out += " `" + std::string(column.path) + "` |";
    line += "---|";
  }
  out += " why |\n" + line + "---|\n";
  for (const CapacityClass& machine : kClasses) {
    out += "| " + std::string(machine.name) + " | " + range_text(machine) + " |";
    for (const CapacityDefault& column : kClasses.front().defaults) {
      const auto given = std::ranges::find(machine.defaults, column.path, &CapacityDefault::path);
      out += given == machine.defaults.end() ? " |" : " `" + std::string(given->value) + "` |";
    }
    out += " " + std::string(machine.why) + " |\n";
  }
  return out;
}

}  // namespace tonnage
