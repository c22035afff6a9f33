#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <boost/asio/io_context.hpp>

#include "daemon/spin_keeper.h"
#include "engine/llama/llama.h"
#include "engine/llama/llama_offer.h"
#include "http/resolve.h"
#include "probe/host_probe.h"
#include "probe/memory_folder.h"
#include "tonnage/doctor.h"
#include "tonnage/fields.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

// Below this, not even a small model and its server fit.
constexpr Bytes kUsefulMemory = 512_MiB;
// Each connection may have one more to its server and one spilled body; the rest is the daemon's.
constexpr std::uint64_t kOwnFiles = 1'024;

Result<LlamaBuild> build_of(const LlamaPrograms& programs) {
  boost::asio::io_context loop;
  ProcessRunner runner(loop);
  Result<LlamaBuild> build = fail("no answer from", programs.server.string());
  check_llama(runner, programs, llama_environment({}),
              [&](Result<LlamaBuild> found) { build = std::move(found); });
  loop.run();
  return build;
}

// Zero, or the errno of a socket that cannot be bound.
int bind_error(const std::string& host, std::uint16_t port) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    length = sizeof(*v4);
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    length = sizeof(*v6);
  } else {
    return EINVAL;
  }
  const int socket = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0)
    return errno;
  // As the daemon does, so that connections that linger do not count as in use.
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool bound = ::bind(socket, reinterpret_cast<sockaddr*>(&storage), length) == 0;
  const int error = bound ? 0 : errno;
  ::close(socket);
  return error;
}

// The nearest folder on the way to `path` that is there.
fs::path existing_parent(fs::path path) {
  std::error_code error;
  while (!path.empty() && !fs::exists(path, error) && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

}  // namespace

namespace {

LlamaSearch engine_search(const Config& config, const Environment& environment) {
  LlamaSearch search{.configured = config.llama_server,
                     .path_variable = variable(environment, "PATH"),
                     .cached = std::nullopt};
  if (const fs::path cache = default_cache_dir(environment); !cache.empty()) {
    search.cached = cache / "engine" / TONNAGE_ENGINE_KEY;
  }
  return search;
}

Result<LlamaChoice> choose_engine(const Config& config, const Environment& environment) {
  return choose_llama(engine_search(config, environment), ask_help(llama_environment({})));
}

}  // namespace

Result<LlamaPrograms> find_engine(const Config& config, const Environment& environment) {
  auto choice = choose_engine(config, environment);
  if (!choice)
    return std::unexpected(choice.error());
  return std::move(choice->programs);
}

std::vector<Diagnosis> diagnose_engine(const Config& config, const Environment& environment) {
  const auto choice = choose_engine(config, environment);
  if (!choice) {
    const Error& e = choice.error();
    return {{"engine", Health::fail, Error{e.what, e.object, e.why, {}}.text(),
             e.remedy.empty() ? "run 'make setup', or set engine.llama_server" : e.remedy}};
  }
  const LlamaPrograms* const programs = &choice->programs;
  const auto build = build_of(*programs);
  if (!build) {
    const Error& e = build.error();
    return {{"engine", Health::fail, Error{e.what, e.object, e.why, {}}.text(), e.remedy}};
  }
  std::vector<Diagnosis> parts{
      {"engine", Health::ok, programs->server.string() + ", " + build->version, {}}};
  for (const std::string& note : choice->notes)
    parts.push_back({"engine", choice->missing.empty() ? Health::warn : Health::fail, note, {}});
  if (!programs->fit_params) {
    parts.push_back({"dry runs", Health::warn, "no llama-fit-params beside it",
                     "without it, memory is estimated from file sizes until it was measured"});
  }
  return parts;
}

std::vector<Diagnosis> diagnose_memory(const Config& config) {
  const auto sample = HostProbe().sample({});
  if (!sample)
    return {{"memory", Health::fail, sample.error().text(), "mount /proc"}};
  std::vector<Diagnosis> parts{{"memory",
                                Health::ok,
                                size_text(sample->available) + " of " +
                                    size_text(sample->capacity) + " can be had (" + sample->source +
                                    ")",
                                {}}};
  const Bytes budget = budget_of(config.policy.pools.front(), sample->capacity);
  const Bytes now = std::max(Bytes{}, std::min(budget, budget - sample->foreign));
  Diagnosis part{"budget",
                 Health::ok,
                 size_text(budget) + " for models, " + size_text(now) + " of it free now",
                 {}};
  if (budget < kUsefulMemory) {
    part.health = Health::fail;
    part.remedy = "raise budgets.host.limit or lower budgets.host.reserve";
  } else if (now < kUsefulMemory) {
    part.health = Health::warn;
    part.remedy = "end other programs, or lower budgets.host.reserve";
  }
  parts.push_back(std::move(part));
  return parts;
}

Diagnosis diagnose_runtime_dir(const fs::path& folder) {
  const std::string remedy = "name another with --runtime-dir or runtime_dir";
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error)) {
    return {"runtime", Health::fail, folder.string() + " is not a folder", remedy};
  }
  struct stat info{};
  if (::stat(folder.c_str(), &info) == 0 && info.st_uid != ::geteuid()) {
    return {"runtime", Health::fail, folder.string() + " belongs to another user", remedy};
  }
  const fs::path there = existing_parent(folder);
  if (::access(there.c_str(), W_OK | X_OK) != 0) {
    return {"runtime", Health::fail, there.string() + " cannot be written: " + std::strerror(errno),
            remedy};
  }
  return {"runtime", Health::ok, folder.string() + (there == folder ? "" : ", not made yet"), {}};
}

Diagnosis diagnose_state_dir(const fs::path& folder) {
  const std::string remedy = "set state_dir to a folder on a disk";
  const fs::path there = existing_parent(folder);
  if (::access(there.c_str(), W_OK | X_OK) != 0) {
    return {"state", Health::warn, there.string() + " cannot be written: " + std::strerror(errno),
            remedy};
  }
  if (lies_in_memory(folder)) {
    return {"state", Health::warn,
            folder.string() +
                " is in memory (tmpfs): journal, history and large request bodies "
                "take memory there, and are lost with it",
            remedy};
  }
  return {"state", Health::ok, folder.string() + (there == folder ? "" : ", not made yet"), {}};
}

Diagnosis diagnose_port(const Listen& listen, bool running) {
  const auto addresses = net::resolve(listen.host, listen.port);
  if (!addresses)
    return {"port", Health::fail, addresses.error().text(), "name an address in `listen`"};
  int error = 0;
  for (const net::Address& address : *addresses) {
    const int one = bind_error(address.host, address.port);
    if (one != 0 && !(addresses->size() > 1 && net::is_address_missing(address)))
      error = one;
  }
  if (error == 0)
    return {"port", Health::ok, to_text(listen) + " is free", {}};
  if (error == EADDRINUSE && running) {
    return {"port", Health::ok, to_text(listen) + " is in use while the daemon runs", {}};
  }
  return {"port", Health::fail, to_text(listen) + ": " + std::strerror(error),
          error == EADDRINUSE ? "end the program that uses it, or listen elsewhere with --listen"
                              : "listen elsewhere with --listen"};
}

Diagnosis diagnose_spin(const Config& config) {
  if (config.spin_count)
    return {
        "spinning", Health::ok, std::to_string(*config.spin_count) + " turns, as configured", {}};
  const std::size_t cores = usable_cores().size();
  const auto record = read_spin_record(spin_file(config.state_dir));
  if (!record || record->machine != describe_machine(cores)) {
    return {
        "spinning",
        Health::ok,
        std::to_string(kSpinCountUnmeasured) + " turns until a daemon has measured this machine",
        {}};
  }
  return {"spinning",
          Health::ok,
          spin_text(record->costs, static_cast<std::int32_t>(cores)) + ", as measured",
          {}};
}

Diagnosis diagnose_file_limit(std::int32_t connections_max) {
  const std::uint64_t needed = static_cast<std::uint64_t>(connections_max) * 2 + kOwnFiles;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max >= needed) {
    return {
        "files", Health::ok, "enough for " + std::to_string(connections_max) + " connections", {}};
  }
  return {"files", Health::warn,
          "only " + std::to_string(limit.rlim_max) + " may be open, " + std::to_string(needed) +
              " are needed for " + std::to_string(connections_max) + " connections",
          "raise the limit (ulimit -Hn), or lower limits.connections_max"};
}

std::vector<Diagnosis> diagnose_daemon(const CommandResult<Answer>& status) {
  if (!status) {
    if (status.error().code == ExitCode::unreachable) {
      return {{"daemon", Health::ok, "none is running here", {}}};
    }
    return {{"daemon", Health::fail, status.error().text, {}}};
  }
  const Json daemon = object_field(status->body, "daemon");
  std::vector<Diagnosis> parts{{"daemon",
                                Health::ok,
                                "tonnage " + text_field(daemon, "version") + " on " +
                                    text_field(daemon, "listen") + ", process " +
                                    std::to_string(number_field(daemon, "pid")),
                                {}}};
  for (const Json& problem : list_field(status->body, "problems")) {
    parts.push_back({"daemon", Health::fail, text_field(problem, "text"),
                     "see 'tonnage status' and 'tonnage why MODEL'"});
  }
  for (const Json& model : list_field(status->body, "models")) {
    if (text_field(model, "state") != "failed")
      continue;
    const std::string id = text_field(model, "id");
    parts.push_back({"model", Health::warn, id + ": " + text_field(model, "failure"),
                     "see 'tonnage why " + id + "'"});
  }
  return parts;
}

}  // namespace tonnage
