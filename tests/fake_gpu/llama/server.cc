// A llama-server over the shared device set: it takes memory that does not exist, and serves
// nonsense that is signed with its model's name.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <thread>

#include "llama/arguments.h"
#include "llama/behaviour.h"
#include "llama/engine.h"
#include "llama/engine_log.h"
#include "llama/http.h"
#include "llama/model_server.h"

namespace {

using namespace fake_gpu;

// Ends the process, once what it works on is done.
void end_on_signal(ModelServer& server, const sigset_t& signals) {
  int signal = 0;
  ::sigwait(&signals, &signal);
  say('I', "srv    operator(): operator(): cleaning up before exit...");
  server.finish();
  ::_exit(0);
}

int serve(const Arguments& arguments) {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto set = open_set();
  ModelServer server(arguments, read_behaviour(arguments.model), set.get());
  try {
    HttpServer http(arguments.host, [&](const HttpRequest& request, HttpReply& reply) {
      server.handle(request, reply);
    });
    http.start();
    std::thread(end_on_signal, std::ref(server), signals).detach();
    if (!server.load()) {
      say('I', "srv    operator(): operator(): cleaning up before exit...");
      say('E', "srv  llama_server: exiting due to model loading error");
      server.finish();
      ::_exit(1);
    }
    say('I', "srv  llama_server: listening on unix://" + arguments.host);
    while (true)
      ::pause();
  } catch (const std::exception&) {
    say('E', "srv         start: couldn't bind HTTP server socket, hostname: " + arguments.host);
    say('E', "srv  llama_server: exiting due to HTTP server error");
    return 1;
  }
}

}  // namespace

int main(int count, char** words) {
  no_core_files();
  say('I', "srv  llama_server: initializing ...");
  const auto arguments = parse_arguments({words + 1, words + count});
  if (!arguments) {
    say_plain(arguments.error());
    return 1;
  }
  if (arguments->version) {
    print_version();
    return 0;
  }
  if (arguments->list_devices) {
    const auto set = open_set();
    print_devices(set.get(), offered_devices(set.get(), read_behaviour(arguments->model)));
    return 0;
  }
  return serve(*arguments);
}
