// parse_value: a node of the tree into the value that a key wants, or what is wrong with it.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/document.h"
#include "config/key.h"

namespace tonnage {

// What "~" and relative paths mean. Both may be empty; then paths that need them are errors.
struct PathBase {
  std::filesystem::path home;
  std::filesystem::path folder;
};

// The error is a sentence without position or key: "'5' is not a duration: ...".
std::expected<Value, std::string> parse_value(const KeySpec& spec, const Node& node,
                                              const PathBase& paths);

// "10%", "1GiB", "min(20%, 8GiB)".
Result<Reserve> parse_reserve(std::string_view text);

// "80%", "12.5%" into permille.
Result<std::int64_t> parse_percent(std::string_view text);

// The founding names carry fractions: "0.20". "20%" means the same. Into permille.
Result<std::int64_t> parse_fraction(std::string_view text);

// "127.0.0.1:8726", "[::1]:8726", "localhost:8726".
Result<Listen> parse_listen(std::string_view text);

// "~/m.gguf" and "m.gguf" into absolute, normal form.
Result<std::filesystem::path> parse_path(std::string_view text, const PathBase& paths);

// "a duration such as 30s": what a key wants, for messages and docs.
std::string wanted(const KeySpec& spec);

}  // namespace tonnage
