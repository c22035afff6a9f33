#include "tonnage/client.h"

#include <cstdio>

#include "net/blocking_client.h"
#include "tonnage/fields.h"

namespace tonnage {
namespace {

std::string first_of(std::string first, std::string second) {
  return first.empty() ? std::move(second) : std::move(first);
}

CommandError no_daemon(const net::Address& address, const Error& error) {
  return {ExitCode::unreachable,
          "no daemon answers at " + net::to_text(address) + ": " + error.why +
              "\nstart one with 'tonnage serve', or name it with --url or --runtime-dir"};
}

}  // namespace

ExitCode complain(const CommandError& error) {
  std::fprintf(stderr, "tonnage: %s\n", error.text.c_str());
  return error.code;
}

void add_client_options(CLI::App& command, ClientOptions& options) {
  command
      .add_option("--url", options.url,
                  "Talk to http://HOST:PORT instead of the control socket ($TONNAGE_URL)")
      ->type_name("URL");
  command.add_option("--api-key", options.api_key, "Key for --url ($TONNAGE_API_KEY)")
      ->type_name("KEY");
  command
      .add_option("--runtime-dir", options.runtime_dir,
                  "The daemon's runtime folder ($TONNAGE_RUNTIME_DIR)")
      ->type_name("DIR");
  command.add_flag("--json", options.json, "Print the daemon's answer as JSON");
}

CommandResult<DaemonClient> DaemonClient::open(const ClientOptions& options,
                                               const Environment& environment, std::uint32_t uid) {
  DaemonClient client;
  client.api_key_ = first_of(options.api_key, variable(environment, "TONNAGE_API_KEY"));
  // A runtime folder that was named on the command line means more than a variable.
  std::string url = options.url;
  if (options.runtime_dir.empty())
    url = first_of(url, variable(environment, "TONNAGE_URL"));
  if (url.empty()) {
    const std::string named =
        first_of(options.runtime_dir, variable(environment, "TONNAGE_RUNTIME_DIR"));
    const std::filesystem::path folder =
        named.empty() ? default_runtime_dir(environment, uid) : std::filesystem::path(named);
    client.address_ = net::unix_address(control_socket(folder).string());
    return client;
  }
  if (url.starts_with("https://")) {
    return std::unexpected(
        CommandError{ExitCode::usage, "--url " + url + ": TLS is not spoken here; use http://"});
  }
  auto address = net::parse_address(url);
  if (!address) {
    return std::unexpected(CommandError{ExitCode::usage, "--url: " + address.error().text()});
  }
  client.address_ = *address;
  return client;
}

CommandResult<DaemonClient> DaemonClient::open(const ClientOptions& options) {
  const ConfigInputs process = inputs_of_process();
  Environment environment = process.environment;
  // A daemon on the usual configuration is where that says.
  std::error_code error;
  const auto usual = default_config_file(environment);
  if (std::filesystem::exists(usual, error)) {
    const auto config = load_config(usual, process);
    if (config)
      environment["TONNAGE_RUNTIME_DIR"] = config->runtime_dir.string();
  }
  return open(options, environment, process.uid);
}

CommandResult<void> DaemonClient::stream(
    const std::string& target, const std::string& last_event_id,
    std::move_only_function<bool(std::string_view piece)> on_piece) const {
  net::ClientRequest request;
  request.address = address_;
  request.target = target;
  request.timeout = Duration{0};  // silence means that nothing was decided
  request.headers.push_back({"Accept", "text/event-stream"});
  if (!last_event_id.empty())
    request.headers.push_back({"Last-Event-ID", last_event_id});
  if (!api_key_.empty())
    request.headers.push_back({"Authorization", "Bearer " + api_key_});
  const auto reply = net::fetch_stream(request, std::move(on_piece));
  if (!reply)
    return std::unexpected(no_daemon(address_, reply.error()));
  if (reply->status < 200 || reply->status >= 300)
    return std::unexpected(error_of(reply->status, reply->body));
  return {};
}

CommandResult<Answer> DaemonClient::get(const std::string& target, Duration timeout) const {
  return send("GET", target, timeout);
}

CommandResult<Answer> DaemonClient::send(const std::string& method, const std::string& target,
                                         Duration timeout, std::string body) const {
  net::ClientRequest request;
  request.address = address_;
  request.method = method;
  request.target = target;
  request.timeout = timeout;
  request.reply_max = 64_MiB;  // thousands of models
  if (!body.empty())
    request.headers.push_back({"Content-Type", "application/json"});
  request.body = std::move(body);
  if (!api_key_.empty())
    request.headers.push_back({"Authorization", "Bearer " + api_key_});
  const auto reply = net::fetch(request);
  if (!reply)
    return std::unexpected(no_daemon(address_, reply.error()));
  const bool good = (reply->status >= 200 && reply->status < 300) || reply->status == 409;
  if (!good)
    return std::unexpected(error_of(reply->status, reply->body));
  Answer answer{reply->status, Json::parse(reply->body, nullptr, false)};
  if (answer.body.is_discarded()) {
    return std::unexpected(CommandError{ExitCode::failed, net::to_text(address_) +
                                                              " does not speak like tonnage; is "
                                                              "another program at that address?"});
  }
  return answer;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 0xFU];
  }
  return out;
}

std::string model_path(std::string_view id) {
  return "/api/memory/models/" + percent_encoded(id);
}

CommandError error_of(int status, std::string_view body) {
  const Json json = Json::parse(body, nullptr, false);
  const Json error = object_field(json, "error");
  std::string text = "the daemon answered with status " + std::to_string(status);
  if (const std::string said = text_field(error, "message"); !said.empty())
    text = said;
  if (status == 401)
    text += "\ngive a key with --api-key or $TONNAGE_API_KEY";
  return {status == 404 && text_field(error, "code") == "model_not_found" ? ExitCode::unknown_model
                                                                          : ExitCode::failed,
          text};
}

}  // namespace tonnage
