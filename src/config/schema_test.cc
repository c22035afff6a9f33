#include "config/schema.h"

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "config/config_text.h"
#include "config/document.h"
#include "config/key.h"

namespace tonnage {
namespace {

using Json = nlohmann::json;

std::string read(const std::string& path) {
  std::ifstream stream(std::string(TONNAGE_SOURCE_DIR) + "/" + path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// What an editor's YAML reader makes of a node.
Json json_of(const Node& node) {
  if (node.kind == Node::Kind::list) {
    Json list = Json::array();
    for (const Node& item : node.items)
      list.push_back(json_of(item));
    return list;
  }
  if (node.kind == Node::Kind::map) {
    Json map = Json::object();
    for (const NodeEntry& entry : node.entries)
      map[entry.key.text] = json_of(entry.value);
    return map;
  }
  if (node.kind == Node::Kind::null)
    return nullptr;
  if (node.quoted)
    return node.text;
  if (node.text == "true" || node.text == "false")
    return node.text == "true";
  if (!node.text.empty() && node.text.find_first_not_of("0123456789") == std::string::npos) {
    return std::stoll(node.text);
  }
  return node.text;
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "object")
    return value.is_object();
  if (type == "array")
    return value.is_array();
  if (type == "string")
    return value.is_string();
  if (type == "integer")
    return value.is_number_integer();
  if (type == "number")
    return value.is_number();
  return type == "boolean" && value.is_boolean();
}

bool has_any_type(const Json& value, const Json& type) {
  if (type.is_string())
    return has_type(value, type);
  return std::ranges::any_of(type, [&](const Json& t) { return has_type(value, t); });
}

// The part of JSON Schema that config_schema() uses. Returns where it does not hold; or "".
std::string violation(const Json& schema, const Json& value, const std::string& at);

std::string object_violation(const Json& schema, const Json& value, const std::string& at) {
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name))
      return at + ": lacks " + name.get<std::string>();
  }
  if (value.size() < schema.value("minProperties", 0U))
    return at + ": empty";
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, member] : value.items()) {
    const std::string path = at + "." + name;
    if (schema.contains("propertyNames")) {
      const std::string wrong = violation(schema["propertyNames"], name, path);
      if (!wrong.empty())
        return wrong;
    }
    const Json& other =
        schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(true);
    const Json& sub = properties.contains(name) ? properties[name] : other;
    if (sub == Json(false))
      return path + ": unknown";
    if (sub == Json(true))
      continue;
    if (const std::string wrong = violation(sub, member, path); !wrong.empty())
      return wrong;
  }
  return "";
}

std::string violation(const Json& schema, const Json& value, const std::string& at) {
  if (schema.contains("anyOf")) {
    const bool any = std::ranges::any_of(
        schema["anyOf"], [&](const Json& s) { return violation(s, value, at).empty(); });
    if (!any)
      return at + ": none of the forms";
  }
  if (schema.contains("const") && schema["const"] != value)
    return at + ": not the constant";
  if (schema.contains("type") && !has_any_type(value, schema["type"]))
    return at + ": wrong type";
  if (schema.contains("enum") && std::ranges::find(schema["enum"], value) == schema["enum"].end()) {
    return at + ": not a choice";
  }
  if (value.is_number() && value < schema.value("minimum", value))
    return at + ": too small";
  if (value.is_number() && value > schema.value("maximum", value))
    return at + ": too large";
  if (value.is_string()) {
    const std::string text = value;
    if (text.size() < schema.value("minLength", 0U))
      return at + ": too short";
    if (text.size() > schema.value("maxLength", text.size()))
      return at + ": too long";
    if (schema.contains("pattern") &&
        !std::regex_search(text, std::regex(schema["pattern"].get<std::string>()))) {
      return at + ": does not match " + schema["pattern"].get<std::string>();
    }
  }
  for (std::size_t i = 0; value.is_array() && schema.contains("items") && i < value.size(); ++i) {
    const std::string wrong =
        violation(schema["items"], value[i], at + "[" + std::to_string(i) + "]");
    if (!wrong.empty())
      return wrong;
  }
  return value.is_object() ? object_violation(schema, value, at) : "";
}

std::string schema_violation(const std::string& yaml) {
  const auto node = parse_document(yaml, "f");
  if (!node)
    return to_text(node.error());
  return violation(Json::parse(config_schema()), json_of(*node), "");
}

// The first ```yaml block of the guide that configures models.
std::string sample() {
  const std::string guide = read("docs/howto/configure.md");
  const std::string fence = "```yaml\n";
  const std::size_t begin = guide.find(fence) + fence.size();
  return guide.substr(begin, guide.find("```", begin) - begin);
}

TEST(Schema, TheFileInDocsIsUpToDate) {
  EXPECT_EQ(read("docs/config.schema.json"), config_schema())
      << "run: build/release/tonnage check --schema > docs/config.schema.json";
}

TEST(Schema, TheReferenceInDocsIsUpToDate) {
  EXPECT_NE(read("docs/howto/configure.md").find("-->\n" + config_reference() + "<!-- end -->"),
            std::string::npos)
      << "put the output of build/release/tonnage check --reference between the last two comments "
         "of "
         "docs/howto/configure.md";
}

TEST(Schema, TheSampleIsValidForBoth) {
  EXPECT_EQ(problems_of(sample()), "no problem");
  EXPECT_EQ(schema_violation(sample()), "");
}

TEST(Schema, EveryDefaultIsValidForTheSchema) {
  std::string yaml = kOneModel;
  const Config config = config_of(yaml);
  const Json schema = Json::parse(config_schema());
  for (const KeySpec& spec : global_keys()) {
    if (spec.fallback.empty())
      continue;
    Json at = schema;
    std::string rest{spec.path};
    for (std::size_t dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
      at = Json(at["properties"][rest.substr(0, dot)]);
      rest = rest.substr(dot + 1);
    }
    const Json leaf = at["properties"][rest];
    EXPECT_EQ(violation(leaf, leaf["default"], std::string(spec.path)), "");
  }
}

TEST(Schema, WhatTheSchemaRefusesTheParserRefuses) {
  for (const char* yaml : {
           "queue: {yeild_after: 5s}",
           "queue: {yield_after: 5}",
           "queue: {yield_after: fast}",
           "budgets: {host: {reserve: 20}}",
           "budgets: {host: {limit: 6}}",
           "residency: {eviction: lur}",
           "defaults: {slots: 257}",
           "defaults: {gguf: x}",
           "listen: nowhere",
           "insecure: 3",
           "keys: [{key: 12345678}]",
           "allowed_hosts: x",
           "budgets: {gpu: {warm: 1}}",
           "budgets: {devices: {gpu0: {limt: 1GiB}}}",
           "budgets: {devices: {gpu0: 1GiB}}",
           "probe: {interval: 2}",
           "pressure: calm",
           "pressure: {preset: calm}",
           "pressure: {level: []}",
           "pressure: {levels: [{above: 80%}]}",
           "pressure: [{name: a, above: 80, actions: [notify]}]",
           "pressure: [{name: a, above: 80%, actions: [notfy]}]",
           "pressure: [{name: a, above: 80%, actions: [derate]}]",
           "pressure: [{name: a, above: 80%, actions: [{notify: 1s}]}]",
           "pressure: [{name: a, above: 80%, pools: [disk], actions: [notify]}]",
           "recovery: {cooldown: soon}",
       }) {
    EXPECT_NE(schema_violation(std::string(yaml) + "\n" + kOneModel), "") << yaml;
    EXPECT_NE(problems_of(std::string(yaml) + "\n" + kOneModel), "no problem") << yaml;
  }
  for (const char* yaml :
       {"models: {a: {}}", "models: {'a?': {gguf: x}}", "models: {a: {gguf: x, ladder: [{}]}}"}) {
    EXPECT_NE(schema_violation(yaml), "") << yaml;
    EXPECT_NE(problems_of(yaml), "no problem") << yaml;
  }
}

TEST(Schema, TheFormsOfPressureAreValidForBoth) {
  for (const char* yaml : {
           "pressure: guard",
           "pressure: {preset: guard, restore_below: 50%, levels: [{name: warning, above: 75%}]}",
           "pressure: [{name: a, above: 80%, below: 70%, dwell: 5s, psi: {some: 20%, full: 5%}, "
           "pools: [host], actions: [notify, {park_idle: 120s}, unload_idle, {derate: 5%}]}]",
           "budgets: {gpu: {reserve: 10%}, devices: {gpu0: {limit: 6GiB}, GPU-1-2: {max: 80%}}}",
       }) {
    EXPECT_EQ(schema_violation(std::string(yaml) + "\n" + kOneModel), "") << yaml;
    EXPECT_EQ(problems_of(std::string(yaml) + "\n" + kOneModel), "no problem") << yaml;
  }
}

TEST(KeyTable, RowsAreDistinctAndDocumented) {
  std::set<std::pair<KeyScope, std::string_view>> paths;
  std::set<std::string> variables;
  for (const KeySpec& spec : key_table()) {
    EXPECT_TRUE(paths.emplace(spec.scope, spec.path).second) << spec.path;
    EXPECT_TRUE(spec.doc.ends_with('.')) << spec.path;
    const bool chooses = spec.type == ValueType::choice || spec.type == ValueType::pressure;
    EXPECT_EQ(chooses, !spec.choices.empty() && spec.type != ValueType::text_list) << spec.path;
    if (spec.scope == KeyScope::global) {
      EXPECT_TRUE(variables.insert(environment_name(spec.path)).second) << spec.path;
    }
  }
  for (const PlannedKey& planned : planned_keys()) {
    EXPECT_FALSE(paths.contains({planned.scope, planned.path})) << planned.path;
  }
}

// The name of the enumeration's value, for the keys that become one.
std::string_view enumerated(std::string_view path, std::size_t i) {
  if (path == "type")
    return to_text(static_cast<ModelType>(i));
  if (path == "kv_type")
    return to_text(static_cast<KvType>(i));
  if (path == "priority")
    return to_text(static_cast<Priority>(i));
  if (path == "basis")
    return to_text(static_cast<PressureBasis>(i));
  if (path == "resume")
    return to_text(static_cast<Resume>(i));
  if (path == "log.level")
    return to_text(static_cast<LogLevel>(i));
  if (path == "log.format")
    return to_text(static_cast<LogFormat>(i));
  if (path == "log.access")
    return to_text(static_cast<AccessLog>(i));
  return {};
}

// A choice becomes an enumeration by its index.
TEST(KeyTable, ChoicesAreInTheOrderOfTheirEnumeration) {
  for (const KeySpec& spec : key_table()) {
    if (enumerated(spec.path, 0).empty())
      continue;
    ASSERT_FALSE(spec.choices.empty()) << spec.path;
    for (std::size_t i = 0; i < spec.choices.size(); ++i) {
      EXPECT_EQ(spec.choices[i], enumerated(spec.path, i)) << spec.path;
    }
  }
}

}  // namespace
}  // namespace tonnage
