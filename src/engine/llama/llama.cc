#include "engine/llama/llama.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine/environment.h"
#include "process/log_ring.h"
#include "process/program.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

constexpr const char* kServer = "llama-server";
constexpr const char* kFitParams = "llama-fit-params";
// What tools/engine writes beside a build, and the patch of cmake/engine/patches that it names.
constexpr const char* kDescription = "engine.json";
constexpr std::string_view kNoticesLeaving = "0001-notice-a-client-that-left.patch";
constexpr std::size_t kDescriptionSizeMax = 64 << 10;
// Loading shared libraries from a cold disk.
constexpr Duration kVersionTimeout = 20s;

bool is_patched(const fs::path& folder, std::string_view patch) {
  std::string text(kDescriptionSizeMax, '\0');
  std::ifstream file(folder / kDescription, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text.find(patch) != std::string::npos;
}

LlamaPrograms with_companion(const fs::path& server) {
  LlamaPrograms programs{.server = server, .fit_params = std::nullopt};
  std::error_code ignored;
  // A link on PATH points to the folder that holds both.
  const auto real = fs::canonical(server, ignored);
  programs.notices_leaving = is_patched(real.parent_path(), kNoticesLeaving);
  for (const auto& folder : {server.parent_path(), real.parent_path()}) {
    if (!is_program(folder / kFitParams))
      continue;
    programs.fit_params = folder / kFitParams;
    break;
  }
  return programs;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text.remove_suffix(1);
  const std::size_t begin = text.rfind('\n');
  return clean_text(begin == std::string_view::npos ? text : text.substr(begin + 1));
}

// "version: 0.5.0-dev (build 1, commit de3ff81)" on whichever stream.
std::optional<std::string> version_in(const RunOutput& output) {
  constexpr std::string_view kName = "version: ";
  for (const std::string_view text : {std::string_view(output.out), std::string_view(output.err)}) {
    std::size_t at = text.find(kName);
    if (at == std::string_view::npos || (at > 0 && text[at - 1] != '\n'))
      continue;
    at += kName.size();
    return clean_text(text.substr(at, text.find('\n', at) - at));
  }
  return std::nullopt;
}

Result<std::string> judge_version(const fs::path& program, const Result<RunOutput>& output) {
  constexpr const char* kWhat = "cannot use engine program";
  const std::string remedy = "name a working llama-server in the config, or run `make setup`";
  if (!output)
    return fail(kWhat, program.string(), output.error().text(), remedy);
  if (!output->status.clean()) {
    const auto words = last_line(output->err.empty() ? output->out : output->err);
    return fail(kWhat, program.string(),
                "--version: " + to_text(output->status) + (words.empty() ? "" : ": " + words),
                remedy);
  }
  const auto version = version_in(*output);
  if (!version)
    return fail(kWhat, program.string(), "--version names no version", remedy);
  return *version;
}

}  // namespace

Result<LlamaPrograms> find_llama(const LlamaSearch& search) {
  constexpr const char* kWhat = "cannot find the engine";
  if (search.configured) {
    std::error_code ignored;
    auto server = *search.configured;
    if (fs::is_directory(server, ignored))
      server /= kServer;
    if (!server.is_absolute())
      server = fs::absolute(server, ignored);
    if (is_program(server))
      return with_companion(server);
    return fail(kWhat, server.string(),
                fs::exists(server, ignored) ? "it is not an executable file" : "no such file",
                "correct the path of llama-server in the config");
  }
  if (const auto found = find_program(kServer, search.path_variable))
    return with_companion(*found);
  if (search.cached && is_program(*search.cached / kServer)) {
    return with_companion(*search.cached / kServer);
  }
  std::string why = "no llama-server on PATH";
  if (search.cached)
    why += " and none in " + search.cached->string();
  return fail(kWhat, "", why, "run `make setup`, or name a llama-server in the config");
}

void check_llama(ProcessRunner& runner, const LlamaPrograms& programs,
                 const std::vector<std::string>& env,
                 std::function<void(Result<LlamaBuild>)> done) {
  const auto ask = [env](const fs::path& program) {
    return RunRequest{
        .argv = {program.string(), "--version"}, .env = env, .timeout = kVersionTimeout};
  };
  runner.run(ask(programs.server),
             [&runner, programs, ask, done = std::move(done)](const Result<RunOutput>& output) {
               const auto version = judge_version(programs.server, output);
               if (!version)
                 return done(std::unexpected(version.error()));
               const LlamaBuild build{.version = *version};
               if (!programs.fit_params)
                 return done(build);
               runner.run(ask(*programs.fit_params), [program = *programs.fit_params, build,
                                                      done](const Result<RunOutput>& other) {
                 const auto dry_run_version = judge_version(program, other);
                 if (!dry_run_version)
                   return done(std::unexpected(dry_run_version.error()));
                 done(build);
               });
             });
}

std::vector<std::string> llama_environment(const LlamaEnvironment& environment) {
  std::vector<std::string> out{
      "PATH=" + environment.path,
      "HOME=" + environment.home,
      "LANG=" + environment.lang,
      "GOMP_SPINCOUNT=" + std::to_string(environment.gomp_spincount),
      // One arena per thread of its HTTP pool would grow with the number of open requests.
      "MALLOC_ARENA_MAX=2",
      // On an abort it would start a debugger on itself and fill the log with back-traces.
      "GGML_NO_BACKTRACE=1",
  };
  if (!environment.ld_library_path.empty()) {
    out.push_back("LD_LIBRARY_PATH=" + environment.ld_library_path);
  }
  return merged_environment(std::move(out), environment.more);
}

ServerSpec llama_server_spec(const LlamaPrograms& programs, const LlamaModel& model,
                             const Placement& placement, const VisibleGpus& gpus,
                             Generation generation, const std::filesystem::path& socket,
                             std::vector<std::string> env) {
  std::vector<std::string> argv = llama_server_arguments(model, placement, gpus, socket);
  argv.insert(argv.begin(), programs.server.string());
  env = merged_environment(std::move(env), gpus.env);
  return ServerSpec{.generation = generation,
                    .model = model.id,
                    .model_name = model.name,
                    .argv = std::move(argv),
                    .env = std::move(env),
                    .endpoint = net::unix_address(socket.string()),
                    .notices_leaving = programs.notices_leaving};
}

}  // namespace tonnage
