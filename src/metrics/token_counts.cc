#include "metrics/token_counts.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>

namespace tonnage {
namespace {

using Names = std::span<const std::string_view>;

// The number behind the last `"name":` of the text.
std::optional<std::uint64_t> last_number(std::string_view text, std::string_view name) {
  for (std::size_t at = text.rfind(name); at != std::string_view::npos && at > 0;
       at = text.rfind(name, at - 1)) {
    std::string_view rest = text.substr(at + name.size());
    if (text[at - 1] != '"' || !rest.starts_with('"'))
      continue;
    rest.remove_prefix(1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" "), rest.size()));
    if (!rest.starts_with(':'))
      continue;
    rest.remove_prefix(1);
    rest.remove_prefix(std::min(rest.find_first_not_of(" "), rest.size()));
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    // A number that the end of the text cuts short is not one.
    if (error == std::errc{} && end != rest.data() + rest.size())
      return value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> first_of(std::string_view text, Names names) {
  for (const std::string_view name : names) {
    if (const auto found = last_number(text, name))
      return found;
  }
  return std::nullopt;
}

}  // namespace

TokenCounts read_token_counts(std::string_view head, std::string_view tail) {
  constexpr std::string_view kPrompt[] = {"prompt_tokens", "input_tokens", "tokens_evaluated"};
  constexpr std::string_view kGenerated[] = {"completion_tokens", "output_tokens",
                                             "tokens_predicted", "predicted_n"};
  constexpr std::string_view kKept[] = {"cached_tokens", "cache_read_input_tokens", "cache_n"};
  const auto either = [&](Names names) {
    const auto late = first_of(tail, names);
    return late ? late : first_of(head, names);
  };
  TokenCounts counts;
  counts.generated = either(kGenerated).value_or(0);
  counts.kept = either(kKept).value_or(0);
  if (const auto prompt = either(kPrompt)) {
    counts.prompt = *prompt;
    // Anthropic counts what was kept apart from the input.
    if (either(std::span(kKept).subspan(1, 1)))
      counts.prompt += counts.kept;
  } else if (const auto read = last_number(tail, "prompt_n")) {
    counts.prompt = *read + counts.kept;
  }
  return counts;
}

}  // namespace tonnage
