// The real llama-server, made to fail in each way that needs no GPU. Run by
// tests/integration/failure_class_test.py, which names the server and a good model
// beside a smaller one.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "engine/server_fixture.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

std::string first_bytes(const fs::path& path, std::size_t count) {
  std::string bytes(count, '\0');
  std::ifstream(path, std::ios::binary).read(bytes.data(), static_cast<std::streamsize>(count));
  return bytes;
}

class RealFailure : public ServerFixture {
 protected:
  void SetUp() override {
    const char* const engine = std::getenv("TONNAGE_ENGINE_DIR");
    const char* const model = std::getenv("TONNAGE_TEST_MODEL");
    if (engine == nullptr || model == nullptr)
      GTEST_SKIP()
          << "needs TONNAGE_ENGINE_DIR and TONNAGE_TEST_MODEL: tools/integration failure_class";
    engine_ = engine;
    model_ = model;
    small_ = model_.parent_path() / "demo-small.gguf";
    ServerFixture::SetUp();
  }

  std::vector<std::string> argv(const fs::path& model) {
    return {engine_ / "llama-server", "-m", model, "--fit", "off", "-c", "512", "-t", "1"};
  }

  fs::path write(const char* name, std::string_view bytes) {
    const fs::path path = scratch_.path() / name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  // How the server that is started so comes to its end.
  Failure end_of(std::vector<std::string> argv, std::vector<std::string> env = {}) {
    const Generation generation{++last_};
    const auto socket = folder_->socket_path(kModel, generation);
    argv.insert(argv.end(), {"--host", socket->string()});
    env.emplace_back("PATH=/usr/bin:/bin");
    supervisor_->start(ServerSpec{.generation = generation,
                                  .model = kModel,
                                  .model_name = "real",
                                  .argv = std::move(argv),
                                  .env = std::move(env),
                                  .endpoint = net::unix_address(*socket)});
    EXPECT_TRUE(until_exit(generation));
    EXPECT_FALSE(seen_.ready.contains(generation)) << "it was meant to fail";
    return seen_.failures[generation].value_or(Failure{FailureKind::exited, "no failure"});
  }

  fs::path engine_;
  fs::path model_;
  fs::path small_;
};

TEST_F(RealFailure, FilesThatAreNoModel) {
  const auto cut = end_of(argv(write("cut.gguf", first_bytes(small_, 100'000))));
  EXPECT_EQ(cut.kind, FailureKind::bad_model);
  EXPECT_NE(cut.text.find("not within the file bounds"), std::string::npos) << cut.text;
  const auto text = end_of(argv(write("text.gguf", "this is not a model")));
  EXPECT_EQ(text.kind, FailureKind::bad_model);
  EXPECT_NE(text.text.find("invalid magic"), std::string::npos) << text.text;
  const auto missing = end_of(argv(scratch_.path() / "missing.gguf"));
  EXPECT_EQ(missing.kind, FailureKind::bad_model);
  EXPECT_NE(missing.text.find("No such file"), std::string::npos) << missing.text;
}

TEST_F(RealFailure, AnUnknownArchitecture) {
  const std::string head = first_bytes(small_, 4096);
  const auto value = head.find("llama", head.find("general.architecture"));
  ASSERT_NE(value, std::string::npos);
  const fs::path path = scratch_.path() / "frobs.gguf";
  fs::copy_file(small_, path);
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .seekp(static_cast<std::streamoff>(value))
      .write("frobs", 5);
  const auto failure = end_of(argv(path));
  EXPECT_EQ(failure.kind, FailureKind::bad_model);
  EXPECT_NE(failure.text.find("unknown model architecture: 'frobs' (the engine may be too old"),
            std::string::npos)
      << failure.text;
}

TEST_F(RealFailure, ABadFlag) {
  auto unknown = argv(model_);
  unknown.emplace_back("--frobnicate");
  EXPECT_EQ(end_of(unknown).kind, FailureKind::bad_setup);
  auto value = argv(model_);
  value.insert(value.end(), {"--batch-size", "many"});
  const auto failure = end_of(value);
  EXPECT_EQ(failure.kind, FailureKind::bad_setup);
  EXPECT_NE(failure.text.find("--batch-size"), std::string::npos) << failure.text;
}

// The programs find their libraries beside themselves, so one without them finds none.
TEST_F(RealFailure, AMissingLibrary) {
  const fs::path alone = scratch_.path() / "llama-server";
  fs::copy_file(engine_ / "llama-server", alone);
  auto words = argv(model_);
  words[0] = alone;
  const auto failure = end_of(words);
  EXPECT_EQ(failure.kind, FailureKind::bad_setup);
  EXPECT_NE(failure.text.find("error while loading shared libraries: lib"), std::string::npos)
      << failure.text;
}

// A library that is there and is none: what a broken download of an engine looks like.
TEST_F(RealFailure, ABrokenLibrary) {
  write("libllama-server-impl.so", "this is no library");
  const auto failure = end_of(argv(model_), {"LD_LIBRARY_PATH=" + scratch_.path().string()});
  EXPECT_EQ(failure.kind, FailureKind::bad_setup) << failure.text;
}

TEST_F(RealFailure, AnAddressSpaceThatIsTooSmall) {
  // Enough for the program and its libraries (115 MB), not for the file as well.
  const auto room = 100'000'000 + fs::file_size(model_) / 2;
  auto words = argv(model_);
  words.insert(words.begin(), {"/usr/bin/prlimit", "--as=" + std::to_string(room)});
  // A second arena would reserve 64 MiB, and whether a thread asks for one is a matter of chance.
  const auto failure = end_of(words, {"MALLOC_ARENA_MAX=1"});
  EXPECT_EQ(failure.kind, FailureKind::out_of_memory) << failure.text;
  EXPECT_NE(failure.text.find("Cannot allocate memory"), std::string::npos) << failure.text;
}

TEST_F(RealFailure, AGoodModelHasNoFailure) {
  auto words = argv(model_);
  const Generation generation{++last_};
  const auto socket = folder_->socket_path(kModel, generation);
  words.insert(words.end(), {"--host", socket->string()});
  supervisor_->start(ServerSpec{.generation = generation,
                                .model = kModel,
                                .model_name = "real",
                                .argv = words,
                                .env = {"PATH=/usr/bin:/bin"},
                                .endpoint = net::unix_address(*socket)});
  ASSERT_TRUE(run_until([&] { return seen_.ready.contains(generation); }));
  supervisor_->stop(generation, false);
  ASSERT_TRUE(until_exit(generation));
  EXPECT_FALSE(seen_.failures[generation]);
}

}  // namespace
}  // namespace tonnage
