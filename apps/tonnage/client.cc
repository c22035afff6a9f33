#include "tonnage/client.h"

#include <cstdio>

#include "http/blocking_client.h"
#include "tonnage/fields.h"

namespace tonnage {
namespace {

std::string first_of(std::string first, std::string second) {
  return first.empty() ? std::move(second) : std::move(first);
}

CommandError no_daemon(const DaemonUrl& url, const Error& error) {
  const std::string remedy = error.remedy.empty() ? "start one with 'tonnage serve', or name it "
                                                    "with --url or --runtime-dir"
                                                  : error.remedy;
  return {ExitCode::unreachable,
          "no daemon answers at " + to_text(url) + ": " + error.why + "\n" + remedy};
}

}  // namespace

ExitCode complain(const CommandError& error) {
  std::fprintf(stderr, "tonnage: %s\n", error.text.c_str());
  return error.code;
}

void add_client_options(CLI::App& command, ClientOptions& options) {
  command
      .add_option("--url", options.url,
                  "http://HOST:PORT or https://HOST instead of the control socket "
                  "($TONNAGE_URL)")
      ->type_name("URL");
  command.add_option("--api-key", options.api_key, "Key for --url ($TONNAGE_API_KEY)")
      ->type_name("KEY");
  command.add_flag(
      "--insecure-tls", options.insecure_tls,
      "Accept any certificate of an https URL; the key can be read by anyone in between");
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
    client.url_.address = net::unix_address(control_socket(folder).string());
    return client;
  }
  auto parsed = parse_daemon_url(url);
  if (!parsed)
    return std::unexpected(CommandError{ExitCode::usage, "--url: " + parsed.error().text()});
  client.url_ = std::move(*parsed);
  client.verify_ = !options.insecure_tls;
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

net::ClientRequest DaemonClient::request(const std::string& method, const std::string& target,
                                         Duration timeout) const {
  net::ClientRequest request;
  request.address = url_.address;
  request.method = method;
  request.target = url_.prefix + target;
  request.timeout = timeout;
  if (!api_key_.empty())
    request.headers.push_back({"Authorization", "Bearer " + api_key_});
  return request;
}

CommandResult<void> DaemonClient::stream(
    const std::string& target, const std::string& last_event_id,
    std::move_only_function<bool(std::string_view piece)> on_piece) const {
  // Without a time-out: silence means that nothing was decided.
  net::ClientRequest request = this->request("GET", target, Duration{0});
  request.headers.push_back({"Accept", "text/event-stream"});
  if (!last_event_id.empty())
    request.headers.push_back({"Last-Event-ID", last_event_id});
  const auto reply = net::fetch_stream(request, std::move(on_piece), {url_.tls, verify_});
  if (!reply)
    return std::unexpected(no_daemon(url_, reply.error()));
  if (reply->status < 200 || reply->status >= 300)
    return std::unexpected(error_of(reply->status, reply->body));
  return {};
}

CommandResult<Answer> DaemonClient::get(const std::string& target, Duration timeout) const {
  return send("GET", target, timeout);
}

CommandResult<Answer> DaemonClient::send(const std::string& method, const std::string& target,
                                         Duration timeout, std::string body) const {
  net::ClientRequest request = this->request(method, target, timeout);
  request.reply_max = 64_MiB;  // thousands of models
  if (!body.empty())
    request.headers.push_back({"Content-Type", "application/json"});
  request.body = std::move(body);
  const auto reply = net::fetch(request, {url_.tls, verify_});
  if (!reply)
    return std::unexpected(no_daemon(url_, reply.error()));
  const bool good = (reply->status >= 200 && reply->status < 300) || reply->status == 409;
  if (!good)
    return std::unexpected(error_of(reply->status, reply->body));
  Answer answer{reply->status, Json::parse(reply->body, nullptr, false)};
  if (answer.body.is_discarded()) {
    return std::unexpected(CommandError{
        ExitCode::failed, "the answer of " + to_text(url_) +
                              " is not one of Tonnage's; is another program at that address?"});
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
