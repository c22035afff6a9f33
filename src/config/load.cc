#include "config/load.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "base/web_origin.h"
#include "config/clients_reader.h"
#include "config/device_pools.h"
#include "config/document.h"
#include "config/key.h"
#include "config/models_reader.h"
#include "config/overlay.h"
#include "config/pressure_reader.h"
#include "config/reader.h"

extern char** environ;

namespace tonnage {
namespace {

// A unix socket's path holds 107 bytes; "/4294967295-18446744073709551615.sock" needs 37 of them.
constexpr std::size_t kRuntimeDirBytesMax = 70;

void require(bool good, Problems& problems, const Sources& sources, const char* path,
             std::string text) {
  if (!good)
    problems.add(sources.origin_of(path), std::string(path) + ": " + std::move(text));
}

// Rules between keys. Each is reported where the first of the keys was written.
void check_whole(const Config& config, const Sources& sources, Problems& problems) {
  for (const Listen& listen : config.listen) {
    require(is_loopback(listen) || config.insecure || !config.keys.empty(), problems, sources,
            "listen",
            in_quotes(to_text(listen)) +
                " can be reached by other machines, but no key is asked for; add 'keys', listen on "
                "127.0.0.1, or set 'insecure: true'");
  }
  const LoadPolicy& load = config.policy.load;
  require(load.retry_backoff_min <= load.retry_backoff_max, problems, sources,
          "load.retry_backoff_min",
          to_text(load.retry_backoff_min) + " is longer than load.retry_backoff_max, " +
              to_text(load.retry_backoff_max));
  require(load.stall_after <= config.load_still_max, problems, sources, "load.stall_after",
          to_text(load.stall_after) + " is longer than load.timeout, " +
              to_text(config.load_still_max));
  require(config.probe.active_interval <= config.probe.interval, problems, sources,
          "probe.active_interval",
          to_text(config.probe.active_interval) + " is longer than probe.interval, " +
              to_text(config.probe.interval));
  require(config.journal.segment_max <= config.journal.total_max, problems, sources,
          "journal.segment_max",
          to_text(config.journal.segment_max) + " is larger than journal.total_max, " +
              to_text(config.journal.total_max));
  require(config.runtime_dir.native().size() <= kRuntimeDirBytesMax, problems, sources,
          "runtime_dir",
          in_quotes(config.runtime_dir.native()) + " is longer than " +
              std::to_string(kRuntimeDirBytesMax) +
              " bytes, too long for the sockets in it; name a shorter folder");
  for (const std::string& host : config.allowed_hosts) {
    require(!host.empty() && host.find_first_of(" /@:") == std::string::npos, problems, sources,
            "allowed_hosts",
            in_quotes(host) + (host.contains("://")
                                   ? " is not a host name; pages go into allowed_origins"
                                   : " is not a host name; write it without scheme and port"));
  }
  for (const std::string& origin : config.allowed_origins) {
    const auto pattern = OriginPattern::parse(origin);
    require(pattern.has_value(), problems, sources, "allowed_origins",
            pattern ? std::string()
                    : pattern.error().object + " is " + pattern.error().what + ": " +
                          pattern.error().why + "; " + pattern.error().remedy);
  }
}

// The start of every model, and the keys that are set once. Returns what the file nests.
class Parsing {
 public:
  explicit Parsing(const ConfigInputs& inputs)
      : inputs_(inputs),
        environment_(inputs),
        reader_(problems_, sources_, inputs.file_name, file_paths(inputs)),
        pressure_reader_(reader_, pressure_) {
    config_.file = inputs.file_name;
    config_.gpu.name = "gpu";
    config_.policy.pools = {PoolPolicy{.name = "host"}};
  }

  std::expected<Config, Problems> run() {
    KeyTarget target{.config = &config_, .model = &start_, .pressure = &pressure_};
    store_defaults(KeyScope::global, "", target, &sources_);
    store_defaults(KeyScope::model, "defaults.", target, &sources_);
    config_.runtime_dir = default_runtime_dir(inputs_.environment, inputs_.uid);
    sources_.record("runtime_dir", config_.runtime_dir.string(), {"default"});

    const auto nested = read_file(target);
    read_memory(nested);
    environment_.apply_global(reader_, target, config_.warnings);
    apply_flags(inputs_, reader_, target);
    if (config_.state_dir.empty()) {
      config_.state_dir = default_state_dir(inputs_.environment, config_.runtime_dir);
      sources_.record("state_dir", config_.state_dir.string(), {"default"});
    }
    read_models(nested);
    for (const NestedNode& node : nested) {
      if (node.spec->type == ValueType::api_keys)
        read_clients(reader_, node, inputs_.environment, names_, config_);
    }
    pressure_reader_.finish(names_, config_);
    environment_.warn_unused(config_.warnings);
    if (problems_.empty())
      check_whole(config_, sources_, problems_);
    if (!problems_.empty())
      return std::unexpected(std::move(problems_));
    config_.sources = sources_.settings();
    return std::move(config_);
  }

 private:
  static PathBase file_paths(const ConfigInputs& inputs) {
    PathBase paths = outside_paths(inputs);
    paths.folder = inputs.file_folder;
    return paths;
  }

  std::vector<NestedNode> read_file(KeyTarget& target) {
    if (!inputs_.yaml)
      return {};
    auto parsed = parse_document(*inputs_.yaml, inputs_.file_name);
    if (!parsed) {
      problems_.add(parsed.error().origin, parsed.error().text);
      return {};
    }
    document_ = std::move(*parsed);
    if (document_.kind == Node::Kind::null)
      return {};
    if (document_.kind != Node::Kind::map) {
      problems_.add(reader_.origin(document_, document_),
                    describe(document_) + " is given, but a map of keys is wanted: 'models:' ...");
      return {};
    }
    return reader_.read(document_, {}, target);
  }

  void read_memory(const std::vector<NestedNode>& nested) {
    for (const NestedNode& node : nested) {
      if (node.spec->type == ValueType::pressure || node.spec->type == ValueType::levels)
        pressure_reader_.read_levels(node);
      if (node.spec->type == ValueType::devices)
        read_device_budgets(reader_, node, config_);
    }
  }

  void read_models(const std::vector<NestedNode>& nested) {
    // What follows says whether the model itself asks for a context.
    start_.config.context_given = false;
    const bool readable = problems_.empty();
    ModelsReader models(reader_, environment_, start_);
    bool named = false;
    for (const NestedNode& node : nested) {
      if (node.spec->type != ValueType::models)
        continue;
      named = true;
      models.read_file(node);
    }
    for (const FoundModel& found : inputs_.found_models)
      models.add_found(found);
    config_.warnings.insert(config_.warnings.end(), inputs_.found_notes.begin(),
                            inputs_.found_notes.end());
    models.finish(config_);
    names_ = models.names();
    if (config_.models.empty() && readable && problems_.empty()) {
      problems_.add({inputs_.file_name}, named ? "'models' is empty; add 'ID: {gguf: FILE}'"
                                               : "no models; add 'models: {ID: {gguf: FILE}}'");
    }
  }

  const ConfigInputs& inputs_;
  Problems problems_;
  Sources sources_;
  EnvironmentOverlay environment_;
  KeyReader reader_;
  PressureDraft pressure_;
  PressureReader pressure_reader_;
  Node document_;
  Config config_;
  ModelDraft start_;
  std::map<std::string, std::size_t, std::less<>> names_;
};

std::unexpected<Problems> unreadable(const std::filesystem::path& file, const std::string& why) {
  Problems problems;
  problems.add({file.string()}, why);
  return std::unexpected(std::move(problems));
}

}  // namespace

std::expected<Config, Problems> parse_config(const ConfigInputs& inputs) {
  return Parsing(inputs).run();
}

std::expected<Config, Problems> load_config(const std::filesystem::path& file,
                                            ConfigInputs inputs) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) {
    return unreadable(file, "there is no such configuration file");
  }
  if (std::filesystem::is_directory(status)) {
    return unreadable(file, "it is a directory; name a file, or serve it with --models");
  }
  std::ifstream stream(file, std::ios::binary);
  // One byte more than is allowed, so that a larger file is noticed and not read.
  std::string text(kDocumentBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad() || (!stream.is_open())) {
    return unreadable(file, "the file cannot be read; check its permissions");
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  inputs.file_name = file.string();
  inputs.yaml = std::move(text);
  inputs.file_folder = std::filesystem::absolute(file, error).parent_path();
  return parse_config(inputs);
}

ConfigInputs inputs_of_process() {
  ConfigInputs inputs;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos)
      continue;
    inputs.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  std::error_code error;
  inputs.working_folder = std::filesystem::current_path(error);
  inputs.uid = ::getuid();
  return inputs;
}

std::string variable(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string{} : found->second;
}

std::filesystem::path default_config_file(const Environment& environment) {
  if (const std::string named = variable(environment, "TONNAGE_CONFIG"); !named.empty())
    return named;
  if (const std::string base = variable(environment, "XDG_CONFIG_HOME"); !base.empty()) {
    return std::filesystem::path(base) / "tonnage" / "tonnage.yaml";
  }
  const std::string home = variable(environment, "HOME");
  if (home.empty())
    return {};
  return std::filesystem::path(home) / ".config" / "tonnage" / "tonnage.yaml";
}

std::filesystem::path default_cache_dir(const Environment& environment) {
  if (const std::string named = variable(environment, "TONNAGE_CACHE_DIR"); !named.empty()) {
    return named;
  }
  if (const std::string base = variable(environment, "XDG_CACHE_HOME"); !base.empty()) {
    return std::filesystem::path(base) / "tonnage";
  }
  const std::string home = variable(environment, "HOME");
  if (home.empty())
    return {};
  return std::filesystem::path(home) / ".cache" / "tonnage";
}

std::filesystem::path default_state_dir(const Environment& environment,
                                        const std::filesystem::path& runtime_dir) {
  if (const std::string named = variable(environment, "TONNAGE_STATE_DIR"); !named.empty())
    return named;
  // The specification says to ignore a relative one.
  if (const std::string base = variable(environment, "XDG_STATE_HOME"); base.starts_with('/'))
    return std::filesystem::path(base) / "tonnage";
  const std::string home = variable(environment, "HOME");
  if (home.empty())
    return runtime_dir / "state";
  return std::filesystem::path(home) / ".local" / "state" / "tonnage";
}

std::filesystem::path default_runtime_dir(const Environment& environment, std::uint32_t uid) {
  std::string base = variable(environment, "XDG_RUNTIME_DIR");
  // The specification says to ignore a relative one.
  if (!base.starts_with('/'))
    base = "/tmp";
  return std::filesystem::path(base) / ("tonnage-" + std::to_string(uid));
}

}  // namespace tonnage
