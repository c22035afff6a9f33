// DaemonClient: a subcommand's requests to the running daemon and what went wrong with them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/tick.h"
#include "config/load.h"
#include "http/client.h"
#include "tonnage/daemon_url.h"
#include "tonnage/exit_code.h"

namespace tonnage {

using Json = nlohmann::ordered_json;

// How the user says where the daemon is; empty strings where they do not.
struct ClientOptions {
  std::string url;
  std::string api_key;
  std::string runtime_dir;
  bool json = false;
  bool insecure_tls = false;
};

// --url, --api-key, --insecure-tls, --runtime-dir and --json.
void add_client_options(CLI::App& command, ClientOptions& options);

struct Answer {
  int status = 0;
  Json body;
};

class DaemonClient {
 public:
  // --url, else TONNAGE_URL, else the control socket in --runtime-dir, TONNAGE_RUNTIME_DIR or the
  // default runtime folder. Nothing is contacted yet.
  static CommandResult<DaemonClient> open(const ClientOptions& options,
                                          const Environment& environment, std::uint32_t uid);
  // The same, with this process' environment and user.
  static CommandResult<DaemonClient> open(const ClientOptions& options);

  // An answer that is not a 2xx is an error, but for 409: that is a command's refusal, with a body.
  // A zero timeout waits for as long as it takes.
  CommandResult<Answer> get(const std::string& target, Duration timeout = 10s) const;
  // `body` is JSON, or empty for none.
  CommandResult<Answer> send(const std::string& method, const std::string& target, Duration timeout,
                             std::string body = {}) const;

  // An event stream: `on_piece` gets its text as it comes, until it returns false or the stream
  // ends. Not being able to connect, and an end that the daemon did not announce, are
  // `unreachable`.
  CommandResult<void> stream(const std::string& target, const std::string& last_event_id,
                             std::move_only_function<bool(std::string_view piece)> on_piece) const;

  const DaemonUrl& url() const { return url_; }

 private:
  net::ClientRequest request(const std::string& method, const std::string& target,
                             Duration timeout) const;

  DaemonUrl url_;
  std::string api_key_;
  bool verify_ = true;
};

// One path segment: everything but letters, digits and -._~ becomes %XX.
std::string percent_encoded(std::string_view text);

// "/api/memory/models/org%2Fname".
std::string model_path(std::string_view id);

// What an error answer says: its error.message where there is one.
CommandError error_of(int status, std::string_view body);

}  // namespace tonnage
