#include "engine/command/command_engine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "base/descriptors.h"
#include "config/command_words.h"
#include "engine/environment.h"
#include "process/marked.h"
#include "process/program.h"

namespace tonnage {
namespace {

// A server that computes nothing waits for requests, and says nothing of its slots: nothing follows
// from either. Its health is asked for all the same.
constexpr Duration kNever = std::chrono::hours(24 * 3650);

// Which port of this machine is free now. It is the server's as soon as that listens; if another
// program is quicker, the server ends with an error and is started again with another port.
Result<std::uint16_t> free_port() {
  const FileHandle probe(
      open_with_reserve([] { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }));
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  auto* const address = reinterpret_cast<sockaddr*>(&where);
  if (!probe || ::bind(probe.get(), address, size) != 0 ||
      ::getsockname(probe.get(), address, &size) != 0)
    return fail("cannot find a free port", "127.0.0.1", std::strerror(errno));
  return ntohs(where.sin_port);
}

std::string_view value_of(std::span<const std::string> environment, std::string_view name) {
  for (const std::string& variable : environment) {
    if (variable.starts_with(name) && variable.size() > name.size() && variable[name.size()] == '=')
      return std::string_view(variable).substr(name.size() + 1);
  }
  return {};
}

// "espeak-ng" is looked for in the folders of the server's PATH, as a shell would.
Result<std::string> program_of(const std::string& name, std::span<const std::string> environment) {
  constexpr const char* kWhat = "cannot start";
  if (name.find('/') != std::string::npos) {
    if (is_program(name))
      return name;
    return fail(kWhat, name,
                ::access(name.c_str(), F_OK) == 0 ? "it is not a file that may be executed"
                                                  : "no such file",
                "correct the first word of `command`");
  }
  std::string_view folders = value_of(environment, "PATH");
  while (!folders.empty()) {
    const std::size_t end = std::min(folders.find(':'), folders.size());
    const std::filesystem::path folder(folders.substr(0, end));
    if (folder.is_absolute() && is_program(folder / name))
      return (folder / name).string();
    folders.remove_prefix(std::min(end + 1, folders.size()));
  }
  return fail(kWhat, name, "no such program on PATH",
              "install it, or write its path as the first word of `command`");
}

Failure setup_failure(const Error& error) {
  return {FailureKind::bad_setup, error.text()};
}

}  // namespace

PlacementRow CommandEngine::row_of(ModelId model) const {
  const ModelConfig& config = config_of(model);
  PlacementRow row;
  row.placement = config.configured;
  row.host_anon = config.declared_host.value_or(Bytes(0));
  row.source = FootprintSource::declared;
  Bytes gpu = config.declared_gpu.value_or(Bytes(0));
  if (const auto seen = seen_.find(model);
      seen != seen_.end() && seen->second.command == config.command &&
      (seen->second.host > row.host_anon || seen->second.gpu > gpu)) {
    row.host_anon = std::max(row.host_anon, seen->second.host);
    gpu = std::max(gpu, seen->second.gpu);
    row.source = FootprintSource::learned;
  }
  if (gpu > Bytes(0) && !setup_.gpus.space().capacities.empty())
    row.device_bytes = {gpu};
  else
    row.host_anon += config.declared_gpu.value_or(Bytes(0));
  return row;
}

void CommandEngine::profile(ModelId model, bool) {
  told_[model] = row_of(model);
  setup_.observer.profiled(model, {told_[model]});
}

void CommandEngine::server_held(ModelId model, Bytes host, const std::vector<Bytes>& devices) {
  Seen& seen = seen_[model];
  if (seen.command != config_of(model).command)
    seen = {config_of(model).command, Bytes(0), Bytes(0)};
  seen.host = std::max(seen.host, host);
  Bytes gpu;
  for (const Bytes device : devices)
    gpu += device;
  seen.gpu = std::max(seen.gpu, gpu);
}

void CommandEngine::prepare(const ServerOrder& order, Prepared done) {
  boost::asio::post(setup_.io, [this, order, done = std::move(done)] { done(spec_of(order)); });
}

std::expected<ServerSpec, Failure> CommandEngine::spec_of(const ServerOrder& order) const {
  if (const auto told = told_.find(order.model);
      told != told_.end() && told->second != row_of(order.model)) {
    return std::unexpected(
        Failure{FailureKind::stale_profile, "it was seen to take more than its profile says"});
  }
  const ModelConfig& config = config_of(order.model);
  const std::string& id = setup_.config.policy.models[order.model.value].id;
  ServerSpec spec;
  spec.generation = order.generation;
  spec.model = order.model;
  spec.model_name = id;
  spec.health_path = config.health;
  spec.slots_path = "";
  spec.mark = order.socket.string();
  std::vector<std::string> own = setup_.gpus.visible(order.devices).env;
  const std::string gpus(value_of(own, "CUDA_VISIBLE_DEVICES"));
  for (const auto& [name, value] : config.env)
    own.push_back(name + "=" + value);
  own.push_back(mark_variable(spec.mark));
  spec.env = merged_environment(setup_.environment, own);
  std::map<std::string, std::string, std::less<>> words{
      {std::string(kModelWord), id},
      {std::string(kSocketWord), order.socket.string()},
      {std::string(kGpusWord), gpus}};
  spec.endpoint = net::unix_address(order.socket.string());
  if (uses_word(config.command, kPortWord)) {
    const auto port = free_port();
    if (!port)
      return std::unexpected(setup_failure(port.error()));
    words[std::string(kPortWord)] = std::to_string(*port);
    spec.endpoint = net::tcp_address("127.0.0.1", *port);
  }
  spec.argv = replaced_words(config.command, words);
  auto program = program_of(spec.argv.front(), spec.env);
  if (!program)
    return std::unexpected(setup_failure(program.error()));
  spec.argv.front() = *std::move(program);
  spec.liveness.load_still_max = setup_.config.load_still_max;
  spec.liveness.still_max = kNever;
  spec.liveness.silent_max = kNever;
  return spec;
}

}  // namespace tonnage
