#include "engine/failure_class.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace vramd {
namespace {

using enum FailureKind;

// Substrings of lines, lower case. Order is weight: memory before the load failure that it causes,
// set-up before the model that it keeps from loading.
constexpr auto kPatterns = std::to_array<FailurePattern>({
    // Says "failed to load" or "out of memory" as well, but another machine's memory would not
    // help.
    {bad_setup, "error while loading shared libraries"},
    {bad_setup, "error while handling argument"},
    {bad_setup, "error: invalid argument"},
    {bad_setup, "error: unknown argument"},
    {bad_setup, "couldn't bind http server socket"},
    {bad_setup, "couldn't start http listener"},
    {bad_setup, "no kernel image is available"},
    {bad_setup, "cuda driver version is insufficient"},
    {bad_setup, "driver/library version mismatch"},
    // Memory.
    {out_of_memory, "cudamalloc failed: out of memory"},
    {out_of_memory, "cuda error: out of memory"},
    {out_of_memory, "rocm error: out of memory"},
    {out_of_memory, "musa error: out of memory"},
    {out_of_memory, "failed to allocate buffer"},
    {out_of_memory, "failed to allocate compute"},
    {out_of_memory, "failed to allocate output buffer"},
    {out_of_memory, "failed to allocate memory"},
    {out_of_memory, "failed to reserve initial output buffer"},
    {out_of_memory, "unable to allocate"},
    {out_of_memory, "erroroutofdevicememory"},
    {out_of_memory, "erroroutofhostmemory"},
    {out_of_memory, "device memory allocation of size"},
    {out_of_memory, "compute status: -2"},
    {out_of_memory, "std::bad_alloc"},
    {out_of_memory, "cannot allocate memory"},
    {out_of_memory, "out of memory"},
    // The model file.
    {bad_model, "unknown model architecture"},
    {bad_model, "failed to open gguf file"},
    {bad_model, "gguf_init_from_file"},
    {bad_model, "gguf_init_from_reader"},
    {bad_model, "invalid magic"},
    {bad_model, "is not within the file bounds"},
    {bad_model, "error loading model"},
    {bad_model, "failed to load model"},
    {bad_model, "exiting due to model loading error"},
});

// Lines that hold the words of a failure and are none.
constexpr auto kHarmless = std::to_array<std::string_view>({
    "retrying without pipeline parallelism",
    "failed to fit params to free device memory",
    "failed to mlock",
    "pinned memory",
    "failed to find a memory slot",
});

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

struct Match {
  FailureKind kind;
  std::string_view line;
};

std::optional<Match> match_lines(std::span<const std::string_view> lines) {
  for (const auto& pattern : kPatterns) {
    for (const auto line : lines) {
      const std::string low = lower(line);
      const bool harmless = std::ranges::any_of(
          kHarmless, [&](std::string_view words) { return low.contains(words); });
      if (!harmless && low.contains(pattern.text))
        return Match{pattern.kind, line};
    }
  }
  return std::nullopt;
}

std::string_view last_words(std::span<const std::string_view> lines) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->find_first_not_of(' ') != std::string_view::npos)
      return *line;
  }
  return {};
}

std::string with_words(std::string text, std::string_view words) {
  if (!words.empty())
    text += ": " + std::string(words);
  return text;
}

}  // namespace

std::span<const FailurePattern> failure_patterns() {
  return kPatterns;
}

Failure classify_exit(ExitStatus status, bool killed_by_kernel,
                      std::span<const std::string_view> last_lines) {
  if (status.signal == SIGKILL) {
    // Its last words were written before anything was wrong: a kill gives no time for more.
    if (killed_by_kernel) {
      return {.kind = out_of_memory, .text = "killed by the kernel: out of host memory"};
    }
    return {.kind = crashed, .text = to_text(status)};
  }
  if (const auto match = match_lines(last_lines)) {
    return {.kind = match->kind, .text = with_words(to_text(status), match->line)};
  }
  const auto words = last_words(last_lines);
  if (status.signal != 0)
    return {.kind = crashed, .text = with_words(to_text(status), words)};
  return {.kind = exited, .text = with_words(to_text(status), words)};
}

}  // namespace vramd
