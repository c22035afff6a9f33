#include "config/schema.h"

#include <string_view>

#include <nlohmann/json.hpp>

#include "config/clients_reader.h"
#include "config/device_pools.h"
#include "config/key.h"
#include "config/models_reader.h"
#include "config/pressure_reader.h"
#include "config/value.h"

namespace tonnage {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSize = R"(\d+(\.\d+)?\s*([KMGT]iB|[kKMGT]B|B))";
constexpr const char* kDuration = R"(\d+(\.\d+)?\s*(us|ms|s|m|h|d))";
constexpr const char* kPercent = R"(\d+(\.\d+)?\s*%)";

Json object() {
  return {{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
}

// `text` of one of the forms; a bare zero needs no unit where the form allows it.
Json text_of(const std::string& pattern, bool zero) {
  Json schema = {{"type", "string"}, {"pattern", "^(" + pattern + ")$"}};
  if (!zero)
    return schema;
  return {{"anyOf", Json::array({std::move(schema), {{"const", 0}}})}};
}

Json choices_of(const KeySpec& spec) {
  Json names = Json::array();
  for (const std::string_view name : spec.choices)
    names.push_back(name);
  return names;
}

Json map_of(KeyScope scope, bool only_inherited);

Json levels_of(bool named) {
  Json level = map_of(KeyScope::level, false);
  level["required"] = named ? Json{"name"} : Json{"name", "actions"};
  return {{"type", "array"},
          {"items", std::move(level)},
          {"minItems", 1},
          {"maxItems", kPressureLevelsMax}};
}

// An action's name alone, or a map from it to its number.
Json actions_of() {
  Json alone = Json::array();
  Json numbers = Json::object();
  for (const std::string& name : pressure_action_names()) {
    switch (action_number(*pressure_action(name))) {
      case ActionNumber::none:
        alone.push_back(name);
        break;
      case ActionNumber::idle_time:
        alone.push_back(name);
        [[fallthrough]];
      case ActionNumber::wait:
        numbers[name] = text_of(kDuration, true);
        break;
      case ActionNumber::share:
        numbers[name] = text_of(kPercent, false);
        break;
    }
  }
  const Json valued = {{"type", "object"},
                       {"additionalProperties", false},
                       {"properties", std::move(numbers)},
                       {"minProperties", 1},
                       {"maxProperties", 1}};
  return {{"type", "array"},
          {"items", {{"anyOf", Json::array({Json{{"enum", std::move(alone)}}, valued})}}},
          {"maxItems", kPressureActionsMax}};
}

Json one_or_list(const Json& one) {
  return {{"anyOf", Json::array({one, {{"type", "array"}, {"items", one}, {"minItems", 1}}})}};
}

Json value_of(const KeySpec& spec) {
  const Json scalar = {{"type", {"string", "number", "boolean"}}};
  switch (spec.type) {
    case ValueType::boolean:
      return {{"type", "boolean"}};
    case ValueType::integer: {
      Json schema = {{"type", "integer"}};
      if (spec.min)
        schema["minimum"] = *spec.min;
      if (spec.max)
        schema["maximum"] = *spec.max;
      return schema;
    }
    case ValueType::bytes:
      return text_of(kSize, spec.min.value_or(0) == 0);
    case ValueType::percent:
      return text_of(kPercent, false);
    case ValueType::duration:
      return text_of(kDuration, spec.min.value_or(0) == 0);
    case ValueType::duration_or_never:
      // YAML 1.1 editors read a bare off as false.
      return {{"anyOf", Json::array({text_of(std::string(kDuration) + "|never|off", false),
                                     {{"const", false}}})}};
    case ValueType::reserve: {
      const std::string percent = kPercent;
      const std::string size = kSize;
      const std::string both = percent + R"(\s*,\s*)" + size;
      const std::string turned = size + R"(\s*,\s*)" + percent;
      return text_of(percent + "|" + size + R"(|min\(\s*()" + both + "|" + turned + R"()\s*\))",
                     true);
    }
    case ValueType::choice:
      return {{"enum", choices_of(spec)}};
    case ValueType::listen:
      return one_or_list(text_of(R"((\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5})", false));
    case ValueType::text:
      return {{"type", "string"}};
    case ValueType::secret:
      return {
          {"type", "string"}, {"minLength", kClientKeyBytesMin}, {"maxLength", kClientKeyBytesMax}};
    case ValueType::path:
      return {{"type", "string"}, {"minLength", 1}};
    case ValueType::path_list:
      return {{"type", "array"}, {"items", {{"type", "string"}, {"minLength", 1}}}};
    case ValueType::text_list: {
      Json items = spec.choices.empty() ? scalar : Json{{"enum", choices_of(spec)}};
      return {{"type", "array"}, {"items", std::move(items)}};
    }
    case ValueType::text_map:
      return {{"type", "object"}, {"additionalProperties", scalar}};
    case ValueType::defaults:
      return map_of(KeyScope::model, true);
    case ValueType::models: {
      Json model = map_of(KeyScope::model, false);
      model["anyOf"] = Json::array({{{"required", {"gguf"}}}, {{"required", {"command"}}}});
      return {{"type", "object"},
              {"propertyNames",
               {{"pattern", "^[A-Za-z0-9._:/@+ -]+$"}, {"maxLength", kModelNameBytesMax}}},
              {"additionalProperties", std::move(model)}};
    }
    case ValueType::api_keys: {
      Json key = map_of(KeyScope::api_key, false);
      key["required"] = {"name"};
      return {{"type", "array"}, {"items", std::move(key)}};
    }
    case ValueType::ladder: {
      Json step = map_of(KeyScope::step, false);
      step["minProperties"] = 1;
      return {{"type", "array"}, {"items", std::move(step)}, {"maxItems", kPlacementRowsMax - 1}};
    }
    // The last form is the section of the keys below it; see place().
    case ValueType::pressure:
      return {
          {"anyOf", Json::array({Json{{"enum", choices_of(spec)}}, levels_of(false), object()})}};
    case ValueType::levels:
      return levels_of(true);
    case ValueType::actions:
      return actions_of();
    case ValueType::devices:
      return {{"type", "object"},
              {"maxProperties", kDeviceBudgetsMax},
              {"additionalProperties", map_of(KeyScope::device, false)}};
  }
  return {};
}

// The default in the type that the schema asks for.
Json fallback_of(const KeySpec& spec) {
  if (spec.type == ValueType::boolean)
    return spec.fallback == "true";
  if (spec.type == ValueType::integer)
    return std::stoll(std::string(spec.fallback));
  if (spec.fallback == "0")
    return 0;
  if (spec.type == ValueType::text_map)
    return Json::object();
  if (spec.type != ValueType::text_list && spec.type != ValueType::path_list)
    return spec.fallback;
  Json list = Json::array();
  if (spec.fallback != "[]")
    list.push_back(spec.fallback.substr(1, spec.fallback.size() - 2));
  return list;
}

void place(Json& root, std::string_view path, const Json& leaf) {
  Json* at = &root;
  std::size_t begin = 0;
  for (std::size_t dot = path.find('.'); dot != std::string_view::npos;
       dot = path.find('.', begin)) {
    Json& properties = (*at)["properties"];
    const std::string section{path.substr(begin, dot - begin)};
    if (!properties.contains(section))
      properties[section] = object();
    at = &properties[section];
    if (at->contains("anyOf"))
      at = &at->at("anyOf").back();
    begin = dot + 1;
  }
  (*at)["properties"][std::string(path.substr(begin))] = leaf;
}

Json map_of(KeyScope scope, bool only_inherited) {
  Json root = object();
  for (const KeySpec& spec : key_table()) {
    if (spec.scope != scope || (only_inherited && !spec.inherited))
      continue;
    Json leaf = {{"description", spec.doc}};
    leaf.update(value_of(spec));
    if (!spec.fallback.empty())
      leaf["default"] = fallback_of(spec);
    place(root, spec.path, leaf);
    if (!spec.also.empty()) {
      leaf["description"] = "The same as " + std::string(spec.path) + ".";
      if (spec.type == ValueType::pressure) {
        leaf.erase("anyOf");
        leaf["enum"] = choices_of(spec);
      }
      place(root, spec.also, leaf);
    }
  }
  return root;
}

// A cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string table_of(KeyScope scope) {
  std::string out = "| key | value | default | what it does |\n|---|---|---|---|\n";
  for (const KeySpec& spec : key_table()) {
    if (spec.scope != scope)
      continue;
    const std::string fallback =
        spec.fallback.empty() ? "" : "`" + std::string(spec.fallback) + "`";
    out += "| `" + std::string(spec.path) + "` | " + cell(wanted(spec)) + " | " + cell(fallback) +
           " | " + cell(spec.doc) + " |\n";
  }
  return out;
}

const char* founding_form(ValueType type) {
  switch (type) {
    case ValueType::percent:
    case ValueType::reserve:
      return " as an exact fraction, such as 0.20";
    case ValueType::duration:
      return " in seconds";
    default:
      return "";
  }
}

}  // namespace

std::string config_schema() {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "tonnage configuration"}};
  schema.update(map_of(KeyScope::global, false));
  return schema.dump(2) + "\n";
}

std::string config_reference() {
  std::string out = "### At the top level\n\n" + table_of(KeyScope::global);
  out += "\n### Of a model\n\nThese may also stand under `defaults`, for all models: ";
  std::string inherited;
  for (const KeySpec& spec : model_keys()) {
    if (!spec.inherited)
      continue;
    inherited += (inherited.empty() ? "`" : ", `") + std::string(spec.path) + "`";
  }
  out += inherited + ".\n\n" + table_of(KeyScope::model);
  out += "\n### Of a step of a ladder\n\n" + table_of(KeyScope::step);
  out += "\n### Of a pressure level\n\n" + table_of(KeyScope::level);
  out += "\n### Of a device under `budgets.devices`\n\n" + table_of(KeyScope::device);
  out += "\n### Of a client key\n\n" + table_of(KeyScope::api_key);
  out +=
      "\n### Environment variables that are not keys\n\n| variable | what it does |\n|---|---|\n";
  for (const OtherVariable& other : other_variables()) {
    out += "| `" + std::string(other.name) + "` | " + cell(other.doc) + " |\n";
  }
  for (const KeySpec& spec : key_table()) {
    if (spec.founding.empty())
      continue;
    out += "| `" + std::string(spec.founding) + "` | `" + std::string(spec.path) + "`" +
           founding_form(spec.type) + ". |\n";
  }
  return out;
}

}  // namespace tonnage
