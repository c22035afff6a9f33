// Result<T>: errors of the world as values.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace tonnage {

// What was tried, on what, why it failed, and what to do about it. Rendered for people by text().
struct Error {
  std::string what;    // "cannot read model file"
  std::string object;  // "/models/a.gguf"; may be empty
  std::string why;     // "it is a directory"
  std::string remedy;  // "name a .gguf file"; may be empty

  // "cannot read model file /models/a.gguf: it is a directory (name a .gguf file)"
  std::string text() const {
    std::string out = what;
    if (!object.empty())
      out += (out.empty() ? "" : " ") + object;
    if (!why.empty())
      out += (out.empty() ? "" : ": ") + why;
    if (!remedy.empty())
      out += " (" + remedy + ")";
    return out;
  }

  friend bool operator==(const Error&, const Error&) = default;
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(std::string what, std::string object = {}, std::string why = {},
                                   std::string remedy = {}) {
  return std::unexpected(
      Error{std::move(what), std::move(object), std::move(why), std::move(remedy)});
}

}  // namespace tonnage
