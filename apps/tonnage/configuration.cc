#include "tonnage/configuration.h"

#include <filesystem>
#include <utility>

#include "engine/environment.h"
#include "engine/llama/llama_flags.h"
#include "engine/llama/model_plan.h"
#include "http/resolve.h"

namespace tonnage {

// Measured: the three need 208, 141 and 91 MiB when they are new, 187, 117 and 71 once they are
// known. So the two largest fit, and all three never do.
const char* const kDemoBudget = "364MiB";

namespace {

namespace fs = std::filesystem;

struct FlagRow {
  const char* flag;
  const char* path;
  std::string ConfigurationFlags::* value;
};

constexpr FlagRow kFlagRows[] = {
    {"--budget", "budgets.host.limit", &ConfigurationFlags::budget},
    {"--pressure", "pressure", &ConfigurationFlags::pressure},
    {"--listen", "listen", &ConfigurationFlags::listen},
    {"--context", "defaults.context", &ConfigurationFlags::context},
    {"--slots", "defaults.slots", &ConfigurationFlags::slots},
    {"--runtime-dir", "runtime_dir", &ConfigurationFlags::runtime_dir},
    {"--llama-server", "engine.llama_server", &ConfigurationFlags::llama_server},
    {"--log-level", "log.level", &ConfigurationFlags::log_level},
};

CommandError usage(std::string text) {
  while (text.ends_with('\n'))
    text.pop_back();
  return {ExitCode::usage, std::move(text)};
}

CommandError wrong_configuration(const Problems& problems) {
  CommandError error = usage("the configuration cannot be used:\n" + problems.text());
  error.problems.assign(problems.kept().begin(), problems.kept().end());
  return error;
}

// The demo's folder and budget count as flags, so that they win over a file.
CommandResult<ConfigurationFlags> with_demo(ConfigurationFlags flags, const ConfigInputs& process) {
  if (!flags.demo)
    return flags;
  if (flags.models.empty() && flags.config.empty()) {
    const fs::path folder = default_cache_dir(process.environment) / "demo-models";
    std::error_code error;
    if (!fs::is_directory(folder, error)) {
      return std::unexpected(CommandError{
          ExitCode::usage, "there are no demo models in " + folder.string() +
                               " yet; 'make serve' writes them, or tonnage-demo-models " +
                               folder.string()});
    }
    flags.models = folder.string();
    if (flags.budget.empty())
      flags.budget = kDemoBudget;
  }
  return flags;
}

// The file to read: the one that is named, the usual one if it exists, or none.
fs::path config_file(const ConfigurationFlags& flags, const ConfigInputs& process) {
  if (!flags.config.empty())
    return flags.config;
  if (!flags.models.empty())
    return {};
  const fs::path usual = default_config_file(process.environment);
  std::error_code error;
  const bool named = process.environment.contains("TONNAGE_CONFIG");
  return named || fs::exists(usual, error) ? usual : fs::path{};
}

}  // namespace

void add_configuration_flags(CLI::App& command, ConfigurationFlags& flags) {
  command
      .add_option("--config", flags.config,
                  "Configuration file ($TONNAGE_CONFIG, ~/.config/tonnage/tonnage.yaml)")
      ->type_name("FILE");
  command.add_option("--models", flags.models, "Serve every .gguf file in this folder")
      ->type_name("DIR");
  command.add_option("--budget", flags.budget, "Memory for all models together, such as 6GiB")
      ->type_name("SIZE");
  command.add_flag("--cpu", flags.cpu, "Leave GPUs alone; run every model on the processor");
  command
      .add_option("--pressure", flags.pressure,
                  "What is done when memory is short: demand (default), balanced, guard or unified")
      ->type_name("PRESET");
  command.add_option("--listen", flags.listen, "Address and port; 127.0.0.1:8726 by default")
      ->type_name("ADDRESS");
  command
      .add_option("--context", flags.context,
                  "Tokens per request, for models that do not say; 4096 by default")
      ->type_name("TOKENS");
  command
      .add_option("--slots", flags.slots,
                  "Requests at once per model, for models that do not say; 2 by default")
      ->type_name("N");
  command.add_flag("--insecure", flags.insecure, "Let other machines in without any key");
  command.add_option("--runtime-dir", flags.runtime_dir, "Folder for sockets and records")
      ->type_name("DIR");
  command.add_option("--llama-server", flags.llama_server, "The llama-server program")
      ->type_name("FILE");
  command.add_option("--log-level", flags.log_level, "The least severe line that is logged")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->type_name("LEVEL");
}

CommandResult<Config> load_configuration(const ConfigurationFlags& given,
                                         const ConfigInputs& process) {
  const auto flags = with_demo(given, process);
  if (!flags)
    return std::unexpected(flags.error());
  ConfigInputs inputs = process;
  for (const FlagRow& row : kFlagRows) {
    const std::string& value = (*flags).*row.value;
    if (!value.empty())
      inputs.flags.push_back({row.flag, row.path, value});
  }
  if (flags->cpu)
    inputs.flags.push_back({"--cpu", "cpu", "true"});
  if (flags->insecure)
    inputs.flags.push_back({"--insecure", "insecure", "true"});
  if (!flags->models.empty()) {
    auto found = models_from_folder(flags->models);
    if (!found)
      return std::unexpected(usage(found.error().text()));
    inputs.found_models = std::move(found->models);
    inputs.found_notes = std::move(found->notes);
  }
  const fs::path file = config_file(*flags, process);
  if (file.empty() && inputs.found_models.empty()) {
    return std::unexpected(usage(
        "nothing to serve: name a configuration with --config FILE or a folder of models with "
        "--models DIR\n(the usual place, " +
        default_config_file(process.environment).string() +
        ", has no file; --demo serves demo "
        "models)"));
  }
  auto config = file.empty() ? parse_config(inputs) : load_config(file, std::move(inputs));
  if (!config)
    return std::unexpected(wrong_configuration(config.error()));
  return std::move(*config);
}

std::vector<std::string> governed_args(const Config& config) {
  std::vector<std::string> errors;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    const ModelConfig& model = config.models[i];
    const std::string id = "models." + config.policy.models[i].id;
    const LlamaArgs args = read_llama_args(model.args);
    for (const std::string& problem : args.problems)
      errors.push_back(id + ".args: " + problem);
    for (const NamedFile& file : args.files) {
      if ((file.role == FileRole::draft && !model.draft.empty()) ||
          (file.role == FileRole::projector && !model.mmproj.empty())) {
        errors.push_back(id + ".args: the " + std::string(to_text(file.role)) +
                         " is named by a key as well; leave one of them out");
      }
    }
    for (const auto& [name, value] : model.env) {
      if (const auto why = governed_variable(name))
        errors.push_back(id + ".env: '" + name + "' cannot be set: " + *why);
    }
  }
  return errors;
}

std::vector<std::string> start_errors(const Config& config) {
  std::vector<std::string> errors = governed_args(config);
  for (const Listen& listen : config.listen) {
    if (const auto found = net::resolve(listen.host, listen.port); !found)
      errors.push_back("listen: " + found.error().text());
  }
  return errors;
}

std::vector<std::string> variables_without_effect(const Config& config) {
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    for (const auto& [name, value] : config.models[i].env) {
      if (const auto why = variable_without_effect(name))
        warnings.push_back("models." + config.policy.models[i].id + ".env." + name + ": " + *why);
    }
  }
  return warnings;
}

std::vector<std::string> unusable_models(const Config& config) {
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    if (!config.models[i].command.empty())
      continue;
    const std::string id = "models." + config.policy.models[i].id + ": ";
    const LlamaModel model = llama_model(config, ModelId(static_cast<std::uint32_t>(i)));
    const auto facts = read_model_facts(model);
    if (!facts) {
      problems.push_back(id + facts.error().text());
    } else if (auto note = context_note(config.models[i], model, *facts); !note.empty()) {
      problems.push_back(id + note);
    }
  }
  return problems;
}

}  // namespace tonnage
