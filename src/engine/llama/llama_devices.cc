#include "engine/llama/llama_devices.h"

#include <utility>

#include "engine/llama/llama.h"

namespace tonnage {
namespace {

// A driver that has to be loaded takes seconds.
constexpr Duration kListTimeout = 30s;

std::string_view without_spaces(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view{} : line.substr(begin);
}

// "NVIDIA GeForce RTX 4090 (24080 MiB, 23000 MiB free)" without its amounts.
std::string description_of(std::string_view text) {
  return std::string(text.substr(0, text.rfind(" (")));
}

}  // namespace

Result<std::vector<LlamaDevice>> parse_llama_devices(std::string_view text) {
  constexpr std::string_view kHeading = "Available devices:";
  const std::size_t heading = text.find(kHeading);
  if (heading == std::string_view::npos)
    return fail("cannot read the engine's list of devices", {}, "it printed none");
  text.remove_prefix(heading + kHeading.size());
  std::vector<LlamaDevice> devices;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::string_view entry = without_spaces(line);
    const std::size_t colon = entry.find(": ");
    // Entries are indented; log lines are not.
    if (entry.size() == line.size() || colon == std::string_view::npos || colon == 0)
      continue;
    if (const std::string_view name = entry.substr(0, colon); name != "BLAS")
      devices.push_back({std::string(name), description_of(entry.substr(colon + 2))});
  }
  return devices;
}

void list_llama_devices(ProcessRunner& runner, const LlamaPrograms& programs,
                        const std::vector<std::string>& env,
                        std::function<void(Result<std::vector<LlamaDevice>>)> done) {
  runner.run(RunRequest{.argv = {programs.server.string(), "--list-devices"},
                        .env = env,
                        .timeout = kListTimeout},
             [done = std::move(done)](const Result<RunOutput>& output) {
               if (!output)
                 return done(std::unexpected(output.error()));
               done(parse_llama_devices(output->out + "\n" + output->err));
             });
}

}  // namespace tonnage
