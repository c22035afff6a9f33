// tonnage check: is a configuration right, and what does it amount to.
#include <cstdio>
#include <memory>

#include "config/schema.h"
#include "probe/host_probe.h"
#include "tonnage/client.h"
#include "tonnage/configuration.h"
#include "tonnage/subcommands.h"
#include "tonnage/terminal.h"

namespace tonnage {
namespace {

struct CheckOptions {
  ConfigurationFlags flags;
  bool json = false;
  bool sources = false;
  bool schema = false;
  bool reference = false;
};

struct Report {
  const Config& config;
  std::vector<std::string> warnings;
  Bytes budget;  // on this machine
  Bytes capacity;
};

std::string placement_of(const ModelConfig& model) {
  const Placement& top = model.configured;
  if (top.context == 0)
    return std::to_string(top.slots) + " at once";
  std::string text = std::to_string(top.context) + " x " + std::to_string(top.slots);
  if (top.kv != KvType::f16)
    text += " " + std::string(to_text(top.kv));
  if (!model.ladder.empty())
    text += " +" + std::to_string(model.ladder.size());
  return text;
}

// The words of a command as they were given, for people.
std::string command_text(const ModelConfig& model) {
  std::string text;
  for (const std::string& word : model.command)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string file_size(const ModelConfig& model) {
  if (!model.command.empty())
    return "-";
  std::error_code error;
  const auto size = std::filesystem::file_size(model.gguf, error);
  return error ? "missing" : size_text(Bytes(static_cast<std::int64_t>(size)));
}

std::string text_of(const Report& report, const Terminal& terminal, bool sources) {
  const Config& config = report.config;
  std::string out = terminal.paint(Colour::green, "ok") + "  " +
                    (config.file.empty() ? "the flags" : config.file) + ": " +
                    std::to_string(config.models.size()) + " models, " + to_text(config.listen) +
                    "\n    on this machine, models may use " + size_text(report.budget) + " of " +
                    size_text(report.capacity) + "\n\n";
  Table table(terminal);
  table.column("MODEL");
  table.column("TYPE");
  table.column("PLACEMENT");
  table.column("FILE", Align::right);
  table.column("PATH");
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const ModelConfig& model = config.models[i];
    const std::string size = file_size(model);
    table.row({{clipped(config.policy.models[i].id, 30)},
               {model.type              ? std::string(to_text(*model.type))
                : model.command.empty() ? "from file"
                                        : "llm"},
               {placement_of(model)},
               {size, size == "missing" ? Colour::red : Colour::plain},
               {model.command.empty() ? model.gguf.string() : command_text(model), Colour::dim}});
  }
  out += table.text();
  if (sources) {
    Table settings(terminal);
    settings.column("KEY");
    settings.column("VALUE");
    settings.column("FROM");
    for (const Setting& setting : config.sources) {
      const bool fallback = setting.source == "default";
      settings.row({{clipped(setting.path, 44)},
                    {clipped(setting.value, 34)},
                    {setting.source, fallback ? Colour::dim : Colour::plain}});
    }
    out += "\n" + settings.text();
  }
  for (const std::string& warning : report.warnings) {
    out += (&warning == &report.warnings.front() ? "\n" : "") +
           terminal.paint(Colour::yellow, "warning") + "  " + folded(warning, terminal.width, 9) +
           "\n";
  }
  return out;
}

Json json_of(const Report& report) {
  Json models = Json::array();
  for (std::size_t i = 0; i < report.config.models.size(); ++i) {
    const ModelConfig& model = report.config.models[i];
    models.push_back({{"id", report.config.policy.models[i].id},
                      {"aliases", model.aliases},
                      {"gguf", model.gguf.string()},
                      {"command", model.command},
                      {"context", model.configured.context},
                      {"slots", model.configured.slots},
                      {"ladder_steps", model.ladder.size()}});
  }
  Json settings = Json::array();
  for (const Setting& setting : report.config.sources) {
    settings.push_back(
        {{"key", setting.path}, {"value", setting.value}, {"source", setting.source}});
  }
  return {{"ok", true},
          {"file", report.config.file},
          {"listen", to_text(report.config.listen)},
          {"budget_bytes", report.budget.count},
          {"capacity_bytes", report.capacity.count},
          {"models", std::move(models)},
          {"settings", std::move(settings)},
          {"warnings", report.warnings}};
}

// Weights that can never fit alone.
void warn_of_large_models(const Config& config, Bytes budget, std::vector<std::string>& warnings) {
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    std::error_code error;
    const auto size = std::filesystem::file_size(config.models[i].gguf, error);
    if (error || Bytes(static_cast<std::int64_t>(size)) <= budget)
      continue;
    warnings.push_back("models." + config.policy.models[i].id + ": its file alone, " +
                       file_size(config.models[i]) + ", is larger than the budget of " +
                       size_text(budget) + "; requests to it will be refused");
  }
}

Json problem_json(const Problem& problem) {
  const Origin& origin = problem.origin;
  const auto number = [](int value) { return value > 0 ? Json(value) : Json(); };
  return {{"source", origin.name.empty() ? Json() : Json(origin.name)},
          {"line", number(origin.line)},
          {"column", number(origin.column)},
          {"text", problem.text}};
}

// One object each. `errors` are those that were not found while reading.
Json problems_json(const CommandResult<Config>& config, const std::vector<std::string>& errors) {
  Json problems = Json::array();
  if (!config) {
    for (const Problem& problem : config.error().problems)
      problems.push_back(problem_json(problem));
  }
  if (problems.empty()) {
    for (const std::string& error : errors)
      problems.push_back(problem_json({{}, error}));
  }
  return problems;
}

ExitCode run(const CheckOptions& options) {
  if (options.schema)
    std::fputs(config_schema().c_str(), stdout);
  if (options.reference)
    std::fputs(config_reference().c_str(), stdout);
  if (options.schema || options.reference)
    return ExitCode::ok;
  const auto config = load_configuration(options.flags, inputs_of_process());
  auto errors = config ? start_errors(*config) : std::vector{config.error().text};
  if (!errors.empty()) {
    if (!options.json) {
      for (const std::string& error : errors)
        complain({ExitCode::usage, error});
      return ExitCode::usage;
    }
    std::printf("%s\n",
                Json{{"ok", false}, {"problems", problems_json(config, errors)}}.dump(2).c_str());
    return ExitCode::usage;
  }
  Report report{*config, config->warnings, {}, {}};
  for (std::string& warning : variables_without_effect(*config))
    report.warnings.push_back(warning);
  for (std::string& problem : unusable_models(*config))
    report.warnings.push_back(problem);
  if (const auto sample = HostProbe().sample({})) {
    report.capacity = sample->capacity;
    report.budget = budget_of(config->policy.pools.front(), sample->capacity);
    warn_of_large_models(*config, report.budget, report.warnings);
  }
  const std::string text = options.json ? json_of(report).dump(2) + "\n"
                                        : text_of(report, Terminal::of_stdout(), options.sources);
  std::fputs(text.c_str(), stdout);
  return ExitCode::ok;
}

}  // namespace

void add_check(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command =
      app.add_subcommand("check", "Check a configuration, and show what it amounts to");
  auto options = std::make_shared<CheckOptions>();
  command->add_option("file", options->flags.config, "The file; by default the one `serve` reads")
      ->type_name("FILE");
  add_configuration_flags(*command, options->flags);
  command->add_flag("--sources", options->sources, "Show every value and where it comes from");
  command->add_flag("--json", options->json, "Print the result as JSON");
  command->add_flag("--schema", options->schema, "Print the JSON Schema of the file, and end");
  command->add_flag("--reference", options->reference, "Print every key as Markdown, and end");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
