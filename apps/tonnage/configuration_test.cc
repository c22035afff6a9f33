#include "tonnage/configuration.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

namespace fs = std::filesystem;

class Configuration : public testing::Test {
 protected:
  Configuration() {
    std::string name = (fs::temp_directory_path() / "tonnage-app-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    process_.environment["HOME"] = root_.string();
    process_.working_folder = root_;
    process_.uid = 1000;
  }
  ~Configuration() override { fs::remove_all(root_); }

  fs::path file(const fs::path& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
    return root_ / path;
  }

  CommandError error_of(const ConfigurationFlags& flags) {
    const auto config = load_configuration(flags, process_);
    return config ? CommandError{ExitCode::ok, ""} : config.error();
  }

  fs::path root_;
  ConfigInputs process_;
};

TEST_F(Configuration, AFolderAndABudgetAreEnough) {
  file("models/a.gguf", "x");
  const auto config = load_configuration(
      {.models = (root_ / "models").string(), .budget = "6GiB", .context = "512", .slots = "1"},
      process_);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->policy.pools[0].limit, 6_GiB);
  EXPECT_EQ(config->models[0].configured.context, 512);
  EXPECT_EQ(config->policy.models[0].in_flight_max, 1);
  EXPECT_EQ(config->file, "");
}

TEST_F(Configuration, TheUsualFileIsReadUnlessAFolderIsNamed) {
  const fs::path usual = file(".config/tonnage/tonnage.yaml", "models: {a: {gguf: a}}");
  file("models/b.gguf", "x");
  auto config = load_configuration({}, process_);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->file, usual);
  config = load_configuration({.models = (root_ / "models").string()}, process_);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->policy.models[0].id, "b");
  EXPECT_EQ(config->policy.models.size(), 1U);
}

TEST_F(Configuration, MistakesAreWrongUsage) {
  EXPECT_EQ(error_of({}).code, ExitCode::usage);
  EXPECT_NE(error_of({}).text.find("--models DIR"), std::string::npos);
  EXPECT_NE(error_of({.config = "/nonexistent"}).text.find("there is no such configuration file"),
            std::string::npos);
  EXPECT_NE(error_of({.models = "/nonexistent"}).text.find("there is no such folder"),
            std::string::npos);
  EXPECT_NE(error_of({.demo = true}).text.find("tonnage-demo-models"), std::string::npos);
  file("models/b.gguf", "x");
  const CommandError budget = error_of({.models = (root_ / "models").string(), .budget = "6"});
  EXPECT_EQ(budget.code, ExitCode::usage);
  EXPECT_NE(budget.text.find("flag --budget: "), std::string::npos) << budget.text;
}

TEST_F(Configuration, TheDemoHasAFolderAndABudgetOfItsOwn) {
  file(".cache/tonnage/demo-models/demo-small.gguf", "x");
  auto config = load_configuration({.demo = true}, process_);
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->policy.models[0].id, "demo-small");
  EXPECT_EQ(config->policy.pools[0].limit, *parse_bytes(kDemoBudget));
  config = load_configuration({.budget = "1GiB", .demo = true}, process_);
  EXPECT_EQ(config->policy.pools[0].limit, 1_GiB);
}

TEST_F(Configuration, FlagsOfTheEngineThatBelongToTonnageAreFound) {
  const fs::path yaml =
      file("v.yaml", "models: {a: {gguf: a, args: [--flash-attn, on, --ctx-size, 5]}}");
  const auto config = load_configuration({.config = yaml.string()}, process_);
  ASSERT_TRUE(config);
  const auto errors = governed_args(*config);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_TRUE(errors[0].starts_with("models.a.args: '--ctx-size' cannot be passed: ")) << errors[0];
  const auto unusable = unusable_models(*config);
  ASSERT_EQ(unusable.size(), 1U);
  EXPECT_TRUE(unusable[0].starts_with("models.a: ")) << unusable[0];
}

}  // namespace
}  // namespace tonnage
