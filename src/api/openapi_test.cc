#include "api/openapi.h"

#include <map>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "api/founding_shapes.h"
#include "api/history_api.h"
#include "api/log_api.h"
#include "api/route.h"
#include "api/snapshot_fixture.h"

namespace tonnage::api {
namespace {

using nlohmann::json;

const json& document() {
  static const json kDocument = json::parse(openapi_json("1.2.3", true));
  return kDocument;
}

// Why `value` is not what `schema` says; empty when it is. Knows what openapi_schemas() writes.
std::string complaint(const json& value, const json& schema, const std::string& where) {
  if (schema.contains("$ref")) {
    const std::string name = schema["$ref"].get<std::string>().substr(21);
    return complaint(value, document()["components"]["schemas"].at(name), where);
  }
  if (schema.contains("anyOf")) {
    for (const json& one : schema["anyOf"]) {
      if (complaint(value, one, where).empty())
        return {};
    }
    return where + " fits none";
  }
  const std::map<std::string, bool> kinds{
      {"string", value.is_string()}, {"integer", value.is_number_integer()},
      {"number", value.is_number()}, {"boolean", value.is_boolean()},
      {"object", value.is_object()}, {"array", value.is_array()},
      {"null", value.is_null()}};
  const json types = schema["type"].is_array() ? schema["type"] : json::array({schema["type"]});
  if (std::ranges::none_of(types, [&](const json& type) { return kinds.at(type); }))
    return where + " is " + value.dump() + ", not " + types.dump();
  if (schema.contains("enum") && !schema["enum"].empty() &&
      std::ranges::find(schema["enum"], value) == schema["enum"].end())
    return where + " is " + value.dump() + ", none of " + schema["enum"].dump();
  if (value.is_array() && schema.contains("items")) {
    for (const json& item : value) {
      if (auto why = complaint(item, schema["items"], where + "[]"); !why.empty())
        return why;
    }
  }
  if (!value.is_object() || !schema.contains("properties"))
    return {};
  for (const json& name : schema.value("required", json::array())) {
    if (!value.contains(name))
      return where + " lacks " + name.dump();
  }
  for (const auto& [name, field] : value.items()) {
    if (!schema["properties"].contains(name)) {
      if (schema.value("additionalProperties", json(true)) == json(false))
        return where + " has " + name + ", which is not documented";
      continue;
    }
    if (auto why = complaint(field, schema["properties"][name], where + "." + name); !why.empty())
      return why;
  }
  return {};
}

std::string complaint_of(const std::string& answer, const std::string& schema) {
  return complaint(json::parse(answer), {{"$ref", "#/components/schemas/" + schema}}, schema);
}

std::string complaint_of_each(const std::string& answer, const std::string& schema) {
  for (const json& row : json::parse(answer)) {
    if (auto why = complaint_of(row.dump(), schema); !why.empty())
      return why;
  }
  return {};
}

TEST(OpenApi, SaysWhatItIs) {
  EXPECT_EQ(document()["openapi"], "3.1.0");
  EXPECT_EQ(document()["info"]["version"], "1.2.3");
  EXPECT_EQ(document()["security"], json::parse(R"([{"bearer":[]},{"key":[]}])"));
  EXPECT_EQ(json::parse(openapi_json("1.2.3", false))["security"], json::array())
      << "where no key is configured none is needed";
}

TEST(OpenApi, SaysWhatIsSentAndEveryKindOfAnswer) {
  const json& chat = document()["paths"]["/v1/chat/completions"]["post"];
  EXPECT_TRUE(chat["responses"]["200"]["content"].contains("text/event-stream"));
  for (const char* status : {"400", "401", "403", "404", "413", "415", "429", "502", "503", "504"})
    EXPECT_TRUE(chat["responses"].contains(status)) << status;
  EXPECT_TRUE(chat["responses"]["503"]["headers"].contains("Retry-After"));
  const json& schemas = document()["components"]["schemas"];
  EXPECT_EQ(schemas["ChatRequest"]["required"], json({"model", "messages"}));
  const json& refused = document()["paths"]["/v1/messages"]["post"]["responses"]["404"];
  EXPECT_EQ(refused["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/AnthropicError");
  EXPECT_TRUE(
      document()["paths"]["/v1/audio/transcriptions"]["post"]["requestBody"]["content"].contains(
          "multipart/form-data"));
  EXPECT_TRUE(schemas["ErrorFacts"]["properties"].contains("tonnage"));
}

TEST(OpenApi, HoldsEveryRouteAndNothingElse) {
  std::map<std::string, std::string> documented, served;
  for (const auto& [path, methods] : document()["paths"].items()) {
    for (const auto& [method, operation] : methods.items())
      documented[method + " " + path] = operation["x-tonnage-scope"];
  }
  for (const Served& one : served_paths()) {
    std::string method(one.method);
    std::ranges::transform(method, method.begin(), [](char c) { return std::tolower(c); });
    served[method + " " + one.path] = to_text(one.scope);
  }
  EXPECT_EQ(documented, served);
  EXPECT_GT(served.size(), 40U);
}

TEST(OpenApi, WhatIsServedIsRoutedSo) {
  for (const Served& one : served_paths()) {
    std::string path = one.path;
    for (auto open = path.find('{'); open != std::string::npos; open = path.find('{'))
      path.replace(open, path.find('}') - open + 1, "x");
    const auto found = route(one.method, path, [](std::string_view id) { return id == "x"; });
    ASSERT_TRUE(found) << one.method << " " << path;
    EXPECT_EQ(found->endpoint, one.endpoint) << path;
    EXPECT_EQ(found->scope, one.scope) << path;
  }
}

TEST(OpenApi, EveryReferenceAndEveryParameterIsThere) {
  std::set<std::string> ids;
  const std::string text = document().dump();
  for (auto at = text.find("#/components/schemas/"); at != std::string::npos;
       at = text.find("#/components/schemas/", at + 1)) {
    const std::string name = text.substr(at + 21, text.find('"', at) - at - 21);
    EXPECT_TRUE(document()["components"]["schemas"].contains(name)) << name;
  }
  for (const auto& [path, methods] : document()["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      EXPECT_TRUE(ids.insert(operation["operationId"]).second) << operation["operationId"];
      std::string rebuilt = path;
      for (const json& parameter : operation.value("parameters", json::array())) {
        EXPECT_FALSE(parameter["description"].get<std::string>().empty()) << parameter;
        if (parameter["in"] != "path")
          continue;
        const std::string braces = "{" + parameter["name"].get<std::string>() + "}";
        ASSERT_NE(rebuilt.find(braces), std::string::npos) << path;
        rebuilt.erase(rebuilt.find(braces), braces.size());
      }
      EXPECT_EQ(rebuilt.find('{'), std::string::npos) << path << " has an undocumented part";
      EXPECT_TRUE(operation["responses"].contains("200")) << path;
    }
  }
}

using OpenApiAnswers = SnapshotFixture;

TEST_F(OpenApiAnswers, AreWhatTheSchemasSay) {
  EXPECT_EQ(complaint_of(status_json(snapshot_, context(), {}), "Status"), "");
  EXPECT_EQ(complaint_of(memory_models_json(snapshot_, context()), "Models"), "");
  EXPECT_EQ(complaint_of(memory_model_json(snapshot_, ModelId{0}, context()), "Model"), "");
  EXPECT_EQ(complaint_of(decisions_json(all(), log_, context()), "Decisions"), "");
  EXPECT_EQ(complaint_of(openai_models_json(snapshot_, context()), "OpenAiModels"), "");
  EXPECT_EQ(complaint_of(memory_stats_json(snapshot_, context()), "MemoryStats"), "");
  EXPECT_EQ(complaint_of(memory_health_json(snapshot_, context()), "MemoryHealth"), "");
  EXPECT_EQ(complaint_of(system_memory_json(snapshot_, context()), "SystemMemory"), "");
  EXPECT_EQ(complaint_of_each(loaded_models_json(snapshot_, context()), "MemoryModel"), "");
  EXPECT_EQ(complaint_of_each(eviction_history_json(all(), snapshot_, context()), "MemoryEviction"),
            "");
  EXPECT_EQ(
      complaint_of(story_json(RequestId{1}, std::vector<StoryRow>{{Tick(1s), "a"}}, context()),
                   "Story"),
      "");
  EXPECT_EQ(complaint_of(reload_json({{"a"}, {}, {}, {}, {"w"}}), "ReloadAnswer"), "");
  EXPECT_EQ(complaint_of(log_json("info", "text"), "LogSettings"), "");
  Snapshot before = snapshot_;
  before.models[0].state = ResidencyState::absent;
  EXPECT_EQ(
      complaint_of(command_json({"load", ModelId{0}, true, "done"}, before, snapshot_, context()),
                   "CommandAnswer"),
      "");
  snapshot_.problems.push_back({"probe_stale", "no sample"});
  EXPECT_EQ(complaint_of(health(snapshot_, true).body, "Health"), "");
  EXPECT_EQ(complaint_of(error_body(not_found("/x"), Dialect::openai), "Error"), "");
}

TEST_F(OpenApiAnswers, AFieldThatIsNotDocumentedIsNoticed) {
  json model = json::parse(memory_model_json(snapshot_, ModelId{0}, context()));
  model["new"] = 1;
  EXPECT_EQ(complaint_of(model.dump(), "Model"), "Model has new, which is not documented");
  model.erase("new");
  model["leases"] = "one";
  EXPECT_NE(complaint_of(model.dump(), "Model"), "");
  model.erase("leases");
  EXPECT_EQ(complaint_of(model.dump(), "Model"), "Model lacks \"leases\"");
}

}  // namespace
}  // namespace tonnage::api
