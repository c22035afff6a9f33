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

// A spun-down disk or a network file system that wakes up takes some seconds.
constexpr Duration kSearchMax = 10s;

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
Result<std::string> program_of(const std::string& name, std::string_view path_variable) {
  constexpr const char* kWhat = "cannot start";
  if (name.find('/') == std::string::npos) {
    if (const auto found = find_program(name, path_variable))
      return found->string();
    return fail(kWhat, name, "no such program on PATH",
                "install it, or write its path as the first word of `command`");
  }
  if (is_program(name))
    return name;
  return fail(
      kWhat, name,
      ::access(name.c_str(), F_OK) == 0 ? "it is not a file that may be executed" : "no such file",
      "correct the first word of `command`");
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
  if (setup_.gpus.space().capacities.empty())
    row.host_anon += std::exchange(gpu, Bytes(0));
  if (const auto seen = seen_.find(model);
      seen != seen_.end() && seen->second.command == config.command &&
      (seen->second.host > row.host_anon || seen->second.gpu > gpu)) {
    row.host_anon = std::max(row.host_anon, seen->second.host);
    gpu = std::max(gpu, seen->second.gpu);
    row.source = FootprintSource::learned;
  }
  if (gpu > Bytes(0))
    row.device_bytes = {gpu};
  return row;
}

void CommandEngine::profile(ModelId model, bool) {
  told_[model] = row_of(model);
  setup_.observer.profiled(model, {told_[model]});
}

void CommandEngine::server_held(ModelId model, Bytes host, const std::vector<Bytes>& devices) {
  Seen& seen = seen_[model];
  seen.host = std::max(seen.host, host);
  Bytes gpu;
  for (const Bytes device : devices)
    gpu += device;
  seen.gpu = std::max(seen.gpu, gpu);
}

// Looks for the program on a lane of the model's own: a file system that hangs holds up this model
// and no other.
void CommandEngine::prepare(const ServerOrder& order, Prepared done) {
  auto spec = spec_of(order);
  if (!spec) {
    return boost::asio::post(setup_.io, [spec, done = std::move(done)] { done(spec); });
  }
  if (Seen& seen = seen_[order.model]; seen.command != config_of(order.model).command)
    seen = {config_of(order.model).command, Bytes(0), Bytes(0)};
  const Generation generation = order.generation;
  Search& search = searches_
                       .try_emplace(generation, Search{*std::move(spec), std::move(done),
                                                       boost::asio::steady_timer(setup_.io)})
                       .first->second;
  const std::string name = search.spec.argv.front();
  search.deadline.expires_after(kSearchMax);
  search.deadline.async_wait([this, generation, name](const boost::system::error_code& error) {
    if (!error) {
      end_search(generation, fail("cannot start", name,
                                  "its file system did not answer within " + to_text(kSearchMax)));
    }
  });
  // The worker has nothing of the loop's but the way back to it.
  (void)lane_of(order.model)
      .post([this, &io = setup_.io, generation, name,
             path = std::string(value_of(search.spec.env, "PATH"))] {
        boost::asio::post(io, [this, generation, program = program_of(name, path)] {
          end_search(generation, program);
        });
      });
}

void CommandEngine::end_search(Generation generation, const Result<std::string>& program) {
  auto ended = searches_.extract(generation);
  if (ended.empty())
    return;  // it came after its deadline
  Search& search = ended.mapped();
  search.deadline.cancel();
  if (!program)
    return search.done(std::unexpected(setup_failure(program.error())));
  search.spec.argv.front() = *program;
  search.done(std::move(search.spec));
}

Workers::Lane& CommandEngine::lane_of(ModelId model) {
  const auto found = lanes_.find(model);
  if (found != lanes_.end())
    return found->second;
  const std::string& id = setup_.config.policy.models[model.value].id;
  return lanes_.emplace(model, setup_.workers.lane("program of " + id)).first->second;
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
  spec.liveness.load_still_max = setup_.config.load_still_max;
  spec.liveness.still_max = kNever;
  spec.liveness.silent_max = kNever;
  return spec;
}

}  // namespace tonnage
