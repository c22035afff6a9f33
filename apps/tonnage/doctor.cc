// tonnage doctor: is everything here that tonnage needs, with or without a running daemon.
#include "tonnage/doctor.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "tonnage/subcommands.h"

namespace tonnage {
namespace {

struct DoctorOptions {
  ConfigurationFlags flags;
  ClientOptions client;
};

std::string_view word(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::warn:
      return "warn";
    case Health::fail:
      return "fail";
  }
  return "";
}

Colour colour_of(Health health) {
  switch (health) {
    case Health::ok:
      return Colour::green;
    case Health::warn:
      return Colour::yellow;
    case Health::fail:
      return Colour::red;
  }
  return Colour::plain;
}

// The machine can be examined without a configuration, on what the defaults would do.
Config default_config(const ConfigInputs& process) {
  ConfigInputs inputs = process;
  inputs.found_models = {{"none", "/nonexistent"}};
  auto config = parse_config(inputs);
  return config ? std::move(*config) : Config{};
}

Config diagnose_config(const DoctorOptions& options, const ConfigInputs& process,
                       std::vector<Diagnosis>& parts) {
  const bool named = !options.flags.config.empty() || !options.flags.models.empty();
  std::error_code error;
  const auto usual = default_config_file(process.environment);
  if (!named && !std::filesystem::exists(usual, error)) {
    parts.push_back({"config",
                     Health::ok,
                     "no file at " + usual.string() + "; serve with --config or --models",
                     {}});
    return default_config(process);
  }
  auto config = load_configuration(options.flags, process);
  if (!config) {
    parts.push_back({"config", Health::fail, config.error().text, "see docs/howto/configure.md"});
    return default_config(process);
  }
  parts.push_back({"config",
                   Health::ok,
                   (config->file.empty() ? options.flags.models : config->file) + ", " +
                       std::to_string(config->models.size()) + " models",
                   {}});
  for (const std::string& mistake : governed_args(*config)) {
    parts.push_back({"config", Health::fail, mistake, {}});
  }
  for (const std::string& warning : config->warnings) {
    parts.push_back({"config", Health::warn, warning, {}});
  }
  for (const std::string& problem : unusable_models(*config)) {
    parts.push_back({"model", Health::warn, problem, {}});
  }
  return std::move(*config);
}

ExitCode run(DoctorOptions options) {
  const ConfigInputs process = inputs_of_process();
  std::vector<Diagnosis> parts;
  const Config config = diagnose_config(options, process, parts);
  const auto add = [&](const std::vector<Diagnosis>& more) {
    parts.insert(parts.end(), more.begin(), more.end());
  };
  add(diagnose_engine(config, process.environment));
  add(diagnose_memory(config));
  const DeviceSurvey survey = survey_gpus(config);
  add(diagnose_gpus(survey, survey.devices.empty() || config.cpu
                                ? std::nullopt
                                : ask_engine_devices(config, process.environment)));
  if (config.cpu)
    add({{"gpu", Health::ok, "left alone, because cpu is set: models run in host memory", {}}});
  add({diagnose_runtime_dir(config.runtime_dir)});
  add({diagnose_state_dir(config.state_dir)});
  // The folder of the configuration, where neither a flag nor a URL says otherwise.
  if (options.client.runtime_dir.empty())
    options.client.runtime_dir = config.runtime_dir;
  const auto client = DaemonClient::open(options.client);
  const auto status = client ? client->get("/api/memory/status")
                             : CommandResult<Answer>(std::unexpected(client.error()));
  add(diagnose_daemon(status));
  for (const Listen& listen : config.listen)
    add({diagnose_port(listen, status.has_value())});
  add({diagnose_file_limit(config.limits.connections_max)});
  add({diagnose_spin(config)});

  Json json = doctor_json(parts);
  json["gpus"] = gpus_json(survey);
  const std::string text =
      options.client.json ? json.dump(2) + "\n" : doctor_view(parts, Terminal::of_stdout());
  std::fputs(text.c_str(), stdout);
  return any_failed(parts) ? ExitCode::failed : ExitCode::ok;
}

}  // namespace

bool any_failed(const std::vector<Diagnosis>& parts) {
  return std::ranges::any_of(parts, [](const Diagnosis& d) { return d.health == Health::fail; });
}

std::string doctor_view(const std::vector<Diagnosis>& parts, const Terminal& terminal) {
  constexpr std::size_t kIndent = 16;
  std::string out;
  for (const Diagnosis& part : parts) {
    std::string state(word(part.health));
    const std::string space(6 - state.size(), ' ');
    std::string name = part.part;
    name.resize(10, ' ');
    out += terminal.paint(colour_of(part.health), state) + space + name +
           folded(part.finding, terminal.width, kIndent) + "\n";
    if (part.health == Health::ok || part.remedy.empty())
      continue;
    out += std::string(kIndent, ' ') +
           terminal.paint(Colour::cyan, folded(part.remedy, terminal.width, kIndent)) + "\n";
  }
  return out;
}

Json doctor_json(const std::vector<Diagnosis>& parts) {
  Json rows = Json::array();
  for (const Diagnosis& part : parts) {
    rows.push_back({{"part", part.part},
                    {"health", word(part.health)},
                    {"finding", part.finding},
                    {"remedy", part.remedy}});
  }
  return {{"ok", !any_failed(parts)}, {"parts", std::move(rows)}};
}

void add_doctor(CLI::App& app, ExitCode& exit_code) {
  CLI::App* command = app.add_subcommand("doctor", "Examine this machine and the running daemon");
  auto options = std::make_shared<DoctorOptions>();
  add_configuration_flags(*command, options->flags);
  command->add_option("--url", options->client.url, "Where a daemon answers ($TONNAGE_URL)")
      ->type_name("URL");
  command->add_option("--api-key", options->client.api_key, "Key for --url ($TONNAGE_API_KEY)")
      ->type_name("KEY");
  command->add_flag("--json", options->client.json, "Print the result as JSON");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tonnage
