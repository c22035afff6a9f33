#include "engine/llama/llama_offer.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "process/loop_fixture.h"

namespace tonnage {
namespace {

bool contains(const auto& all, std::string_view flag) {
  return std::ranges::find(all, flag) != all.end();
}

std::string help_of(std::span<const std::string_view> flags) {
  std::string text = "usage\n";
  for (const std::string_view flag : flags)
    text += "-x,   " + std::string(flag) + " N     words\n";
  return text;
}

TEST(MissingFlags, AreThoseThatTheHelpDoesNotName) {
  EXPECT_TRUE(missing_flags(help_of(needed_flags())).empty());
  const std::vector<std::string_view> old{"--model", "--fit-target", "--threads-http"};
  const auto missing = missing_flags(help_of(old));
  EXPECT_EQ(missing.size(), needed_flags().size() - 2);
  EXPECT_TRUE(contains(missing, "--fit")) << "--fit-target is another one";
  EXPECT_TRUE(contains(missing, "--threads"));
}

TEST(MissingFlags, NothingFollowsFromWhatIsNoHelp) {
  EXPECT_TRUE(missing_flags("").empty());
  EXPECT_TRUE(missing_flags("this is a wrapper").empty());
}

// Whatever servers are started with has to be asked for.
TEST(MissingFlags, EveryFlagOfAServerIsNeeded) {
  LlamaModel model{.id = ModelId{0}, .name = "m", .gguf = "/m.gguf", .threads = 2};
  for (const ModelType type : {ModelType::llm, ModelType::embedding, ModelType::reranker}) {
    model.type = type;
    const std::vector<std::string> ids = {"GPU-a", "GPU-b"};
    const std::vector<Bytes> shares = {1_GiB, 1_GiB};
    const auto spec =
        llama_server_spec({.server = "/e/llama-server", .fit_params = std::nullopt}, model,
                          {.gpu_layers = 3, .context = 512, .kv = KvType::q8_0},
                          visible_gpus(GpuChoice::by_uuid, ids, shares), Generation{1}, "/s", {});
    for (const std::string& word : spec.argv) {
      if (word.starts_with("--")) {
        EXPECT_TRUE(contains(needed_flags(), word)) << word;
      }
    }
  }
}

class ChooseLlama : public LoopFixture {
 protected:
  std::filesystem::path add(const std::string& folder) {
    const auto path = scratch_.path() / folder;
    std::filesystem::create_directories(path);
    std::ofstream(path / "llama-server") << "#!/bin/sh\n";
    ::chmod((path / "llama-server").c_str(), 0755);
    return path;
  }
  Result<LlamaChoice> choose() {
    return choose_llama(search_, [this](const std::filesystem::path& server) {
      const auto found = helps_.find(server.parent_path().filename().string());
      return found == helps_.end() ? Result<std::string>(fail("does not run")) : found->second;
    });
  }

  LlamaSearch search_;
  std::map<std::string, Result<std::string>> helps_{{"new", help_of(needed_flags())},
                                                    {"old", help_of(needed_flags().first(5))}};
};

TEST_F(ChooseLlama, TheOneOnPathWinsWhereItIsOfUse) {
  search_.path_variable = add("new").string();
  search_.cached = add("cache");
  const auto choice = choose();
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->programs.server, scratch_.path() / "new/llama-server");
  EXPECT_TRUE(choice->notes.empty());
}

TEST_F(ChooseLlama, AnOldOneOnPathIsPassedOverForTheBuiltOne) {
  search_.path_variable = add("old").string();
  search_.cached = add("cache");
  const auto choice = choose();
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->programs.server, scratch_.path() / "cache/llama-server");
  EXPECT_TRUE(choice->missing.empty());
  ASSERT_EQ(choice->notes.size(), 1U);
  EXPECT_NE(choice->notes[0].find("passed over"), std::string::npos) << choice->notes[0];
}

TEST_F(ChooseLlama, SoIsOneThatDoesNotRun) {
  search_.path_variable = add("broken").string();
  search_.cached = add("cache");
  const auto choice = choose();
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->programs.server, scratch_.path() / "cache/llama-server");
}

TEST_F(ChooseLlama, WithoutAnotherItIsTakenAndSaidWhatIsMissing) {
  search_.path_variable = add("old").string();
  search_.cached = scratch_.path() / "nothing";
  const auto choice = choose();
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->missing.size(), needed_flags().size() - 5);
  ASSERT_EQ(choice->notes.size(), 1U);
  EXPECT_NE(choice->notes[0].find("--batch-size"), std::string::npos) << choice->notes[0];
}

TEST_F(ChooseLlama, TheConfiguredOneIsNeverReplaced) {
  search_.configured = add("old");
  search_.cached = add("new");
  const auto choice = choose();
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->programs.server, scratch_.path() / "old/llama-server");
  EXPECT_FALSE(choice->missing.empty());
}

}  // namespace
}  // namespace tonnage
