#include "daemon/daemon.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/spdlog.h>

#include "base/check.h"
#include "config/device_pools.h"
#include "config/load.h"
#include "config/reload.h"
#include "core/snapshot.h"
#include "daemon/access_log.h"
#include "daemon/control_desk.h"
#include "daemon/directory.h"
#include "daemon/door.h"
#include "daemon/engine_room.h"
#include "daemon/error_answer.h"
#include "daemon/fit_descriptors.h"
#include "daemon/found_config.h"
#include "daemon/governor_loop.h"
#include "daemon/gpu_start.h"
#include "daemon/greeting.h"
#include "daemon/history_keeper.h"
#include "daemon/journal_keeper.h"
#include "daemon/listening.h"
#include "daemon/logging.h"
#include "daemon/look_desk.h"
#include "daemon/loop_pulse.h"
#include "daemon/memory_watch.h"
#include "daemon/reloader.h"
#include "daemon/request_desk.h"
#include "daemon/resume_list.h"
#include "daemon/service_watch.h"
#include "daemon/spin_keeper.h"
#include "daemon/status_reports.h"
#include "metrics/metrics.h"
#include "net/server.h"
#include "probe/memory_folder.h"
#include "process/runtime_folder.h"
#include "process/workers.h"

namespace tonnage {
namespace {

// Idle connections may stay open this long after the last server has gone.
constexpr Duration kCloseGrace = 1s;

// What is still to be written may take this long after the last request.
constexpr Duration kWorkGrace = 2s;

constexpr int kConfigurationStatus = 2;

int complain(const Error& error) {
  std::fprintf(stderr, "tonnage: %s\n", error.text().c_str());
  return 1;
}

// For request bodies that memory has no room for.
std::filesystem::path spill_folder(const Config& config) {
  return config.state_dir / "bodies";
}

net::Limits net_limits(const Config& config) {
  net::Limits limits;
  limits.header_bytes_max = config.limits.header_max;
  limits.body_bytes_max = config.limits.body_max;
  limits.bodies_memory_max = config.limits.bodies_max_total;
  limits.connections_max = static_cast<std::uint32_t>(config.limits.connections_max);
  limits.header_timeout = config.limits.header_timeout;
  limits.body_idle_timeout = config.limits.client_read_timeout;
  limits.keepalive_timeout = config.limits.client_idle_timeout;
  limits.write_stall_timeout = config.limits.client_write_timeout;
  limits.bodies_file_max = config.limits.bodies_disk_max;
  limits.spill_folder = spill_folder(config).string();
  fit_descriptors(limits, config.models.size());
  return limits;
}

// Large blocks go back to the system as soon as they are freed. Left alone, glibc raises the size
// from which it does so after each body of a request, and keeps the holes: with 512 requests of
// 1 MB waiting, 64 MiB of them in memory, the daemon held 170 MiB instead of 77.
void return_large_blocks() {
  constexpr int kLargeBlock = 128 * 1024;
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  ::mallopt(M_TRIM_THRESHOLD, kLargeBlock);
}

MetricsSetup metrics_setup(const Config& config) {
  MetricsSetup setup;
  setup.version = TONNAGE_VERSION;
  for (const PoolPolicy& pool : config.policy.pools)
    setup.pools.push_back(pool.name);
  for (const ModelPolicy& model : config.policy.models)
    setup.models.push_back(model.id);
  for (int i = 0; i <= static_cast<int>(ResidencyState::failed); ++i) {
    setup.states.emplace_back(to_text(static_cast<ResidencyState>(i)));
  }
  return setup;
}

// Whether memory moves or will: a model works, loads or leaves, or a request waits for one.
bool is_active(const Snapshot& snapshot) {
  return snapshot.leases > 0 || snapshot.waiting > 0 ||
         std::ranges::any_of(snapshot.models, [](const ModelSnapshot& model) {
           return model.state == ResidencyState::profiling ||
                  model.state == ResidencyState::loading ||
                  model.state == ResidencyState::draining ||
                  model.state == ResidencyState::stopping;
         });
}

// Owns the parts in the order in which they depend on each other.
class Daemon final : public ActionSink {
 public:
  Daemon(FoundConfig found, LlamaPrograms programs, std::vector<std::string> environment,
         GpuStart gpus, RuntimeFolder folder, Reloader::Read read, const ServiceOrder& service)
      : config_(std::move(found.config)),
        gpus_(std::move(gpus)),
        folder_(std::move(folder)),
        directory_(config_),
        metrics_(metrics_setup(config_)),
        loop_(io_, config_.policy, *this),
        journal_(io_, workers_, config_, loop_.unix_us_at_zero()),
        engines_(io_, workers_, config_, std::move(programs), std::move(environment), gpus_.pools,
                 folder_, [this](Event event) { take_from_engines(std::move(event)); }),
        memory_(io_, config_, engines_, gpus_.pools,
                [probe = gpus_.probe] { return probe->survey(); },
                {.post =
                     [this](Event event) {
                       if (const auto* sample = std::get_if<ServerSampled>(&event))
                         engines_.held(*sample);
                       loop_.post(std::move(event));
                     },
                 .charges = [this] { return charges_of(loop_.snapshot()); },
                 .active = [this] { return is_active(loop_.snapshot()); },
                 .awaits_release = [this] { return awaits_release(); }}),
        requests_(io_, config_, loop_, engines_, directory_, metrics_),
        looks_(config_, loop_, engines_, directory_),
        reloader_(io_, workers_, std::move(read),
                  [this](FoundConfig next) { return apply(std::move(next)); }),
        history_(io_, workers_, config_, [this] { return loop_.snapshot(); }),
        reports_(io_, [this] { return loop_.snapshot(); }),
        control_(config_, loop_, engines_, memory_, directory_, metrics_, journal_, reloader_,
                 history_),
        door_(io_, workers_, config_, directory_, requests_, looks_, control_, metrics_),
        server_(io_, net_limits(config_),
                [this](std::shared_ptr<net::Exchange> exchange) { door_.take(exchange); }),
        resume_(io_, workers_, config_.state_dir / "ready.json",
                [this] { return loop_.snapshot(); }),
        spin_(io_, spin_file(config_.state_dir),
              [this](const SpinCosts& costs, std::int32_t threads) {
                spdlog::info("threads of model servers spin {}", spin_text(costs, threads));
                engines_.set_spin_count(spin_count(costs, threads));
              }),
        signals_(io_, SIGTERM, SIGINT),
        hangup_(io_, SIGHUP),
        pulse_(
            io_, [this] { return loop_.now(); }, loop_.unix_us_at_zero(),
            [this](Tick from, std::int64_t unix_us_at_zero) {
              control_.clock_moved(from, unix_us_at_zero);
              journal_.clock_moved(unix_us_at_zero);
            }),
        service_(io_, service,
                 {[this] { return scheduler_moves(loop_.now(), loop_.governor().next_deadline()); },
                  [this] { return service_status(loop_.snapshot(), to_text(listen_)); }}) {
    loop_.observe(&journal_);
    loop_.on_violation([this](const Violation& violation) {
      metrics_.violation();
      spdlog::error("internal error: {}; please report it with the journal", violation.text);
    });
    engines_.learn(found.looks);
    control_.reconfigured();
    server_.set_head_check(
        [this](const net::Exchange& exchange) { return door_.check_head(exchange); });
    server_.set_on_answer([this](const net::AnswerRecord& record) {
      if (config_.access_log != AccessLog::off)
        write_log_line(access_line(record, config_.access_log, system_now()));
    });
    control_.count_connections([this] { return server_.stats().connections_open; });
    server_.set_error_body([this](const net::Refusal& refusal) {
      const api::ApiError error = protocol_error(refusal, server_.limits());
      metrics_.refusal(error.code);
      return error_response(error, api::dialect_of(refusal.path));
    });
    engines_.on_endpoint_gone(
        [this](const net::Address& endpoint) { server_.drop_upstream(endpoint); });
    engines_.on_files_mended([this](ModelId model) {
      spdlog::info("{}: its files changed; it is tried again", directory_.id(model));
      loop_.post(PolicyChanged{config_.policy, {model}});
    });
  }

  Result<void> open() {
    if (const auto bodies = spill_folder(config_); lies_in_memory(bodies)) {
      spdlog::warn(
          "{} is in memory (tmpfs): request bodies beyond limits.bodies_max_total take "
          "memory there; set state_dir to a folder on a disk",
          bodies.string());
    }
    if (auto sampled = memory_.start(gpus_.survey); !sampled)
      return sampled;
    auto listening = listen_on(server_, config_.listen, kPublicListener);
    if (!listening)
      return std::unexpected(listening.error());
    listen_ = *std::move(listening);
    control_.listening_on(to_text(listen_));
    return server_.listen_unix(control_socket(folder_.path()).string(), kControlListener);
  }

  int run(const ServeOptions& options) {
    pulse_.start();
    wait_for_signal();
    wait_for_hangup();
    if (!config_.spin_count)
      spin_.start();
    for (std::uint32_t i = 0; i < config_.models.size(); ++i) {
      if (config_.models[i].preload) {
        loop_.post(LoadModel{control_.own_command(), ModelId(i)});
      }
    }
    if (config_.resume == Resume::last)
      resume();
    greet(config_, listen_, loop_.snapshot(), options.tour);
    history_.start();
    reports_.every(config_.report_interval);
    boost::asio::post(io_, [this] { service_.serving(); });
    io_.run();
    return exit_status_;
  }

  // False: something hangs on a disk; see Workers::finish.
  bool finish_work() {
    if (workers_.finish(kWorkGrace))
      return true;
    std::string names;
    for (const std::string& name : workers_.hanging())
      names += (names.empty() ? "" : ", ") + name;
    spdlog::warn("ending without what still hangs on a disk{}", names.empty() ? "" : ": " + names);
    return false;
  }

  void carry_out(Action action) override {
    std::visit([this](auto& a) { act(a); }, action);
  }

 private:
  void act(const Profile& a) { engines_.profile(a); }
  void act(const StartServer& a) {
    TONNAGE_CHECK(a.generation > last_started_, "a generation never returns");
    last_started_ = a.generation;
    engines_.start(a);
    memory_.server_starts();
  }
  void act(const StopServer& a) {
    looks_.server_stops(a.generation);
    engines_.stop(a);
    memory_.await_release();
    resume_.changed();
  }
  void act(const Admit& a) { requests_.admit(a); }
  void act(const Refuse& a) { requests_.refuse(a); }
  void act(const CommandDone& a) { control_.command_done(a); }
  void act(const Decided& a) { control_.keep(a.decision); }
  void act(const LevelChanged& a) {
    metrics_.level_change(a.pool.value, a.level);
    reports_.now();
  }
  void act(const Trim& a) { engines_.trim(a); }
  void act(const KillRemains& a) { engines_.kill_remains(a); }
  void act(const Drained&) {
    spdlog::info("drained: every request was answered and every server has ended");
    signals_.cancel();
    hangup_.cancel();
    service_.end();
    history_.stop();
    reports_.stop();
    pulse_.stop();
    memory_.stop();
    server_.stop(kCloseGrace, [this] { io_.stop(); });
  }

  // The core hears of it first, so that what is sampled then is news of a state that it knows.
  void take_from_engines(Event event) {
    const bool ready = std::holds_alternative<ServerReady>(event);
    loop_.post(std::move(event));
    resume_.changed();
    if (ready)
      memory_.server_ready();
    if (awaits_release())
      memory_.await_release();
  }

  bool awaits_release() const {
    for (std::uint32_t i = 0; i < config_.policy.pools.size(); ++i) {
      if (loop_.governor().awaits_release(PoolId(i)))
        return true;
    }
    return false;
  }

  void wait_for_signal() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error)
        return;
      if (stopping_) {
        spdlog::warn("told to stop again: stopping at once");
        exit_status_ = 1;
        io_.stop();
        return;
      }
      stopping_ = true;
      resume_.close();
      spdlog::info("{}: no new work, {} requests may end", ::strsignal(signal),
                   requests_.open_requests());
      service_.stopping(config_.policy.load.drain_timeout);
      loop_.post(Shutdown{});
      engines_.abandon_profiles();
      wait_for_signal();
    });
  }

  void wait_for_hangup() {
    hangup_.async_wait([this](const boost::system::error_code& error, int) {
      if (error)
        return;
      service_.reloading();
      reloader_.reload([this](const ReloadAnswer&) { service_.serving(); });
      wait_for_hangup();
    });
  }

  // What was ready at the end of the last run comes back as far as it fits, most recently used
  // first. Nobody waits for it, so nobody makes room for it.
  void resume() {
    for (const std::string& id : read_resume_list(config_.state_dir / "ready.json")) {
      if (const auto model = directory_.find(id))
        loop_.post(LoadModel{control_.own_command(), *model, false});
    }
  }

  // The parts hold references to config_ and directory_, which are replaced in place. The core
  // comes last: what it asks for then is done by the new rules.
  api::ReloadResult apply(FoundConfig found) {
    MergedConfig merged = merge_reload(config_, std::move(found.config));
    engines_.learn(found.looks);
    const bool keys_changed = config_.keys != merged.config.keys;
    const std::size_t known = config_.models.size();
    const LogLevel level = config_.log_level;
    config_ = std::move(merged.config);
    directory_ = Directory(config_);
    std::vector<std::string> fresh;
    for (std::size_t i = known; i < config_.models.size(); ++i)
      fresh.push_back(config_.policy.models[i].id);
    metrics_.add_models(fresh);
    door_.reconfigured(keys_changed);
    control_.reconfigured();
    memory_.reconfigured();
    reports_.every(config_.report_interval);
    if (config_.log_level != level)
      set_log_level(config_.log_level);
    add_changed_files(merged.changed);
    api::ReloadResult result;
    for (const ModelId model : merged.changed)
      result.changed.push_back(directory_.id(model));
    result.added = std::move(merged.added);
    result.removed = std::move(merged.removed);
    result.later = std::move(merged.later);
    result.warnings = config_.warnings;
    spdlog::info("configuration reloaded: {} models changed, {} added, {} removed",
                 result.changed.size(), result.added.size(), result.removed.size());
    for (const std::string& key : result.later)
      spdlog::warn("{} changed; it takes effect with the next start", key);
    for (const std::string& warning : result.warnings)
      spdlog::warn("{}", warning);
    loop_.post(PolicyChanged{config_.policy, std::move(merged.changed)});
    return result;
  }

  // Models whose files were exchanged, whatever the configuration says.
  void add_changed_files(std::vector<ModelId>& changed) const {
    for (std::uint32_t i = 0; i < config_.models.size(); ++i) {
      const ModelId model(i);
      if (config_.policy.models[i].removed || !engines_.known(model).files_changed)
        continue;
      if (std::ranges::find(changed, model) == changed.end())
        changed.push_back(model);
    }
    std::ranges::sort(changed);
  }

  boost::asio::io_context io_{1};
  Workers workers_;
  Config config_;
  Generation last_started_;
  GpuStart gpus_;
  RuntimeFolder folder_;
  Directory directory_;
  Metrics metrics_;
  GovernorLoop loop_;
  JournalKeeper journal_;
  EngineRoom engines_;
  MemoryWatch memory_;
  RequestDesk requests_;
  LookDesk looks_;
  Reloader reloader_;
  HistoryKeeper history_;
  StatusReports reports_;
  ControlDesk control_;
  Door door_;
  net::Server server_;
  ResumeList resume_;
  SpinKeeper spin_;
  boost::asio::signal_set signals_;
  boost::asio::signal_set hangup_;
  LoopPulse pulse_;
  ServiceWatch service_;
  std::vector<Listen> listen_;  // as configured, with the ports that the kernel chose
  bool stopping_ = false;
  int exit_status_ = 0;
};

}  // namespace

int run_daemon(const Config& config, const ServeOptions& options) {
  const ServiceOrder service = take_service_order();
  hold_standard_streams();
  return_large_blocks();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of that file only
  std::optional<LogSession> logging;
  logging.emplace(config.log_level, config.log_format, STDERR_FILENO);
  for (const std::string& warning : config.warnings)
    spdlog::warn("{}", warning);
  const Environment environment = inputs_of_process().environment;
  std::vector<std::string> engine_env = engine_environment(config, environment);
  auto engine = choose_engine(config, environment, engine_env);
  if (!engine)
    return complain(engine.error());
  for (const std::string& note : engine->notes)
    spdlog::warn("{}", note);
  auto gpus = start_gpus(config, engine->programs, engine_env, environment);
  if (!gpus) {
    complain(gpus.error());
    return kConfigurationStatus;
  }
  for (const std::string& left_out : gpus->pools.left_out())
    spdlog::warn("not governed: {}", left_out);
  auto folder = RuntimeFolder::open(config.runtime_dir);
  if (!folder)
    return complain(folder.error());
  if (!folder->cleaned().empty()) {
    spdlog::warn("ended {} model servers that an earlier run left", folder->cleaned().size());
  }
  Reloader::Read read = [reload = options.reload]() -> std::expected<FoundConfig, std::string> {
    auto next = reload();
    if (!next)
      return std::unexpected(std::move(next.error()));
    return with_found_types(std::move(*next));
  };
  FoundConfig complete = with_found_types(config);
  apply_devices(complete.config, gpus->pools.found());
  Daemon daemon(std::move(complete), std::move(engine->programs), std::move(engine_env),
                std::move(*gpus), std::move(*folder), std::move(read), service);
  if (auto opened = daemon.open(); !opened)
    return complain(opened.error());
  const int status = daemon.run(options);
  if (!daemon.finish_work()) {
    // What hangs refers to the daemon, which therefore cannot be taken down.
    logging.reset();
    std::_Exit(status);
  }
  return status;
}

}  // namespace tonnage
