#include "metrics/token_counts.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

namespace tonnage {
namespace {

// The objects in which a server counts are at most this long.
constexpr std::size_t kFiguresBytesMax = 640;

// What was read of them; a later figure replaces an earlier one of its name.
struct Figures {
  std::optional<std::uint64_t> prompt;  // OpenAI: all of the prompt
  std::optional<std::uint64_t> input;   // Anthropic: what was read; Responses: all of the prompt
  std::optional<std::uint64_t> read;    // llama.cpp: what was read
  std::optional<std::uint64_t> kept;    // beside any of these
  std::optional<std::uint64_t> kept_apart;  // Anthropic: not part of the input
  std::optional<std::uint64_t> generated;

  std::optional<std::uint64_t>* place(std::string_view name) {
    if (name == "prompt_tokens")
      return &prompt;
    if (name == "input_tokens")
      return &input;
    if (name == "prompt_n")
      return &read;
    if (name == "cached_tokens" || name == "cache_n")
      return &kept;
    if (name == "cache_read_input_tokens")
      return &kept_apart;
    if (name == "completion_tokens" || name == "output_tokens" || name == "predicted_n")
      return &generated;
    return nullptr;
  }
};

std::string_view after_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

// Every `"name": number` of an object's text, in one pass.
void read_numbers(std::string_view text, Figures& figures) {
  while (true) {
    const std::size_t begin = text.find('"');
    if (begin == std::string_view::npos)
      return;
    const std::size_t end = text.find('"', begin + 1);
    if (end == std::string_view::npos)
      return;
    const std::string_view name = text.substr(begin + 1, end - begin - 1);
    text = after_blanks(text.substr(end + 1));
    if (!text.starts_with(':'))
      continue;
    text = after_blanks(text.substr(1));
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    // A number that the end of the text cuts short is not one.
    if (error != std::errc{} || stop == text.data() + text.size())
      continue;
    if (auto* place = figures.place(name))
      *place = value;
  }
}

// From the last `mark` on, as far as such an object goes.
std::string_view last_object(std::string_view text, std::string_view mark) {
  // JSON is full of quotes, at each of which find() would stop; memmem() leaps.
  const char* last = nullptr;
  const char* const end = text.data() + text.size();
  for (const char* from = text.data(); from < end;) {
    const void* const found =
        ::memmem(from, static_cast<std::size_t>(end - from), mark.data(), mark.size());
    if (found == nullptr)
      break;
    from = last = static_cast<const char*>(found) + mark.size();
  }
  if (last == nullptr)
    return {};
  return std::string_view(last, end).substr(0, kFiguresBytesMax);
}

}  // namespace

TokenCounts read_token_counts(std::string_view head, std::string_view tail) {
  constexpr std::string_view kUsage = R"("usage":)", kTimings = R"("timings":)";
  Figures figures;
  // llama.cpp says it all at the very end, whatever the dialect; others are searched for further.
  read_numbers(last_object(tail, kTimings), figures);
  if (!figures.read || !figures.generated) {
    figures = {};
    read_numbers(last_object(head, kUsage), figures);
    read_numbers(last_object(tail, kUsage), figures);
  }
  TokenCounts counts;
  counts.generated = figures.generated.value_or(0);
  counts.kept = figures.kept_apart.value_or(figures.kept.value_or(0));
  if (figures.prompt)
    counts.prompt = *figures.prompt;
  else if (figures.input)
    counts.prompt = *figures.input + figures.kept_apart.value_or(0);
  else if (figures.read)
    counts.prompt = *figures.read + counts.kept;
  return counts;
}

}  // namespace tonnage
