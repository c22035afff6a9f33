#include "api/near_path.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "api/route.h"

namespace tonnage::api {
namespace {

bool is_ollamas(std::string_view path) {
  constexpr auto kPaths = std::to_array<std::string_view>(
      {"/api/tags", "/api/chat", "/api/generate", "/api/show", "/api/ps", "/api/version",
       "/api/embed", "/api/embeddings", "/api/pull"});
  return std::ranges::find(kPaths, path) != kPaths.end();
}

// A path of llama.cpp's server that is reached through a model.
bool is_below_upstream(std::string_view path) {
  if (path == "/props" || path == "/slots")
    return true;
  const auto found = route("POST", "/upstream/m" + std::string(path),
                           [](std::string_view name) { return name == "m"; });
  return found && !found->look;
}

// Empty where the path resembles none.
std::string meant(std::string_view path) {
  const std::vector<Served> all = served_paths();
  const auto known = [&](std::string_view text) {
    return std::ranges::any_of(all, [&](const Served& served) { return served.path == text; });
  };
  if (std::string text = "/v1" + std::string(path); known(text))
    return text;
  // "/v1/v1/models", "/openai/v1/models", "/api/v0/models": something stands before it.
  for (std::size_t at = path.find('/', 1); at != std::string_view::npos;
       at = path.find('/', at + 1)) {
    for (const std::string_view prefix : {"", "/v1"}) {
      std::string text(prefix);
      text += path.substr(at);
      if (known(text))
        return text;
    }
  }
  return is_below_upstream(path) ? "/upstream/MODEL" + std::string(path) : std::string();
}

}  // namespace

ApiError nothing_at(std::string_view path) {
  // Beyond this a path resembles none, and costs nothing.
  constexpr std::size_t kPathBytesMax = 256;
  ApiError error = not_found(path);
  std::string_view plain = path;
  if (plain.size() > 1 && plain.ends_with('/'))
    plain.remove_suffix(1);
  if (plain.size() > kPathBytesMax)
    return error;
  if (is_ollamas(plain)) {
    error.message +=
        " It is a path of Ollama's API. Set the client to OpenAI's API, with a base URL that ends "
        "in /v1.";
  } else if (plain == "/" || plain == "/v1") {
    error.message += " GET /v1/models lists the models, GET /openapi.json all paths.";
  } else if (const std::string other = meant(plain); !other.empty()) {
    error.message += " Did you mean " + other + "?";
  }
  return error;
}

}  // namespace tonnage::api
