#include "engine/llama/model_look.h"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "model_file/model_files.h"
#include "model_file/page_cache.h"

namespace tonnage {
namespace {

// Models that are looked at at the same time. One that hangs keeps its thread.
constexpr std::size_t kThreadsMax = 64;
constexpr std::string_view kDepths[] = {"identity", "facts", "drop"};

nlohmann::json json_of(const GgufValue& value) {
  return std::visit(
      [&value](const auto& v) -> nlohmann::json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, GgufArray>) {
          return {value.index(), v.count};
        } else {
          return {value.index(), v};
        }
      },
      value);
}

GgufValue value_of(const nlohmann::json& json) {
  const nlohmann::json& v = json.at(1);
  switch (json.at(0).get<std::size_t>()) {
    case 0:
      return v.get<std::int64_t>();
    case 1:
      return v.get<std::uint64_t>();
    case 2:
      return v.get<double>();
    case 3:
      return v.get<bool>();
    case 4:
      return v.get<std::string>();
    default:
      return GgufArray{v.get<std::uint64_t>()};
  }
}

// A field that is added to GgufInfo or GgufWeights and not to these does not compile.
nlohmann::json json_of(const GgufInfo& info) {
  const auto& [version, tensor_count, tensor_bytes, weights, header_bytes, file_size, file, keys] =
      info;
  const auto& [blocks, output, input] = weights;
  nlohmann::json layers = nlohmann::json::array();
  for (const Bytes& block : blocks)
    layers.push_back(block.count);
  nlohmann::json values = nlohmann::json::object();
  for (const auto& [name, value] : keys)
    values[name] = json_of(value);
  return {version,     tensor_count,       tensor_bytes.count, layers,     output.count,
          input.count, header_bytes.count, file_size.count,    file.value, std::move(values)};
}

GgufInfo info_of(const nlohmann::json& json) {
  GgufInfo info;
  info.version = json.at(0).get<std::uint32_t>();
  info.tensor_count = json.at(1).get<std::uint64_t>();
  info.tensor_bytes = Bytes(json.at(2).get<std::int64_t>());
  for (const nlohmann::json& block : json.at(3))
    info.weights.blocks.emplace_back(block.get<std::int64_t>());
  info.weights.output = Bytes(json.at(4).get<std::int64_t>());
  info.weights.input = Bytes(json.at(5).get<std::int64_t>());
  info.header_bytes = Bytes(json.at(6).get<std::int64_t>());
  info.file_size = Bytes(json.at(7).get<std::int64_t>());
  info.file = FileId(json.at(8).get<std::uint64_t>());
  for (const auto& [name, value] : json.at(9).items())
    info.keys[name] = value_of(value);
  return info;
}

nlohmann::json json_of(const ModelFiles& files) {
  const auto& [all] = files;
  nlohmann::json list = nlohmann::json::array();
  for (const ModelFile& file : all) {
    const auto& [role, path, id, size, modified_s] = file;
    list.push_back({static_cast<int>(role), path, id.value, size.count, modified_s});
  }
  return list;
}

ModelFiles files_of(const nlohmann::json& json) {
  ModelFiles files;
  for (const nlohmann::json& file : json) {
    files.files.push_back({.role = static_cast<FileRole>(file.at(0).get<int>()),
                           .path = file.at(1).get<std::string>(),
                           .id = FileId(file.at(2).get<std::uint64_t>()),
                           .size = Bytes(file.at(3).get<std::int64_t>()),
                           .modified_s = file.at(4).get<std::int64_t>()});
  }
  return files;
}

nlohmann::json json_of(const ModelFacts& facts) {
  const auto& [files, gguf, companions, trained_context] = facts;
  const auto& [draft, projectors, adapters] = companions;
  nlohmann::json json = nlohmann::json::array(
      {json_of(files), json_of(gguf), nullptr, projectors.count, adapters.count, nullptr});
  if (draft)
    json[2] = json_of(*draft);
  if (trained_context)
    json[5] = *trained_context;
  return json;
}

ModelFacts facts_of(const nlohmann::json& json) {
  ModelFacts facts{files_of(json.at(0)), info_of(json.at(1)), {}, {}};
  if (!json.at(2).is_null())
    facts.companions.draft = info_of(json.at(2));
  facts.companions.projectors = Bytes(json.at(3).get<std::int64_t>());
  facts.companions.adapters = Bytes(json.at(4).get<std::int64_t>());
  if (!json.at(5).is_null())
    facts.trained_context = json.at(5).get<std::int64_t>();
  return facts;
}

std::optional<ModelLook> look_of(std::string_view record) {
  const nlohmann::json json = nlohmann::json::from_cbor(record, true, false);
  if (!json.is_array() || json.size() != 5)
    return std::nullopt;
  ModelLook look;
  try {
    look.key = json.at(0).get<std::string>();
    look.files = FileId(json.at(1).get<std::uint64_t>());
    look.changed_s = json.at(2).get<std::int64_t>();
    if (!json.at(3).is_null())
      look.facts = facts_of(json.at(3));
    look.error = json.at(4).get<std::string>();
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
  return look;
}

// Empty: it is no key.
std::optional<LlamaModel> model_of(const std::string& key) {
  const nlohmann::json json = nlohmann::json::parse(key, nullptr, false);
  if (!json.is_array() || json.size() != 6)
    return std::nullopt;
  LlamaModel model;
  model.gguf = json[0].get<std::string>();
  model.draft = json[1].get<std::string>();
  model.projector = json[2].get<std::string>();
  model.adapters = json[3].get<std::vector<std::string>>();
  model.control_vectors = json[4].get<std::vector<std::string>>();
  model.args = json[5].get<std::vector<std::string>>();
  return model;
}

// What the threads share; it is never taken down, since some of them may hang.
struct Looking {
  LookDepth depth = LookDepth::identity;
  std::vector<std::string> keys;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> left{0};
};

void look_at_the_rest(const std::shared_ptr<Looking>& looking) {
  for (std::size_t i = looking->next++; i < looking->keys.size(); i = looking->next++) {
    const std::string record = encode(look_at_model(looking->keys[i], looking->depth));
    // A pipe takes a record of up to PIPE_BUF in one piece; longer ones are kept whole by the lock.
    static std::atomic_flag writing;
    while (writing.test_and_set(std::memory_order_acquire))
      writing.wait(true);
    for (std::size_t at = 0; at < record.size();) {
      const auto written = ::write(STDOUT_FILENO, record.data() + at, record.size() - at);
      if (written <= 0)
        ::_exit(1);
      at += static_cast<std::size_t>(written);
    }
    writing.clear(std::memory_order_release);
    writing.notify_one();
    if (--looking->left == 0)
      looking->left.notify_all();
  }
}

}  // namespace

std::string look_key(const LlamaModel& model) {
  // Paths are bytes and need not be text.
  return nlohmann::json::array({model.gguf.string(), model.draft.string(), model.projector.string(),
                                model.adapters, model.control_vectors, model.args})
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::ignore);
}

std::string file_of_key(const std::string& key) {
  const auto model = model_of(key);
  return model ? model->gguf.string() : key;
}

ModelLook look_at_model(const std::string& key, LookDepth depth) {
  ModelLook look;
  look.key = key;
  const auto model = model_of(key);
  if (!model)
    return look;
  const std::vector<NamedFile> named = llama_files(*model);
  if (depth == LookDepth::drop) {
    for (const NamedFile& file : named)
      drop_from_page_cache(parts_of(file.path));
    return look;
  }
  if (const auto files = read_model_files(named)) {
    look.files = files->identity();
    look.changed_s = files->files.empty() ? 0 : files->files.front().modified_s;
  } else {
    look.error = files.error().text();
  }
  if (depth == LookDepth::facts) {
    if (auto facts = read_model_facts(*model)) {
      look.facts = std::move(*facts);
    } else {
      look.error = facts.error().text();
    }
  }
  return look;
}

std::vector<std::string> look_arguments(LookDepth depth, std::span<const std::string> keys) {
  std::vector<std::string> arguments{std::string(kModelLookFlag),
                                     std::string(kDepths[static_cast<std::size_t>(depth)])};
  arguments.insert(arguments.end(), keys.begin(), keys.end());
  return arguments;
}

int look_at_models(std::span<char* const> arguments) {
  if (arguments.empty())
    return 2;
  const auto looking = std::make_shared<Looking>();
  for (std::size_t i = 0; i < std::size(kDepths); ++i) {
    if (kDepths[i] == arguments.front())
      looking->depth = static_cast<LookDepth>(i);
  }
  for (const char* key : arguments.subspan(1))
    looking->keys.emplace_back(key);
  looking->left = looking->keys.size();
  if (looking->keys.size() <= 1) {
    look_at_the_rest(looking);
    return 0;
  }
  for (std::size_t i = 0; i < std::min(looking->keys.size(), kThreadsMax); ++i)
    std::thread(look_at_the_rest, looking).detach();
  for (std::size_t left = looking->left; left > 0; left = looking->left)
    looking->left.wait(left);
  ::_exit(0);  // nothing is waited for
}

// "LENGTH\n" and the record.
std::string encode(const ModelLook& look) {
  const auto& [key, files, changed_s, facts, error] = look;
  nlohmann::json json = nlohmann::json::array({key, files.value, changed_s, nullptr, error});
  if (facts)
    json[3] = json_of(*facts);
  std::string record;
  nlohmann::json::to_cbor(json, record);
  return std::to_string(record.size()) + "\n" + record;
}

std::vector<ModelLook> decode_looks(std::string_view output) {
  std::vector<ModelLook> looks;
  for (;;) {
    const std::size_t end = output.find('\n');
    std::size_t size = 0;
    if (end == std::string_view::npos)
      return looks;
    const auto [stop, error] = std::from_chars(output.data(), output.data() + end, size);
    if (error != std::errc() || stop != output.data() + end || output.size() - end - 1 < size)
      return looks;
    if (auto look = look_of(output.substr(end + 1, size)))
      looks.push_back(std::move(*look));
    output.remove_prefix(end + 1 + size);
  }
}

}  // namespace tonnage
