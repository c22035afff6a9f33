#include "tonnage/manual.h"

#include <utility>

#include "config/key.h"
#include "tonnage/exit_code.h"

namespace tonnage {
namespace {

// Text as roff prints it: backslashes and dashes as themselves, no line that looks like a request.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\''))
      out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c != '`') {
      out += c;
    }
  }
  return out;
}

std::string bold(std::string_view text) {
  return "\\fB" + roff(text) + "\\fR";
}
std::string italic(std::string_view text) {
  return "\\fI" + roff(text) + "\\fR";
}

std::string upper(std::string text) {
  for (char& c : text)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

std::string option_names(const OptionDoc& option) {
  std::string text;
  for (const std::string& name : option.names) {
    text += text.empty() ? "" : ", ";
    text += option.positional ? italic(upper(name)) : bold(name);
  }
  if (!option.value.empty() && !option.positional)
    text += " " + italic(option.value);
  return text;
}

std::string option_text(const OptionDoc& option) {
  std::string text = ".TP\n" + option_names(option) + "\n" + roff(option.description);
  if (!option.choices.empty()) {
    text += ": one of";
    for (const std::string& choice : option.choices)
      text += (&choice == &option.choices.front() ? " " : ", ") + bold(choice);
  }
  if (!option.fallback.empty())
    text += " (default " + roff(option.fallback) + ")";
  return text + ".\n";
}

std::string command_text(const CommandDoc& command) {
  std::string usage = bold("tonnage " + command.name);
  std::string options;
  std::string positionals;
  for (const OptionDoc& option : command.options) {
    options += option_text(option);
    if (option.positional) {
      const std::string name = italic(upper(option.names.front()));
      positionals += option.required ? " " + name : " [" + name + "]";
    }
  }
  usage += " [" + italic("OPTION") + "]..." + positionals;
  return ".SS \"" + roff(command.name) + "\"\n" + usage + "\n.PP\n" + roff(command.description) +
         ".\n" + options;
}

std::string environment_text() {
  std::string text =
      ".SH ENVIRONMENT\nEvery key of the configuration can be set by a variable: its path in "
      "capitals, with " +
      bold("TONNAGE_") + " in front, such as " + bold("TONNAGE_QUEUE_YIELD_AFTER") + " for " +
      bold("queue.yield_after") + ". Besides:\n";
  for (const OtherVariable& other : other_variables())
    text += ".TP\n" + bold(other.name) + "\n" + roff(other.doc) + "\n";
  text += ".TP\n" + bold("NO_COLOR") + "\nNo colours on a terminal.\n";
  return text + ".TP\n" + bold("NOTIFY_SOCKET") + ", " + bold("WATCHDOG_USEC") + "\n" +
         roff("Set by a service manager; see sd_notify(3).") + "\n";
}

std::string files_text() {
  constexpr std::pair<const char*, const char*> kFiles[] = {
      {"~/.config/tonnage/tonnage.yaml", "The configuration, where none is named."},
      {"~/.local/state/tonnage/", "What outlives a run: the journal and the history of memory."},
      {"~/.cache/tonnage/", "The built engine and the demo models."},
      {"$XDG_RUNTIME_DIR/tonnage-UID/control.sock",
       "Where the command line finds the daemon; /tmp/tonnage-UID without XDG_RUNTIME_DIR."}};
  std::string text = ".SH FILES\n";
  for (const auto& [name, what] : kFiles)
    text += ".TP\n" + italic(name) + "\n" + roff(what) + "\n";
  return text;
}

constexpr const char* kDescription =
    "tonnage stands in front of the model servers of a machine. It works out what each model takes "
    "before it starts it, never lets the sum exceed a budget, swaps models in and out by what they "
    "are worth, queues what has to wait, sends a request again when its server dies, and tells why "
    "it did each of these things. Clients speak the OpenAI and Anthropic dialects to one port, "
    "127.0.0.1:8726.";

constexpr std::pair<const char*, const char*> kExamples[] = {
    {"tonnage serve --models ~/models --budget 6GiB", "Serve every GGUF file of a folder."},
    {"tonnage status", "What is loaded, and how much is free."},
    {"tonnage why qwen3-8b", "Why a model was loaded, had to wait or had to go."},
    {"tonnage events --follow", "Decisions as they are made."},
    {"tonnage history --since 12h", "Memory over the last half day."}};

}  // namespace

std::string manual_page(const CommandDoc& program, const std::string& version) {
  std::string text =
      ".\\\" Made by `tonnage man`.\n.TH TONNAGE 1 \"\" \"tonnage " + roff(version) +
      "\" \"User Commands\"\n.SH NAME\ntonnage \\- the memory governor for local AI\n"
      ".SH SYNOPSIS\n" +
      bold("tonnage") + " " + italic("COMMAND") + " [" + italic("OPTION") + "]... [" +
      italic("ARGUMENT") + "]...\n.SH DESCRIPTION\n" + roff(kDescription) + "\n.SH OPTIONS\n";
  for (const OptionDoc& option : program.options)
    text += option_text(option);
  text += ".SH COMMANDS\n";
  for (const CommandDoc& command : program.commands)
    text += command_text(command);
  text += ".SH EXIT STATUS\n";
  for (const ExitCodeDoc& code : kExitCodeDocs)
    text += ".TP\n" + bold(std::to_string(static_cast<int>(code.code))) + "\n" +
            roff(code.meaning) + "\n";
  text += environment_text() + files_text() + ".SH EXAMPLES\n";
  for (const auto& [line, what] : kExamples)
    text += ".TP\n" + bold(line) + "\n" + roff(what) + "\n";
  return text + ".SH SEE ALSO\n" + bold("systemctl") + "(1), " + bold("journalctl") + "(1)\n";
}

}  // namespace tonnage
