#include "llama/answers.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace fake_gpu {
namespace {

using nlohmann::json;

constexpr std::int64_t kTokensUnasked = 16;
constexpr std::size_t kBytesPerToken = 4;
constexpr std::size_t kEmbeddingWidth = 16;
constexpr const char* kId = "chatcmpl-fake";
constexpr const char* kFingerprint = "b1-fa4e000";

json head(const std::string& model, const char* object) {
  return {{"created", 0},
          {"id", kId},
          {"model", model},
          {"system_fingerprint", kFingerprint},
          {"object", object}};
}

json usage(const Generation& wanted) {
  return {{"completion_tokens", wanted.tokens},
          {"prompt_tokens", wanted.prompt_tokens},
          {"total_tokens", wanted.prompt_tokens + wanted.tokens}};
}

// Texts of an `input` that is one or several.
std::vector<std::string> texts_of(const json& input) {
  std::vector<std::string> texts;
  if (input.is_array()) {
    for (const json& text : input)
      texts.push_back(text.is_string() ? text.get<std::string>() : text.dump());
  } else {
    texts.push_back(input.is_string() ? input.get<std::string>() : input.dump());
  }
  return texts;
}

// The same text has the same vector, and which model made it can be read from the first number.
json vector_of(const std::string& model, const std::string& text) {
  json numbers = json::array({static_cast<double>(model.size())});
  std::uint64_t hash = 1469598103934665603ULL;
  for (std::size_t i = 1; i < kEmbeddingWidth; ++i) {
    for (const char c : text)
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    numbers.push_back(static_cast<double>(hash % 2001) / 1000.0 - 1.0);
  }
  return numbers;
}

}  // namespace

std::string error_json(int code, const std::string& message, const std::string& type) {
  return json{{"error", {{"code", code}, {"message", message}, {"type", type}}}}.dump();
}

std::string not_supported(const std::string& what, const std::string& flag) {
  return error_json(501, "This server does not support " + what + ". Start it with `" + flag + "`",
                    "not_supported_error");
}

std::expected<Generation, std::string> read_generation(const std::string& body, bool chat,
                                                       std::int64_t context) {
  const json request = json::parse(body, nullptr, false);
  if (!request.is_object())
    return std::unexpected(error_json(400, "parse error", "invalid_request_error"));
  const char* prompt = chat ? "messages" : "prompt";
  if (!request.contains(prompt)) {
    return std::unexpected(
        error_json(400, "'" + std::string(prompt) + "' is required", "invalid_request_error"));
  }
  Generation wanted{.chat = chat, .stream = request.value("stream", false)};
  wanted.prompt_tokens =
      static_cast<std::int64_t>(request[prompt].dump().size() / kBytesPerToken) + 1;
  for (const char* name : {"max_tokens", "max_completion_tokens", "n_predict"}) {
    if (request.contains(name) && request[name].is_number_integer())
      wanted.tokens = request[name].get<std::int64_t>();
  }
  if (wanted.tokens < 0)
    wanted.tokens = kTokensUnasked;
  if (wanted.prompt_tokens > context) {
    json error{{"code", 400},
               {"message", "request (" + std::to_string(wanted.prompt_tokens) +
                               " tokens) exceeds the available context size (" +
                               std::to_string(context) + " tokens), try increasing it"},
               {"type", "exceed_context_size_error"},
               {"n_prompt_tokens", wanted.prompt_tokens},
               {"n_ctx", context}};
    return std::unexpected(json{{"error", error}}.dump());
  }
  return wanted;
}

Answer::Answer(std::string model, Generation wanted) : model_(std::move(model)), wanted_(wanted) {}

std::string Answer::next() {
  constexpr std::array<std::string_view, 5> words = {" bits", " that", " never", " were", " there"};
  const std::string token =
      made_ == 0 ? model_ + ":" : std::string(words[static_cast<std::size_t>(made_) % 5]);
  ++made_;
  text_ += token;
  return chunk(token, false);
}

std::string Answer::chunk(const std::string& text, bool ends) const {
  json choice{{"index", 0}, {"finish_reason", ends ? json("length") : json(nullptr)}};
  if (wanted_.chat) {
    choice["delta"] = ends ? json::object() : json{{"content", text}};
    if (made_ == 1 && !ends)
      choice["delta"]["role"] = "assistant";
  } else {
    choice["text"] = text;
    choice["logprobs"] = nullptr;
  }
  json event = head(model_, wanted_.chat ? "chat.completion.chunk" : "text_completion");
  event["choices"] = json::array({choice});
  if (ends)
    event["usage"] = usage(wanted_);
  return event.dump();
}

std::string Answer::last() const {
  return chunk("", true);
}

std::string Answer::whole() const {
  json choice{{"index", 0}, {"finish_reason", "length"}};
  if (wanted_.chat) {
    choice["message"] = {{"role", "assistant"}, {"content", text_}};
  } else {
    choice["text"] = text_;
    choice["logprobs"] = nullptr;
  }
  json answer = head(model_, wanted_.chat ? "chat.completion" : "text_completion");
  answer["choices"] = json::array({choice});
  answer["usage"] = usage(wanted_);
  return answer.dump();
}

std::string models_json(const std::string& model) {
  return json{{"object", "list"},
              {"data", {{{"id", model}, {"object", "model"}, {"owned_by", "llamacpp"}}}}}
      .dump();
}

std::string embeddings_json(const std::string& model, const std::string& body) {
  const json request = json::parse(body, nullptr, false);
  json data = json::array();
  if (request.is_object()) {
    for (const std::string& text : texts_of(request.value("input", json("")))) {
      data.push_back(
          {{"embedding", vector_of(model, text)}, {"index", data.size()}, {"object", "embedding"}});
    }
  }
  return json{{"model", model},
              {"object", "list"},
              {"usage", {{"prompt_tokens", data.size()}, {"total_tokens", data.size()}}},
              {"data", data}}
      .dump();
}

std::string rerank_json(const std::string& model, const std::string& body) {
  const json request = json::parse(body, nullptr, false);
  json results = json::array();
  if (request.is_object()) {
    for (const std::string& text : texts_of(request.value("documents", json::array()))) {
      results.push_back({{"index", results.size()},
                         {"relevance_score", static_cast<double>(text.size() % 100) / 100.0}});
    }
  }
  return json{{"model", model}, {"object", "list"}, {"results", results}}.dump();
}

std::expected<std::string, std::string> slot_action(const std::string& folder,
                                                    const std::string& slot,
                                                    const std::string& action,
                                                    const std::string& body) {
  const auto bad = [](const std::string& why) {
    return std::unexpected(error_json(400, why, "invalid_request_error"));
  };
  const json number = std::stoll(slot);
  if (action == "erase")
    return json{{"id_slot", number}, {"n_erased", 1}}.dump();
  const json request = json::parse(body, nullptr, false);
  const std::string name = request.is_object() ? request.value("filename", "") : "";
  if (name.empty() || name.find('/') != std::string::npos)
    return bad("Invalid filename");
  const auto file = std::filesystem::path(folder) / name;
  json answer{{"id_slot", number}, {"filename", name}};
  if (action == "save") {
    std::ofstream(file) << "slot\n";
    answer.update({{"n_saved", 1}, {"n_written", 5}, {"timings", {{"save_ms", 1.0}}}});
    return answer.dump();
  }
  if (action != "restore")
    return bad("Invalid action");
  if (!std::filesystem::exists(file))
    return bad("Unable to restore slot, no available space in KV cache or invalid slot save file");
  answer.update({{"n_restored", 1}, {"n_read", 5}, {"timings", {{"restore_ms", 1.0}}}});
  return answer.dump();
}

}  // namespace fake_gpu
