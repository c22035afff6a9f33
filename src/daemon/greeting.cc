#include "daemon/greeting.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

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

// What a model of the tour is asked; empty where there is no request that fits its type.
std::string request_to(const ModelPolicy& model, const std::string& url, std::string_view question,
                       int max_tokens) {
  const std::string asked(question);
  const auto curl = [&](const std::string& path, const std::string& fields) {
    return "  curl -s " + url + path + " -H 'Content-Type: application/json' \\\n" +
           "    -d '{\"model\":\"" + model.id + "\"," + fields + "}'";
  };
  if (model.type == ModelType::llm) {
    return curl("/v1/chat/completions",
                "\"max_tokens\":" + std::to_string(max_tokens) +
                    R"(,"temperature":0,"messages":[{"role":"user","content":")" + asked + "\"}]") +
           "\n";
  }
  // The numbers of one text would fill a screen.
  if (model.type == ModelType::embedding)
    return curl("/v1/embeddings", R"("input":")" + asked + "\"") + " | head -c 300; echo\n";
  return {};
}

void add_demo(std::string& out, const Config& config, const std::string& url) {
  out +=
      "\nThese are demo models: they speak nonsense, but each starts its answers with its own "
      "name.\n"
      "The budget holds two of the three, so the third request makes room. Try, in another\n"
      "terminal:\n\n";
  for (const ModelPolicy& model : config.policy.models) {
    if (model.type == ModelType::llm)
      out += request_to(model, url, "Hello", 16);
  }
}

void add_requests(std::string& out, const Config& config, const std::string& url) {
  std::string requests;
  const ModelPolicy* first_llm = nullptr;
  for (const ModelPolicy& model : config.policy.models) {
    requests += request_to(model, url, "Name the capital of France.", 64);
    if (first_llm == nullptr && model.type == ModelType::llm)
      first_llm = &model;
  }
  // Back to where the tour began: that model may have made room for the others.
  if (first_llm != nullptr && config.policy.models.size() > 1)
    requests += request_to(*first_llm, url, "Name three fruits.", 64);
  if (!requests.empty())
    out += "\nTry, in another terminal:\n\n" + requests;
}

}  // namespace

std::string greeting(const Config& config, const std::vector<Listen>& listen,
                     const Snapshot& snapshot, Tour tour) {
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
  if (tour == Tour::demo)
    add_demo(out, config, url);
  if (tour == Tour::models)
    add_requests(out, config, url);
  if (tour != Tour::none && !config.policy.models.empty()) {
    print("");
    print("  build/release/tonnage status");
    print("  build/release/tonnage why " + config.policy.models.front().id);
  }
  print("");
  return out;
}

void greet(const Config& config, const std::vector<Listen>& listen, const Snapshot& snapshot,
           Tour tour) {
  // The reader of standard output may sleep; the daemon serves all the same.
  LogWriter(STDOUT_FILENO).write(greeting(config, listen, snapshot, tour));
}

}  // namespace tonnage
