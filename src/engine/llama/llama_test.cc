#include "engine/llama/llama.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "engine/llama/llama_flags.h"
#include "process/loop_fixture.h"

namespace tonnage {
namespace {

const LlamaPrograms kPrograms{.server = "/engine/llama-server", .fit_params = std::nullopt};

ServerSpec spec_of(const LlamaModel& model, const Placement& placement, const VisibleGpus& gpus) {
  return llama_server_spec(kPrograms, model, placement, gpus, Generation{9}, "/run/2-9.sock",
                           {"CUDA_VISIBLE_DEVICES=7"});
}

std::vector<std::string> argv_of(const LlamaModel& model, const Placement& placement) {
  return spec_of(model, placement, {}).argv;
}

std::string value_in(const std::vector<std::string>& argv, const std::string& flag) {
  const auto found = std::ranges::find(argv, flag);
  return found == argv.end() || found + 1 == argv.end() ? "(missing)" : *(found + 1);
}

bool has(const std::vector<std::string>& argv, const std::string& flag) {
  return std::ranges::find(argv, flag) != argv.end();
}

LlamaModel served_model() {
  return {.id = ModelId{2}, .name = "chat", .gguf = "/models/a b.gguf"};
}

TEST(LlamaServerSpec, FixesEverythingThatWouldGrowUnseen) {
  auto model = served_model();
  model.prompt_cache = 256_MiB;
  const auto argv = argv_of(model, {.context = 4096, .slots = 3});
  EXPECT_EQ(argv[0], "/engine/llama-server");
  EXPECT_EQ(value_in(argv, "--host"), "/run/2-9.sock");
  EXPECT_EQ(value_in(argv, "--model"), "/models/a b.gguf");
  EXPECT_EQ(value_in(argv, "--alias"), "chat");
  EXPECT_EQ(value_in(argv, "--ctx-size"), "12288");  // the server divides it among its slots
  EXPECT_EQ(value_in(argv, "--parallel"), "3");
  EXPECT_EQ(value_in(argv, "--batch-size"), "512");
  EXPECT_EQ(value_in(argv, "--ubatch-size"), "512");
  EXPECT_EQ(value_in(argv, "--cache-type-k"), "f16");
  EXPECT_EQ(value_in(argv, "--ctx-checkpoints"), "0");
  EXPECT_EQ(value_in(argv, "--slot-prompt-similarity"), "0.5");
  EXPECT_EQ(value_in(argv, "--cache-ram"), "256");
  EXPECT_EQ(value_in(argv, "--fit"), "off");
  EXPECT_EQ(value_in(argv, "--load-mode"), "mmap");
  EXPECT_EQ(value_in(argv, "--device"), "none");
  EXPECT_EQ(value_in(argv, "--gpu-layers"), "0");
  EXPECT_TRUE(has(argv, "--no-warmup"));
  EXPECT_TRUE(has(argv, "--offline"));
  EXPECT_FALSE(has(argv, "--sleep-idle-seconds"));
  EXPECT_FALSE(has(argv, "--flash-attn"));
  EXPECT_FALSE(has(argv, "--embeddings"));
}

TEST(LlamaServerSpec, WithoutACacheTheEnginesDefaultOf8GiBIsSwitchedOff) {
  EXPECT_EQ(value_in(argv_of(served_model(), {.context = 512}), "--cache-ram"), "0");
}

TEST(LlamaServerSpec, EncodersTakeAWholeTextInOneGraph) {
  auto model = served_model();
  model.type = ModelType::embedding;
  auto argv = argv_of(model, {.context = 2048, .slots = 2});
  EXPECT_TRUE(has(argv, "--embeddings"));
  EXPECT_EQ(value_in(argv, "--batch-size"), "2048");
  EXPECT_EQ(value_in(argv, "--ubatch-size"), "2048");
  model.type = ModelType::reranker;
  argv = argv_of(model, {.context = 2048});
  EXPECT_TRUE(has(argv, "--reranking"));
  EXPECT_EQ(value_in(argv, "--ubatch-size"), "2048");
}

TEST(LlamaServerSpec, AQuantisedCacheNeedsFlashAttention) {
  const auto argv = argv_of(served_model(), {.context = 512, .kv = KvType::q8_0});
  EXPECT_EQ(value_in(argv, "--cache-type-v"), "q8_0");
  EXPECT_EQ(value_in(argv, "--flash-attn"), "on");
}

TEST(LlamaServerSpec, ASplitModelSeesItsDevicesOnly) {
  const std::vector<std::string> uuids = {"GPU-b", "GPU-a"};
  const std::vector<Bytes> shares = {24_GiB, 8_GiB};
  const auto spec = spec_of(served_model(), {.gpu_layers = 33, .context = 512},
                            visible_gpus(GpuChoice::by_uuid, uuids, shares));
  EXPECT_EQ(value_in(spec.argv, "--gpu-layers"), "33");
  EXPECT_EQ(value_in(spec.argv, "--tensor-split"), "24576,8192");
  EXPECT_FALSE(has(spec.argv, "--device"));
  EXPECT_TRUE(has(spec.env, "CUDA_VISIBLE_DEVICES=GPU-b,GPU-a"));
  EXPECT_FALSE(has(spec.env, "CUDA_VISIBLE_DEVICES=7")) << "it would stand beside the other";
}

TEST(LlamaServerSpec, TheUsersArgumentsComeLast) {
  auto model = served_model();
  model.args = {"--temp", "0"};
  const auto argv = argv_of(model, {.context = 512});
  EXPECT_EQ(argv[argv.size() - 2], "--temp");
  EXPECT_EQ(argv.back(), "0");
}

// The engine counts the machine's processors, whatever its group may use.
TEST(LlamaServerSpec, ThreadsAreAsManyAsProcessorsMayBeUsed) {
  auto model = served_model();
  EXPECT_FALSE(has(argv_of(model, {.context = 512}), "--threads"));
  model.threads_allowed = 2;
  auto argv = argv_of(model, {.context = 512});
  EXPECT_EQ(value_in(argv, "--threads"), "2");
  EXPECT_EQ(value_in(argv, "--threads-batch"), "2");
  model.args = {"-tb", "5"};
  argv = argv_of(model, {.context = 512});
  EXPECT_EQ(value_in(argv, "--threads"), "2");
  EXPECT_FALSE(has(argv, "--threads-batch"));
  model.args = {"--threads", "6"};
  argv = argv_of(model, {.context = 512});
  EXPECT_EQ(std::ranges::count(argv, "--threads"), 1);
  EXPECT_FALSE(has(argv, "--threads-batch"));
  model.args.clear();
  model.threads = 7;
  argv = argv_of(model, {.context = 512});
  EXPECT_EQ(value_in(argv, "--threads"), "7");
  EXPECT_FALSE(has(argv, "--threads-batch"));
}

TEST(LlamaServerSpec, ACommaInANameDoesNotMakeTwoNames) {
  auto model = served_model();
  model.name = "a,b";
  EXPECT_EQ(value_in(argv_of(model, {.context = 512}), "--alias"), "a_b");
}

// A connection that waits for a thread of the engine waits for another one to close.
TEST(LlamaServerSpec, EachSlotHasItsHttpThread) {
  EXPECT_EQ(value_in(argv_of(served_model(), {.context = 512, .slots = 8}), "--threads-http"),
            "12");
}

// What the adapter passes and a user could pass as well would be decided twice.
TEST(LlamaServerSpec, FlagsThatDecideAboutMemoryAreGoverned) {
  const auto argv = argv_of(served_model(), {.context = 512, .kv = KvType::q8_0});
  for (const auto& arg : argv) {
    const bool taste = arg == "--flash-attn" || arg == "--no-warmup" || arg == "--offline" ||
                       arg == "--no-ui" || arg == "--threads-http" ||
                       arg == "--slot-prompt-similarity";
    EXPECT_TRUE(!arg.starts_with("--") || taste || governed_flag(arg)) << arg;
  }
}

TEST(LlamaEnvironment, HoldsOnlyWhatIsNamed) {
  EXPECT_EQ(llama_environment({}),
            (std::vector<std::string>{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "LANG=C.UTF-8",
                                      "GOMP_SPINCOUNT=440", "MALLOC_ARENA_MAX=2",
                                      "GGML_NO_BACKTRACE=1"}));
  const auto env = llama_environment({.ld_library_path = "/cuda", .more = {"A=b"}});
  EXPECT_TRUE(has(env, "LD_LIBRARY_PATH=/cuda"));
  EXPECT_TRUE(has(env, "A=b"));
  EXPECT_FALSE(has(llama_environment({.more = {"HOME=/home/u"}}), "HOME=/"));
}

class FindLlamaTest : public LoopFixture {
 protected:
  std::filesystem::path add(const std::string& folder, const std::string& name,
                            const std::string& script = "echo version: 7 '(abc)'",
                            mode_t mode = 0755) {
    const auto path = scratch_.path() / folder;
    std::filesystem::create_directories(path);
    std::ofstream(path / name) << "#!/bin/sh\n" << script << "\n";
    ::chmod((path / name).c_str(), mode);
    return path / name;
  }
  std::filesystem::path at(const std::string& folder) const { return scratch_.path() / folder; }

  Result<LlamaBuild> check(const LlamaPrograms& programs) {
    std::optional<Result<LlamaBuild>> result;
    check_llama(runner_, programs, {},
                [&](Result<LlamaBuild> value) { result = std::move(value); });
    if (!run_until([&] { return result.has_value(); }))
      return fail("no answer");
    return std::move(*result);
  }

  ProcessRunner runner_{loop_};
};

TEST_F(FindLlamaTest, TakesTheConfiguredThenPathThenTheCachedBuild) {
  const auto configured = add("mine", "llama-server");
  const auto on_path = add("bin", "llama-server");
  const auto cached = add("cache", "llama-server");
  LlamaSearch search{.configured = configured,
                     .path_variable = "relative:/nowhere:" + at("bin").string(),
                     .cached = at("cache")};
  EXPECT_EQ(find_llama(search)->server, configured);
  search.configured = at("mine");
  EXPECT_EQ(find_llama(search)->server, configured);
  search.configured.reset();
  EXPECT_EQ(find_llama(search)->server, on_path);
  search.path_variable.clear();
  EXPECT_EQ(find_llama(search)->server, cached);
}

TEST_F(FindLlamaTest, AConfiguredOneIsNeverReplacedByAnother) {
  add("cache", "llama-server");
  const auto plain = add("mine", "llama-server", "", 0644);
  const auto missing = find_llama({.configured = at("none") / "x", .cached = at("cache")});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().why, "no such file");
  EXPECT_EQ(find_llama({.configured = plain, .cached = at("cache")}).error().why,
            "it is not an executable file");
}

TEST_F(FindLlamaTest, FoldersAndPlainFilesOnPathAreNoPrograms) {
  std::filesystem::create_directories(at("a") / "llama-server");
  add("b", "llama-server", "", 0644);
  const auto found =
      find_llama({.path_variable = at("a").string() + ":" + at("b").string(), .cached = at("c")});
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().text().find("make setup"), std::string::npos);
}

TEST_F(FindLlamaTest, OnlyABuildThatSaysSoIsTakenForPatched) {
  const std::string patch = "0001-notice-a-client-that-left.patch";
  ASSERT_TRUE(std::filesystem::exists(std::filesystem::path(TONNAGE_SOURCE_DIR) /
                                      "cmake/engine/patches" / patch));
  const auto server = add("cache", "llama-server");
  EXPECT_FALSE(find_llama({.cached = at("cache")})->notices_leaving);
  const auto describe = [&](const std::string& text) {
    std::ofstream(at("cache") / "engine.json") << text;
  };
  describe(R"({"version": "1.2.3", "patches": {}})");
  EXPECT_FALSE(find_llama({.cached = at("cache")})->notices_leaving);
  describe(R"({"version": "1.2.3", "patches": {")" + patch + R"(": "1f"}})");
  EXPECT_TRUE(find_llama({.cached = at("cache")})->notices_leaving);
  // Also when PATH holds only a link to it.
  std::filesystem::create_directory(at("bin"));
  std::filesystem::create_symlink(server, at("bin") / "llama-server");
  const auto linked = find_llama({.path_variable = at("bin").string()});
  EXPECT_TRUE(linked->notices_leaving);
  EXPECT_TRUE(llama_server_spec(*linked, served_model(), {.context = 512}, {}, Generation{9},
                                "/run/2-9.sock", {})
                  .notices_leaving);
}

TEST_F(FindLlamaTest, TheDryRunProgramIsTheOneBesideTheServer) {
  add("cache", "llama-server");
  EXPECT_FALSE(find_llama({.cached = at("cache")})->fit_params);
  const auto fit = add("cache", "llama-fit-params");
  EXPECT_EQ(find_llama({.cached = at("cache")})->fit_params, fit);
  // Also when PATH holds only a link to the server.
  std::filesystem::create_directory(at("bin"));
  std::filesystem::create_symlink(at("cache") / "llama-server", at("bin") / "llama-server");
  EXPECT_EQ(find_llama({.path_variable = at("bin").string()})->fit_params, fit);
}

TEST_F(FindLlamaTest, AnEngineThatRunsNamesItsBuild) {
  const auto server = add("a", "llama-server", "echo noise >&2; echo 'version: 7 (abc)' >&2");
  const auto fit = add("a", "llama-fit-params");
  const auto build = check({.server = server, .fit_params = fit});
  ASSERT_TRUE(build) << build.error().text();
  EXPECT_EQ(build->version, "7 (abc)");
}

TEST_F(FindLlamaTest, AnEngineThatDoesNotRunSaysWhy) {
  const auto good = add("a", "llama-server");
  const auto bad = add("a", "llama-fit-params",
                       "echo error while loading shared libraries: libx.so >&2; exit 127");
  const auto build = check({.server = good, .fit_params = bad});
  ASSERT_FALSE(build);
  EXPECT_EQ(build.error().object, bad.string());
  EXPECT_NE(build.error().why.find("libx.so"), std::string::npos);
  EXPECT_FALSE(check({.server = bad, .fit_params = good}));
  EXPECT_FALSE(check({.server = add("b", "llama-server", "echo hello"), .fit_params = {}}));
}

}  // namespace
}  // namespace tonnage
