#include "engine/llama/llama_offer.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "process/runner.h"

namespace tonnage {
namespace {

// Loading shared libraries and drivers from a cold disk.
constexpr Duration kHelpMax = 20s;
constexpr std::size_t kNamedMax = 6;

constexpr auto kNeeded = std::to_array<std::string_view>({"--host",
                                                          "--model",
                                                          "--alias",
                                                          "--ctx-size",
                                                          "--parallel",
                                                          "--batch-size",
                                                          "--ubatch-size",
                                                          "--cache-type-k",
                                                          "--cache-type-v",
                                                          "--flash-attn",
                                                          "--gpu-layers",
                                                          "--device",
                                                          "--tensor-split",
                                                          "--split-mode",
                                                          "--slot-prompt-similarity",
                                                          "--ctx-checkpoints",
                                                          "--cache-ram",
                                                          "--fit",
                                                          "--load-mode",
                                                          "--threads",
                                                          "--threads-batch",
                                                          "--threads-http",
                                                          "--no-warmup",
                                                          "--offline",
                                                          "--no-ui",
                                                          "--embeddings",
                                                          "--reranking"});

bool is_of_a_flag(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

// "--fit" is not in "--fit-target".
bool names_flag(std::string_view help, std::string_view flag) {
  for (auto at = help.find(flag); at != std::string_view::npos; at = help.find(flag, at + 1)) {
    const bool begins = at == 0 || !is_of_a_flag(help[at - 1]);
    const std::size_t end = at + flag.size();
    if (begins && (end == help.size() || !is_of_a_flag(help[end])))
      return true;
  }
  return false;
}

std::string listed(const std::vector<std::string>& flags) {
  std::string out;
  for (std::size_t i = 0; i < std::min(flags.size(), kNamedMax); ++i)
    out += (i == 0 ? "" : ", ") + flags[i];
  if (flags.size() > kNamedMax)
    out += " and " + std::to_string(flags.size() - kNamedMax) + " more";
  return out;
}

std::string lacks(const std::filesystem::path& server, const std::vector<std::string>& missing) {
  return server.string() + " is of another version than tonnage needs: it does not know " +
         listed(missing);
}

}  // namespace

std::span<const std::string_view> needed_flags() {
  return kNeeded;
}

std::vector<std::string> missing_flags(std::string_view help) {
  std::vector<std::string> missing;
  if (!names_flag(help, "--model"))
    return missing;
  for (const std::string_view flag : kNeeded) {
    if (!names_flag(help, flag))
      missing.emplace_back(flag);
  }
  return missing;
}

Result<LlamaChoice> choose_llama(const LlamaSearch& search, const AskHelp& ask) {
  auto found = find_llama(search);
  if (!found)
    return std::unexpected(found.error());
  LlamaChoice choice{.programs = std::move(*found), .missing = {}, .notes = {}};
  const auto help = ask(choice.programs.server);
  choice.missing = help ? missing_flags(*help) : std::vector<std::string>{};
  if (help && choice.missing.empty())
    return choice;
  std::string why =
      choice.missing.empty() ? help.error().text() : lacks(choice.programs.server, choice.missing);
  const bool built = search.cached && choice.programs.server.parent_path() == *search.cached;
  if (!search.configured && !built && search.cached) {
    LlamaSearch only_cached;
    only_cached.cached = search.cached;
    if (auto cached = find_llama(only_cached)) {
      choice = {.programs = std::move(*cached), .missing = {}, .notes = {}};
      choice.notes.push_back(why + "; the engine on PATH is passed over, and " +
                             choice.programs.server.string() + " is used");
      return choice;
    }
  }
  if (!choice.missing.empty())
    why +=
        "; its models will not start (use the build of `make setup`, or name another "
        "llama-server in engine.llama_server)";
  choice.notes.push_back(std::move(why));
  return choice;
}

AskHelp ask_help(std::vector<std::string> env) {
  return [env = std::move(env)](const std::filesystem::path& server) -> Result<std::string> {
    boost::asio::io_context loop;
    ProcessRunner runner(loop);
    Result<std::string> help = fail("no answer from", server.string());
    runner.run({.argv = {server.string(), "--help"}, .env = env, .timeout = kHelpMax},
               [&](const Result<RunOutput>& output) {
                 if (!output) {
                   help = std::unexpected(output.error());
                 } else if (!output->status.clean() && missing_flags(output->out).empty()) {
                   help = fail("cannot use engine program", server.string(),
                               "--help: " + to_text(output->status));
                 } else {
                   help = output->out + output->err;
                 }
                 loop.stop();
               });
    loop.run();
    return help;
  };
}

}  // namespace tonnage
