#include "sim/scenario_policy.h"

#include <charconv>
#include <sstream>

namespace tonnage::sim {
namespace {

// Words that come as "name value", read one after the other.
class Reader {
 public:
  Reader(const Words& words, std::size_t first) : words_(words), next_(first) {}

  bool done() const { return next_ >= words_.size(); }
  std::string word() { return done() ? std::string() : words_[next_++]; }

  Result<void> read(Bytes& into) { return store(parse_bytes(word()), into); }
  Result<void> read(Duration& into) { return store(parse_duration(word()), into); }
  Result<void> read(std::int64_t& into) { return store(parse_integer(word()), into); }
  Result<void> read(std::int32_t& into) {
    const auto number = parse_integer(word());
    if (!number)
      return std::unexpected(number.error());
    into = static_cast<std::int32_t>(*number);
    return {};
  }
  template <typename T>
  Result<void> read(std::optional<T>& into) {
    if (!done() && words_[next_] == "no") {
      ++next_;
      into.reset();
      return {};
    }
    T value{};
    if (auto result = read(value); !result)
      return result;
    into = value;
    return {};
  }
  Result<void> read(bool& into) {
    into = word() != "no";
    return {};
  }
  Result<void> read(EvictionKind& into) {
    const std::string kind = word();
    if (kind != "lru" && kind != "value")
      return fail("unknown eviction policy", kind);
    into = kind == "lru" ? EvictionKind::lru : EvictionKind::value;
    return {};
  }
  Result<void> read(Priority& into) { return store(parse_priority(word()), into); }
  Result<void> read(KvType& into) {
    const std::string kv = word();
    for (int i = 0; i <= static_cast<int>(KvType::iq4_nl); ++i) {
      if (kv != to_text(static_cast<KvType>(i)))
        continue;
      into = static_cast<KvType>(i);
      return {};
    }
    return fail("unknown kv type", kv);
  }

 private:
  template <typename T>
  static Result<void> store(const Result<T>& value, T& into) {
    if (!value)
      return std::unexpected(value.error());
    into = *value;
    return {};
  }

  const Words& words_;
  std::size_t next_;
};

Result<void> take_pool_words(Bytes& capacity, PoolPolicy& pool, Reader& reader) {
  if (auto result = reader.read(capacity); !result)
    return result;
  while (!reader.done()) {
    const std::string key = reader.word();
    Result<void> result = key == "reserve"            ? reader.read(pool.reserve.size)
                          : key == "reserve_permille" ? reader.read(pool.reserve.permille)
                          : key == "max_permille"     ? reader.read(pool.max_permille)
                          : key == "limit"            ? reader.read(pool.limit)
                          : key == "tolerance"        ? reader.read(pool.deficit_tolerance)
                                                      : fail("unknown word of a pool", key);
    if (!result)
      return result;
  }
  return {};
}

Result<void> take_pool(ScenarioSetting& setting, const Words& words) {
  Reader reader(words, 1);
  return take_pool_words(setting.capacity, setting.policy.pools[0], reader);
}

Result<void> take_device(ScenarioSetting& setting, const Words& words) {
  Reader reader(words, 1);
  PoolPolicy pool;
  pool.name = reader.word();
  Bytes capacity;
  if (auto result = take_pool_words(capacity, pool, reader); !result)
    return result;
  setting.policy.pools.push_back(pool);
  setting.device_capacity.push_back(capacity);
  return {};
}

// "pressure balanced", "pressure fallback A".
Result<void> take_pressure(ScenarioSetting& setting, const Words& words) {
  Reader reader(words, 1);
  const std::string what = reader.word();
  if (what == "fallback") {
    const auto model = setting.find_model(reader.word());
    if (!model)
      return std::unexpected(model.error());
    setting.policy.pressure.fallback = *model;
    return {};
  }
  const auto preset = pressure_preset(what);
  if (!preset)
    return fail("unknown pressure preset", "'" + what + "'");
  setting.policy.pressure = *preset;
  return {};
}

// Bytes per logical device: "5GiB", or "3GiB,2GiB"; "no" for none.
Result<void> take_device_bytes(PlacementRow& row, const std::string& word) {
  row.device_bytes.clear();
  if (word == "no")
    return {};
  std::istringstream parts(word);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto bytes = parse_bytes(part);
    if (!bytes)
      return std::unexpected(bytes.error());
    row.device_bytes.push_back(*bytes);
  }
  return {};
}

Result<void> take_row_word(PlacementRow& row, const std::string& key, Reader& reader) {
  if (key == "weights")
    return reader.read(row.weights[0].size);
  if (key == "draft")
    return reader.read(row.weights[1].size);
  if (key == "anon")
    return reader.read(row.host_anon);
  if (key == "context")
    return reader.read(row.placement.context);
  if (key == "slots")
    return reader.read(row.placement.slots);
  if (key == "layers")
    return reader.read(row.placement.gpu_layers);
  if (key == "gpu")
    return take_device_bytes(row, reader.word());
  if (key == "speed")
    return reader.read(row.speed_permille);
  if (key == "file" || key == "draft_file") {
    std::int64_t file = 0;
    auto result = reader.read(file);
    row.weights[key == "file" ? 0 : 1].file = FileId(static_cast<std::uint64_t>(file));
    return result;
  }
  if (key == "kv")
    return reader.read(row.placement.kv);
  for (int i = 0; i <= static_cast<int>(FootprintSource::declared); ++i) {
    if (key != to_text(static_cast<FootprintSource>(i)))
      continue;
    row.source = static_cast<FootprintSource>(i);
    return {};
  }
  return fail("unknown word of a model", key);
}

Result<void> take_model(ScenarioSetting& setting, const Words& words) {
  Reader reader(words, 1);
  ModelPolicy model;
  model.id = reader.word();
  PlacementRow row;
  row.weights[0].file = FileId(1000 + setting.policy.models.size());
  row.weights[1].file = FileId(2000 + setting.policy.models.size());
  row.placement = {.context = 4096, .slots = 1};
  row.source = FootprintSource::declared;
  std::int32_t in_flight = 0;  // as many as slots, unless it is said
  while (!reader.done()) {
    const std::string key = reader.word();
    Result<void> result;
    if (key == "pinned") {
      result = reader.read(model.pinned);
    } else if (key == "heavy") {
      result = reader.read(model.heavy);
    } else if (key == "host_only") {
      result = reader.read(model.host_only);
    } else if (key == "ttl") {
      result = reader.read(model.ttl);
    } else if (key == "priority") {
      result = reader.read(model.priority);
    } else if (key == "in_flight") {
      result = reader.read(in_flight);
    } else if (key == "embedding") {
      model.type = ModelType::embedding;
    } else {
      result = take_row_word(row, key, reader);
    }
    if (!result)
      return result;
  }
  model.in_flight_max = in_flight > 0 ? in_flight : row.placement.slots;
  setting.policy.models.push_back(model);
  setting.rows.push_back({row});
  return {};
}

Result<void> take_row(ScenarioSetting& setting, const Words& words) {
  Reader reader(words, 1);
  const auto model = setting.find_model(reader.word());
  if (!model)
    return std::unexpected(model.error());
  PlacementRow row = setting.rows[model->value].back();
  while (!reader.done()) {
    if (auto result = take_row_word(row, reader.word(), reader); !result)
      return result;
  }
  setting.rows[model->value].push_back(row);
  return {};
}

Result<void> take_rule(ScenarioSetting& setting, const Words& words) {
  Reader reader(words, 1);
  const std::string key = reader.word();
  std::optional<Result<void>> result;
  visit_rules(setting, [&](std::string_view name, auto& field) {
    if (name == key)
      result = reader.read(field);
  });
  return result.value_or(fail("unknown rule", key));
}

Result<void> take_change(ScenarioSetting& setting, const Words& words,
                         std::vector<ModelId>& changed) {
  Reader reader(words, 0);
  const std::string verb = reader.word();
  if (verb == "set")
    return take_rule(setting, words);
  if (verb == "limit")
    return reader.read(setting.policy.pools[0].limit);
  const auto model = setting.find_model(reader.word());
  if (!model)
    return std::unexpected(model.error());
  if (verb == "changed") {
    changed.push_back(*model);
    return {};
  }
  ModelPolicy& policy = setting.policy.models[model->value];
  const std::string key = reader.word();
  if (key == "pinned")
    return reader.read(policy.pinned);
  if (key == "removed")
    return reader.read(policy.removed);
  if (key == "heavy")
    return reader.read(policy.heavy);
  if (key == "ttl")
    return reader.read(policy.ttl);
  if (key == "in_flight")
    return reader.read(policy.in_flight_max);
  return fail("unknown change", "'" + verb + " " + key + "'");
}

}  // namespace

Result<void> take_changes(ScenarioSetting& setting, const Words& words,
                          std::vector<ModelId>& changed) {
  Words part;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool ends = words[i].ends_with(',');
    part.push_back(ends ? words[i].substr(0, words[i].size() - 1) : words[i]);
    if (!ends && i + 1 < words.size())
      continue;
    if (auto result = take_change(setting, part, changed); !result)
      return result;
    part.clear();
  }
  return {};
}

Words split_words(std::string_view line) {
  std::istringstream stream{std::string(line)};
  Words words;
  for (std::string word; stream >> word;)
    words.push_back(word);
  return words;
}

Result<std::int64_t> parse_integer(const std::string& word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size())
    return fail("not a whole number", "'" + word + "'");
  return value;
}

Result<Priority> parse_priority(const std::string& word) {
  for (const Priority priority : {Priority::low, Priority::normal, Priority::high}) {
    if (word == to_text(priority))
      return priority;
  }
  return fail("unknown priority", "'" + word + "'");
}

Result<ModelId> ScenarioSetting::find_model(const std::string& name) const {
  for (std::size_t i = 0; i < policy.models.size(); ++i) {
    if (policy.models[i].id == name)
      return ModelId(static_cast<std::uint32_t>(i));
  }
  return fail("unknown model", "'" + name + "'");
}

std::optional<PoolId> ScenarioSetting::find_pool(std::string_view name) const {
  for (std::size_t i = 0; i < policy.pools.size(); ++i) {
    if (policy.pools[i].name == name)
      return PoolId(static_cast<std::uint32_t>(i));
  }
  return std::nullopt;
}

ScenarioSetting default_setting() {
  ScenarioSetting setting;
  PoolPolicy host;
  host.name = "host";
  setting.policy.pools.push_back(host);
  setting.policy.load.profile_reservation = Bytes(0);
  return setting;
}

Result<void> take_setting(ScenarioSetting& setting, const Words& words) {
  if (words[0] == "pool")
    return take_pool(setting, words);
  if (words[0] == "device")
    return take_device(setting, words);
  if (words[0] == "pressure")
    return take_pressure(setting, words);
  if (words[0] == "model")
    return take_model(setting, words);
  if (words[0] == "row")
    return take_row(setting, words);
  if (words[0] == "set")
    return take_rule(setting, words);
  return fail("unknown line", "'" + words[0] + "'");
}

}  // namespace tonnage::sim
