#include "tonnage/completion.h"

#include <algorithm>

namespace tonnage {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? std::string() : std::string(between)) + word;
  return text;
}

std::vector<std::string> names_of(const CommandDoc& command) {
  std::vector<std::string> names;
  for (const OptionDoc& option : command.options) {
    if (!option.positional)
      names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::string replaced(std::string text, char what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, 1, with);
  }
  return text;
}

// For single quotes of a POSIX shell.
std::string quoted(const std::string& text) {
  return "'" + replaced(text, '\'', "'\\''") + "'";
}

// --- bash ---

std::string bash_values(const OptionDoc& option) {
  if (!option.choices.empty())
    return "_tonnage_words " + quoted(joined(option.choices, " "));
  if (option.value == kModelValue)
    return "_tonnage_models";
  if (option.value == kFileValue)
    return "_tonnage_paths -f";
  if (option.value == kFolderValue)
    return "_tonnage_paths -d";
  return ":";
}

std::string bash_command(const CommandDoc& command) {
  std::string text = "    " + command.name + ")\n      case $before in\n";
  std::string positional = ":";
  for (const OptionDoc& option : command.options) {
    if (option.positional) {
      positional = bash_values(option);
    } else if (!option.value.empty()) {
      text += "        " + joined(option.names, "|") + ") " + bash_values(option) + "; return ;;\n";
    }
  }
  return text + "      esac\n      if [[ $current == -* ]]; then _tonnage_words " +
         quoted(joined(names_of(command), " ")) + "; else " + positional + "; fi\n      ;;\n";
}

constexpr const char* kBashHead =
    R"bash(# Completion of tonnage for bash; made by `tonnage completion bash`.

# bash takes ':' for the end of a word, and ids of models may hold it: what is before the last one
# stands on the line already.
_tonnage_found() {
  local word=$1
  if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
    word=${word#"${current%"${current##*:}"}"}
  fi
  COMPREPLY+=("$word")
}

_tonnage_words() {
  local word
  for word in $1; do
    if [[ $word == "$current"* ]]; then _tonnage_found "$word"; fi
  done
}

_tonnage_models() {
  local id
  while IFS= read -r id; do
    if [[ -n $id && $id == "$current"* ]]; then _tonnage_found "$(printf %q "$id")"; fi
  done < <("${COMP_WORDS[0]}" completion --models 2>/dev/null)
}

_tonnage_paths() {
  local path
  compopt -o filenames 2>/dev/null
  while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen "$1" -- "$current")
}

_tonnage() {
  local line=${COMP_LINE:0:COMP_POINT} words current before command
  read -ra words <<<"$line"
  if [[ $line == *[[:space:]] || ${#words[@]} -eq 0 ]]; then words+=(""); fi
  current=${words[${#words[@]} - 1]}
  before=
  if [[ ${#words[@]} -gt 1 ]]; then before=${words[${#words[@]} - 2]}; fi
  command=
  if [[ ${#words[@]} -gt 2 ]]; then command=${words[1]}; fi
  COMPREPLY=()
  case $command in
)bash";

// --- zsh ---

// Within [...] of an _arguments specification, itself within single quotes.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\')
      out += '\\';
    out += c;
  }
  return replaced(out, '\'', "'\\''");
}

std::string zsh_values(const OptionDoc& option) {
  std::string action = " ";
  if (!option.choices.empty()) {
    action = "(" + joined(option.choices, " ") + ")";
  } else if (option.value == kModelValue) {
    action = "_tonnage_models";
  } else if (option.value == kFileValue) {
    action = "_files";
  } else if (option.value == kFolderValue) {
    action = "_files -/";
  }
  return ":" + zsh_text(option.value) + ":" + action;
}

std::string zsh_option(const OptionDoc& option) {
  if (option.positional) {
    return "'" + std::string(option.required ? ":" : "::") + zsh_text(option.names.front()) +
           zsh_values(option).substr(zsh_values(option).find(':', 1)) + "'";
  }
  std::string text;
  for (const std::string& name : option.names) {
    std::string others;
    for (const std::string& other : option.names)
      others += (others.empty() ? "" : " ") + other;
    text += (text.empty() ? "" : " ") + std::string("'(") + others + ")" + name + "[" +
            zsh_text(option.description) + "]" + (option.value.empty() ? "" : zsh_values(option)) +
            "'";
  }
  return text;
}

// --- fish ---

std::string fish_quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\')
      out += '\\';
    out += c;
  }
  return "'" + out + "'";
}

std::string fish_values(const OptionDoc& option) {
  if (!option.choices.empty())
    return " -a " + fish_quoted(joined(option.choices, " "));
  if (option.value == kModelValue)
    return " -a '(tonnage completion --models 2>/dev/null)'";
  if (option.value == kFileValue)
    return " -F";
  if (option.value == kFolderValue)
    return " -a '(__fish_complete_directories)'";
  return "";
}

std::string fish_option(const OptionDoc& option, const std::string& condition) {
  std::string text = "complete -c tonnage -n " + fish_quoted(condition);
  if (option.positional)
    return text + fish_values(option) + "\n";
  for (const std::string& name : option.names) {
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  // -r: it takes a value; -x: and that is no file.
  if (!option.value.empty())
    text += (option.value == kFileValue ? " -r" : " -x") + fish_values(option);
  return text + " -d " + fish_quoted(option.description) + "\n";
}

}  // namespace

std::string bash_completion(const CommandDoc& program) {
  std::string text = kBashHead;
  std::vector<std::string> first;
  for (const CommandDoc& command : program.commands) {
    text += bash_command(command);
    first.push_back(command.name);
  }
  const auto options = names_of(program);
  first.insert(first.end(), options.begin(), options.end());
  return text + "    '') _tonnage_words " + quoted(joined(first, " ")) +
         " ;;\n  esac\n}\n\ncomplete -F _tonnage tonnage\n";
}

std::string zsh_completion(const CommandDoc& program) {
  std::string text =
      "#compdef tonnage\n# Completion of tonnage for zsh; made by `tonnage completion zsh`.\n\n"
      "_tonnage_models() {\n"
      "  local -a ids\n"
      "  ids=(${(f)\"$(tonnage completion --models 2>/dev/null)\"})\n"
      "  compadd -a ids\n"
      "}\n\n_tonnage() {\n  local context state line\n  local -a commands\n  commands=(\n";
  for (const CommandDoc& command : program.commands)
    text += "    '" + command.name + ":" + zsh_text(command.description) + "'\n";
  text += "  )\n  _arguments -C \\\n";
  for (const OptionDoc& option : program.options)
    text += "    " + zsh_option(option) + " \\\n";
  text +=
      "    '1: :->command' '*:: :->rest'\n  case $state in\n"
      "    command) _describe -t commands 'tonnage command' commands ;;\n"
      "    rest)\n      case $line[1] in\n";
  for (const CommandDoc& command : program.commands) {
    text += "        " + command.name + ")\n          _arguments";
    for (const OptionDoc& option : command.options)
      text += " \\\n            " + zsh_option(option);
    text += "\n          ;;\n";
  }
  return text +
         "      esac\n      ;;\n  esac\n}\n\n"
         "if [[ ${funcstack[1]} == _tonnage ]]; then _tonnage \"$@\"; else compdef _tonnage "
         "tonnage; fi\n";
}

std::string fish_completion(const CommandDoc& program) {
  std::string text =
      "# Completion of tonnage for fish; made by `tonnage completion fish`.\n"
      "complete -c tonnage -f\n";
  for (const OptionDoc& option : program.options)
    text += fish_option(option, "__fish_use_subcommand");
  for (const CommandDoc& command : program.commands) {
    text += "complete -c tonnage -n '__fish_use_subcommand' -a " + command.name + " -d " +
            fish_quoted(command.description) + "\n";
    for (const OptionDoc& option : command.options)
      text += fish_option(option, "__fish_seen_subcommand_from " + command.name);
  }
  return text;
}

}  // namespace tonnage
