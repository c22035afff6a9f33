#include "journal/codec.h"

#include "journal/json_reader.h"
#include "journal/json_writer.h"
#include "journal/state_fields.h"

namespace tonnage::journal {
namespace {

using Json = nlohmann::json;

// A line of a journal as JSON. Journals are ours, but files are damaged: nothing here throws.
Result<Json> parse(std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded())
    return fail("", "", "it is not JSON");
  if (!json.is_object())
    return fail("", "", "it is not a JSON object");
  return json;
}

template <typename T>
Result<T> finish(const JsonReader& reader, T value) {
  if (!reader.ok())
    return fail("", "", reader.problem());
  return value;
}

}  // namespace

std::string_view type_of(const Event& event) {
  return std::visit([]<typename T>(const T&) { return Fields<T>::kType; }, event);
}

std::string_view type_of(const Action& action) {
  return std::visit([]<typename T>(const T&) { return Fields<T>::kType; }, action);
}

void encode(const SegmentHeader& header, std::string& out) {
  JsonWriter writer(out);
  writer.raw("{");
  writer.member("journal", std::string_view("tonnage"));
  writer.member("version", kVersion);
  writer.member("program", header.program);
  writer.member("run", header.run);
  writer.member("segment", header.segment);
  writer.member("first_step", header.first_step);
  writer.member("unix_us_at_zero", header.unix_us_at_zero);
  writer.member("gap", header.gap);
  writer.member("state", header.state);
  writer.raw("}\n");
}

void encode_step(std::uint64_t number, Tick at, const Event& event, const Actions& actions,
                 std::string& out) {
  JsonWriter writer(out);
  writer.raw("{");
  writer.member("step", number);
  writer.member("at", at);
  writer.raw(R"(,"event":)");
  std::visit([&](const auto& e) { writer.put(e); }, event);
  if (!actions.empty()) {
    writer.raw(R"(,"actions":[)");
    bool first = true;
    for (const Action& action : actions) {
      if (!first)
        writer.raw(",");
      first = false;
      std::visit([&](const auto& a) { writer.put(a); }, action);
    }
    writer.raw("]");
  }
  writer.raw("}\n");
}

void encode(const Action& action, std::string& out) {
  JsonWriter writer(out);
  std::visit([&](const auto& a) { writer.put(a); }, action);
  writer.raw("\n");
}

Result<SegmentHeader> decode_header(std::string_view line) {
  const auto json = parse(line);
  if (!json)
    return std::unexpected(json.error());
  const auto name = json->find("journal");
  if (name == json->end() || *name != "tonnage")
    return fail("", "", "it is not the first line of a journal of tonnage");
  JsonReader reader;
  int version = 0;
  reader.get_at(*json, "version", version);
  if (reader.ok() && version != kVersion) {
    return fail("", "", "it is of version " + std::to_string(version),
                "this tonnage reads version " + std::to_string(kVersion) +
                    "; replay it with the tonnage that wrote it");
  }
  SegmentHeader header;
  reader.get_at(*json, "program", header.program);
  reader.get_at(*json, "run", header.run);
  reader.get_at(*json, "segment", header.segment);
  reader.get_at(*json, "first_step", header.first_step);
  reader.get_at(*json, "unix_us_at_zero", header.unix_us_at_zero);
  reader.get_at(*json, "gap", header.gap);
  reader.get_at(*json, "state", header.state);
  if (reader.ok()) {
    if (const auto flaw = flaw_of(header.state))
      reader.complain("the state is not one of a governor: " + *flaw);
  }
  return finish(reader, std::move(header));
}

Result<Step> decode_step(std::string_view line) {
  const auto json = parse(line);
  if (!json)
    return std::unexpected(json.error());
  JsonReader reader;
  Step step;
  reader.get_at(*json, "step", step.number);
  reader.get_at(*json, "at", step.at);
  if (const auto event = json->find("event"); event != json->end()) {
    const JsonReader::Path path(reader, "event");
    if (reader.ok())
      reader.get_alternative(*event, step.event);
  } else {
    reader.complain("the event is missing");
  }
  if (const auto actions = json->find("actions"); reader.ok() && actions != json->end()) {
    const JsonReader::Path path(reader, "actions");
    if (!actions->is_array())
      reader.complain("a list is wanted");
    for (const Json& action : *actions) {
      if (!reader.ok())
        break;
      reader.get_alternative(action, step.actions.emplace_back());
    }
  }
  return finish(reader, std::move(step));
}

}  // namespace tonnage::journal
