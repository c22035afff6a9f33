#include "daemon/greeting.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "daemon/log_writer.h"

namespace tonnage {
namespace {

std::string base_url(const Listen& listen) {
  Listen shown = listen;
  if (shown.host == "0.0.0.0")
    shown.host = "127.0.0.1";
  if (shown.host == "::")
    shown.host = "::1";
  return "http://" + to_text(shown);
}

void add_demo(std::string& out, const Config& config, const std::string& url) {
  const auto print = [&out](const std::string& line) { out += line + "\n"; };
  print("");
  print(
      "These are demo models: they speak nonsense, but each starts its answers with its own name.");
  print("The budget holds two of the three, so the third request makes room. Try, in another");
  print("terminal:");
  print("");
  for (const ModelPolicy& model : config.policy.models) {
    if (model.type != ModelType::llm)
      continue;
    print("  curl -s " + url + "/v1/chat/completions -H 'Content-Type: application/json' \\");
    print("    -d '{\"model\":\"" + model.id +
          "\",\"max_tokens\":16,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'");
  }
  print("");
  print("  build/release/tonnage status");
  print("  build/release/tonnage why " + config.policy.models.front().id);
}

}  // namespace

void greet(const Config& config, const std::vector<Listen>& listen, const Snapshot& snapshot,
           bool demo) {
  std::string out;
  const auto print = [&out](const std::string& line) { out += line + "\n"; };
  const std::string url = base_url(listen.front());
  const PoolSnapshot& host = snapshot.pools.front();
  print("tonnage serves " + std::to_string(config.models.size()) +
        (config.models.size() == 1 ? " model" : " models") + " at " + url);
  for (std::size_t i = 1; i < listen.size(); ++i)
    print("           and at " + base_url(listen[i]));
  print("  memory   " + to_text(host.budget) + " for models, of " + to_text(host.capacity));
  for (std::size_t i = 1; i < snapshot.pools.size(); ++i) {
    const PoolSnapshot& pool = snapshot.pools[i];
    print("  " + pool.name + "     " + to_text(pool.budget) + " for models, of " +
          to_text(pool.capacity));
  }
  if (host.unified)
    print("           which the GPU shares");
  std::string names;
  constexpr std::size_t kNamesMax = 12;
  for (std::size_t i = 0; i < config.models.size() && i < kNamesMax; ++i) {
    names += (i == 0 ? "" : ", ") + config.policy.models[i].id;
  }
  if (config.models.size() > kNamesMax)
    names += ", ...";
  print("  models   " + names);
  if (std::ranges::all_of(listen, [](const Listen& one) { return is_loopback(one); })) {
    print("  network  this machine only; for containers on it, listen on their bridge's address");
    print("           and add its name (host.docker.internal) to allowed_hosts");
  }
  if (demo)
    add_demo(out, config, url);
  print("");
  // The reader of standard output may sleep; the daemon serves all the same.
  LogWriter(STDOUT_FILENO).write(out);
}

}  // namespace tonnage
