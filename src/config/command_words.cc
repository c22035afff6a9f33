#include "config/command_words.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "config/problem.h"

namespace tonnage {
namespace {

constexpr std::array kVariables = {kPortWord, kSocketWord, kModelWord, kGpusWord};

// Words that mean something to a shell only.
constexpr std::array<std::string_view, 12> kShellWords = {"|",  "||", "&",  "&&",   ";",  ">",
                                                          ">>", "<",  "<<", "2>&1", "2>", "&>"};

constexpr std::string_view kNoShell = "no shell is used; put it into a script and name that";

bool begins_name(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// What only a shell would understand of one word, as a sentence; nothing where all is well.
std::optional<std::string> shell_trick(std::string_view word) {
  if (std::ranges::find(kShellWords, word) != kShellWords.end())
    return in_quotes(word) + " would need a shell, and " + std::string(kNoShell);
  if (word.find("$(") != std::string_view::npos || word.find('`') != std::string_view::npos)
    return in_quotes(word) + " would need a shell to run a program in it, and " +
           std::string(kNoShell);
  return std::nullopt;
}

// "${NAME}" that nobody knows, and "$NAME", which stays as it is.
std::optional<std::string> unknown_variable(std::string_view word) {
  for (std::size_t at = word.find('$'); at != std::string_view::npos; at = word.find('$', at + 1)) {
    const std::string_view rest = word.substr(at + 1);
    if (rest.starts_with('{')) {
      const std::size_t end = rest.find('}');
      const std::string_view name = rest.substr(1, end == std::string_view::npos ? end : end - 1);
      if (end == std::string_view::npos || std::ranges::find(kVariables, name) == kVariables.end())
        return "in " + in_quotes(word) + ", ${" + std::string(name) +
               "} is not known; there are ${PORT}, ${SOCKET}, ${MODEL} and ${GPU_UUIDS}";
    } else if (!rest.empty() && begins_name(rest.front())) {
      return in_quotes(word) +
             ": variables of the environment are not replaced, because no shell is used; write "
             "their value, or `~` for the home folder";
    }
  }
  return std::nullopt;
}

void add_word_problems(const std::vector<std::string>& command, std::vector<std::string>& out) {
  for (const std::string& word : command) {
    if (auto trick = shell_trick(word))
      out.push_back("command: " + *trick);
    else if (auto unknown = unknown_variable(word))
      out.push_back("command: " + *unknown);
    else if (word.find('\0') != std::string::npos)
      out.push_back("command: a word holds a zero byte");
  }
}

std::string absolute_word(std::string word, const PathBase& paths, bool program) {
  const std::filesystem::path path(word);
  if (word == "~" || word.starts_with("~/"))
    return paths.home.empty() ? word : paths.home.string() + word.substr(1);
  if (program && word.find('/') != std::string::npos && path.is_relative() && !paths.folder.empty())
    return (paths.folder / path).lexically_normal().string();
  return word;
}

// Keys that only the built-in engine reads, and that nobody sets for all models.
std::string_view foreign_key(const ModelConfig& model) {
  if (!model.draft.empty())
    return "draft";
  if (!model.mmproj.empty())
    return "mmproj";
  if (!model.lora.empty())
    return "lora";
  if (!model.control_vector.empty())
    return "control_vector";
  if (!model.ladder.empty())
    return "ladder";
  return {};
}

}  // namespace

std::vector<std::string> source_problems(ModelConfig& model, const PathBase& paths,
                                         bool memory_named) {
  std::vector<std::string> out;
  if (model.command.empty()) {
    if (model.declared_host || model.declared_gpu)
      out.emplace_back("memory: this is for a `command`; what a gguf file takes is worked out");
    return out;
  }
  if (!model.gguf.empty())
    return {"command: 'gguf' is given as well; a model has one of the two"};
  if (const std::string_view key = foreign_key(model); !key.empty())
    out.push_back(std::string(key) + ": this is for a 'gguf'; say it in the command");
  if (model.command.front().empty())
    out.emplace_back("command: the program is empty");
  add_word_problems(model.command, out);
  const bool port = uses_word(model.command, kPortWord);
  const bool socket = uses_word(model.command, kSocketWord);
  if (port == socket) {
    out.emplace_back(port ? "command: both ${PORT} and ${SOCKET} are used; a server listens on one"
                          : "command: neither ${PORT} nor ${SOCKET} is used, so nobody can reach "
                            "the server; give it one of them to listen on");
  }
  if (!model.health.starts_with('/'))
    out.push_back("health: " + in_quotes(model.health) + " is not a path; it begins with '/'");
  if (!memory_named && !model.declared_host && !model.declared_gpu) {
    out.emplace_back(
        "memory: what the server takes is missing; add 'memory: {host: 1GiB}', or 'gpu: 6GiB' in "
        "it");
  }
  if (!model.context_given)
    model.configured.context = 0;
  for (std::size_t i = 0; i < model.command.size(); ++i)
    model.command[i] = absolute_word(std::move(model.command[i]), paths, i == 0);
  return out;
}

bool uses_word(const std::vector<std::string>& command, std::string_view variable) {
  const std::string text = "${" + std::string(variable) + "}";
  return std::ranges::any_of(
      command, [&](const std::string& word) { return word.find(text) != std::string::npos; });
}

std::vector<std::string> replaced_words(
    const std::vector<std::string>& command,
    const std::map<std::string, std::string, std::less<>>& values) {
  std::vector<std::string> out;
  for (const std::string& word : command) {
    std::string made;
    std::size_t at = 0;
    for (std::size_t begin = word.find("${"); begin != std::string::npos;
         begin = word.find("${", at)) {
      const std::size_t end = word.find('}', begin);
      const auto value =
          end == std::string::npos
              ? values.end()
              : values.find(std::string_view(word).substr(begin + 2, end - begin - 2));
      if (value == values.end())
        break;
      made.append(word, at, begin - at).append(value->second);
      at = end + 1;
    }
    out.push_back(made.append(word, at));
  }
  return out;
}

}  // namespace tonnage
