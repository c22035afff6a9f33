// The rows of the key table about memory: budgets, probes, pressure and recovery.
#include <array>

#include "config/key_store.h"
#include "config/pressure_reader.h"

namespace tonnage {
namespace {

using T = KeyTarget;
using V = const Value&;

constexpr std::array<std::string_view, 4> kPresets = {"demand", "balanced", "guard", "unified"};
constexpr std::array<std::string_view, 2> kBases = {"use", "overrun"};
constexpr std::array<std::string_view, 2> kPools = {"host", "gpu"};

PoolPolicy& host(KeyTarget& t) {
  return t.config->policy.pools.at(kHostPool.value);
}

// What names a preset replaces the levels of everything that was read before.
void store_preset(KeyTarget& t, const Value& v) {
  t.pressure->preset = kPresets.at(static_cast<std::size_t>(std::get<std::int64_t>(v)));
  t.pressure->levels.clear();
}

void store_restore_below(KeyTarget& t, const Value& v) {
  const std::int64_t permille = std::get<std::int64_t>(v);
  t.pressure->restore_below_permille.emplace();
  if (permille > 0)
    *t.pressure->restore_below_permille = permille;
}

const KeySpec kRows[] = {
    row("cpu", ValueType::boolean, "false", "Leaves GPUs alone: every model runs on the processor.",
        [](T& t, V v) { set(t.config->cpu, v); }),
    row("budgets.host.reserve", ValueType::reserve, "min(20%, 8GiB)",
        "Host memory that always stays free for the system: a percentage, a size, or the smaller "
        "of both.",
        [](T& t, V v) { set(host(t).reserve, v); })
        .founded_as("CPU_MEMORY_RESERVE_PERCENT"),
    row("budgets.host.max", ValueType::percent, "100%",
        "The largest share of host memory that models may use, beside the reserve.",
        [](T& t, V v) { set(host(t).max_permille, v); })
        .within(1, 1000)
        .founded_as("CPU_MEMORY_MAX_PERCENT"),
    row("budgets.host.limit", ValueType::bytes, "",
        "The most that models may use of host memory, as a size. The smallest of limit, max and "
        "reserve holds.",
        [](T& t, V v) { set(host(t).limit, v); })
        .at_least(kMiB),
    row("budgets.host.deficit_tolerance", ValueType::bytes, "0",
        "A load may lack this much and is started all the same. For unified memory, whose kernel "
        "makes room.",
        [](T& t, V v) { set(host(t).deficit_tolerance, v); })
        .within(0, 1024 * kGiB),
    row("budgets.gpu.reserve", ValueType::reserve, "min(10%, 1GiB)",
        "Memory of every GPU that always stays free: a percentage, a size, or the smaller of both.",
        [](T& t, V v) { set(t.config->gpu.reserve, v); })
        .founded_as("GPU_MEMORY_RESERVE_PERCENT"),
    row("budgets.gpu.max", ValueType::percent, "100%",
        "The largest share of a GPU's memory that models may use, beside the reserve.",
        [](T& t, V v) { set(t.config->gpu.max_permille, v); })
        .within(1, 1000)
        .founded_as("GPU_MEMORY_MAX_PERCENT"),
    row("budgets.gpu.limit", ValueType::bytes, "",
        "The most that models may use of each GPU, as a size. The smallest of limit, max and "
        "reserve holds.",
        [](T& t, V v) { set(t.config->gpu.limit, v); })
        .at_least(kMiB),
    row("budgets.gpu.deficit_tolerance", ValueType::bytes, "0",
        "A load may lack this much of a GPU's memory and is started all the same.",
        [](T& t, V v) { set(t.config->gpu.deficit_tolerance, v); })
        .within(0, 1024 * kGiB),
    row("budgets.devices", ValueType::devices, "",
        "Budgets of single GPUs, by pool (`gpu0`), UUID or PCI address. What a GPU does not say "
        "is that of `budgets.gpu`.",
        nullptr),
    row("probe.interval", ValueType::duration, "2s",
        "Time between two looks at the memory of host and GPUs.",
        [](T& t, V v) { set(t.config->probe.interval, v); })
        .within(us(100ms), us(1min)),
    row("probe.active_interval", ValueType::duration, "1s",
        "The same while a model works, loads or leaves.",
        [](T& t, V v) { set(t.config->probe.active_interval, v); })
        .within(us(50ms), us(1min)),
    row("probe.devices_file", ValueType::path, "",
        "A JSON file that says which GPUs there are and what they hold, instead of their drivers.",
        [](T& t, V v) { set(t.config->probe.devices_file, v); })
        .founded_as("TONNAGE_DEVICES_FILE"),
    row("pressure", ValueType::pressure, "demand",
        "When memory is short and what is done then: a preset, a list of levels, or a map that "
        "changes a preset.",
        store_preset)
        .one_of(kPresets)
        .or_as("pressure.preset"),
    row("pressure.levels", ValueType::levels, "",
        "The levels, least severe first. With a preset, a level changes what it says of the "
        "preset's level with its name.",
        nullptr),
    row("pressure.restore_below", ValueType::percent, "",
        "Models that pressure took away come back, one at a time, while use is below this; 0% for "
        "never. By default as the preset says: 60% with `guard`, else never.",
        store_restore_below)
        .within(0, 1000),
    row("pressure.fallback", ValueType::text, "",
        "The model, by id or alias, that answers for `resident` at a level with the action "
        "`fallback`.",
        [](T& t, V v) { set(t.pressure->fallback, v); }),
    row("pressure.park_idle_after", ValueType::duration, "",
        "Idle time of the first level that parks models which were idle for a time: 120s in "
        "`balanced`. More severe levels wait no longer than this.",
        [](T& t, V v) { set(t.pressure->park_idle_after, v); })
        .within(0, kDay)
        .founded_as("EVICTION_IDLE_THRESHOLD_SECONDS"),
    row("recovery.device_failures_max", ValueType::integer, "3",
        "A model whose server ran out of a GPU's memory this often within `failure_window` runs on "
        "the processor.",
        [](T& t, V v) { set(t.config->policy.recovery.device_failures_max, v); })
        .within(1, 100),
    row("recovery.failure_window", ValueType::duration, "10m",
        "Failures older than this are forgotten.",
        [](T& t, V v) { set(t.config->policy.recovery.failure_window, v); })
        .within(kSecond, 7 * kDay),
    row("recovery.cooldown", ValueType::duration_or_never, "30m",
        "How long such a model stays on the processor; with `never` until `tonnage clear MODEL`.",
        [](T& t, V v) { set(t.config->policy.recovery.cooldown, v); })
        .within(kSecond, 365 * kDay),
    row("recovery.retry_extra", ValueType::percent, "12.5%",
        "After an out-of-memory failure, the next try reserves this much more.",
        [](T& t, V v) { set(t.config->policy.recovery.retry_extra_permille, v); })
        .within(0, 1000),
    row("recovery.release_timeout", ValueType::duration, "5s",
        "GPU memory of a stopped server that is not seen free after this is recorded as a leak.",
        [](T& t, V v) { set(t.config->policy.recovery.release_timeout, v); })
        .within(us(100ms), us(10min)),
    row("recovery.release_share", ValueType::percent, "75%",
        "This much of what a stopped server held has to be seen free before the rest counts as "
        "foreign.",
        [](T& t, V v) { set(t.config->policy.recovery.release_permille, v); })
        .within(1, 1000),
    row("recovery.release_min", ValueType::bytes, "512MiB",
        "Where less than this came back of more, what is left of the server is killed.",
        [](T& t, V v) { set(t.config->policy.recovery.release_min, v); })
        .within(0, 64 * kGiB),
    row("report.interval", ValueType::duration_or_never, "5m",
        "Time between two reports about memory in the log.",
        [](T& t, V v) { set(t.config->report_interval, v); })
        .within(kSecond, kDay),
};

constexpr KeyScope kLevel = KeyScope::level;
constexpr KeyScope kDevice = KeyScope::device;

const KeySpec kLevelRows[] = {
    row(kLevel, "name", ValueType::text, "", "What the level is called.",
        [](T& t, V v) { set(t.level->name, v); }),
    row(kLevel, "basis", ValueType::choice, "",
        "What `above` and `below` are a share of. `use`: all that is in use, of the pool's "
        "capacity. `overrun`: the same, of what may be in use; above 100% others have grown into "
        "the reserve, and tonnage's own models never get there.",
        [](T& t, V v) { set(t.level->basis, v); })
        .one_of(kBases),
    row(kLevel, "above", ValueType::percent, "",
        "The level is entered as soon as use is above this.",
        [](T& t, V v) { set(t.level->above_permille, v); })
        .within(0, 1000),
    row(kLevel, "below", ValueType::percent, "",
        "The level is left when use is below this; by default 3 percentage points below `above`.",
        [](T& t, V v) { set(t.level->below_permille, v); })
        .within(0, 1000),
    row(kLevel, "dwell", ValueType::duration, "",
        "The level lasts at least this long after it was last exceeded; by default 15s.",
        [](T& t, V v) { set(t.level->dwell, v); })
        .within(0, kDay),
    row(kLevel, "psi.some", ValueType::percent, "",
        "The level is entered as well when some tasks stood still for want of host memory for "
        "this share of the last 10 s, by the kernel's pressure stall information.",
        [](T& t, V v) { set(t.level->stall_some_permille, v); })
        .within(1, 1000),
    row(kLevel, "psi.full", ValueType::percent, "", "The same for all tasks at once.",
        [](T& t, V v) { set(t.level->stall_full_permille, v); })
        .within(1, 1000),
    row(kLevel, "pools", ValueType::text_list, "",
        "Pools that the level is about; by default both.",
        [](T& t, V v) { set(t.level->pools, v); })
        .one_of(kPools),
    row(kLevel, "actions", ValueType::actions, "",
        "What is done. `notify`: log and event stream. `trim`, `trim_hard`: give caches back. "
        "`reset_peaks`: measured peaks start anew. `park_idle`, `unload_idle`: idle models leave, "
        "with a time only those idle for longer. `relieve`: as many idle models as it takes. "
        "`park_busy`: after this time busy models drain and leave. `stop_admission`: nothing new "
        "begins. `derate`: a new model may count on this share of memory less. `prefer_small`: "
        "`resident` is the smallest ready model. `fallback`: it is the fallback model.",
        nullptr),
    row(kDevice, "reserve", ValueType::reserve, "", "Memory of this GPU that always stays free.",
        [](T& t, V v) { set(t.device->reserve, v); }),
    row(kDevice, "max", ValueType::percent, "",
        "The largest share of this GPU's memory that models may use.",
        [](T& t, V v) { set(t.device->max_permille, v); })
        .within(1, 1000),
    row(kDevice, "limit", ValueType::bytes, "",
        "The most that models may use of this GPU, as a size.",
        [](T& t, V v) { set(t.device->limit, v); })
        .at_least(kMiB),
    row(kDevice, "deficit_tolerance", ValueType::bytes, "",
        "A load may lack this much of this GPU's memory and is started all the same.",
        [](T& t, V v) { set(t.device->deficit_tolerance, v); })
        .within(0, 1024 * kGiB),
};

}  // namespace

std::span<const KeySpec> memory_keys() {
  return kRows;
}

std::span<const KeySpec> level_keys() {
  return kLevelRows;
}

}  // namespace tonnage
