#include "engine/llama/dry_run_store.h"

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

namespace fs = std::filesystem;

DryRun result(std::int64_t mib) {
  return {.devices = {{"CUDA0", Bytes(mib * kMiB), 20_MiB, 30_MiB}},
          .host = {"Host", 1_MiB, 0_MiB, Bytes(mib * kMiB)}};
}

std::string key_of(const std::string& model, std::uint64_t file,
                   const std::vector<std::string>& env = {}) {
  return dry_run_key(FileId(1), FileId(file), {"--model", model, "--ctx-size", "512"}, env);
}

TEST(DryRunStore, AKeyIsOfContentAndSettingsAndNotOfNames) {
  EXPECT_EQ(key_of("/a.gguf", 7), key_of("/b.gguf", 7));
  EXPECT_NE(key_of("/a.gguf", 7), key_of("/a.gguf", 8));
  EXPECT_NE(key_of("/a.gguf", 7), key_of("/a.gguf", 7, {"CUDA_VISIBLE_DEVICES=GPU-a"}));
  EXPECT_NE(dry_run_key(FileId(1), FileId(7), {"--ctx-size", "512"}, {}),
            dry_run_key(FileId(1), FileId(7), {"--ctx-size", "1024"}, {}));
  EXPECT_NE(dry_run_key(FileId(1), FileId(7), {}, {}), dry_run_key(FileId(2), FileId(7), {}, {}));
}

TEST(DryRunStore, WhatWasKeptIsFoundAfterARestart) {
  DryRunStore store;
  const std::string a = key_of("a", 1);
  store.keep(a, result(100));
  store.keep(key_of("b", 2), {.devices = {}, .host = {"Host", 5_MiB, 6_MiB, 7_MiB}});
  EXPECT_TRUE(store.take_changed());
  EXPECT_FALSE(store.take_changed());
  DryRunStore again;
  ASSERT_TRUE(again.parse(store.text()));
  EXPECT_EQ(again.size(), 2U);
  EXPECT_EQ(again.find(a), result(100));
  EXPECT_FALSE(again.find(key_of("c", 3)));
  EXPECT_FALSE(again.take_changed());
}

TEST(DryRunStore, AFileThatIsDamagedAnywhereIsWorthNothing) {
  DryRunStore store;
  store.keep(key_of("a", 1), result(100));
  store.keep(key_of("b", 2), result(200));
  const std::string good = store.text();
  DryRunStore other;
  EXPECT_TRUE(other.parse(""));
  for (std::size_t cut = 1; cut < good.size(); ++cut) {
    EXPECT_FALSE(other.parse(good.substr(0, cut))) << cut;
    EXPECT_EQ(other.size(), 0U);
  }
  EXPECT_FALSE(other.parse("something else\n" + good));
  EXPECT_FALSE(other.parse(good + "more\n"));
  std::string bad = good;
  bad.replace(bad.find("CUDA0 100"), 9, "CUDA0 1x0");
  EXPECT_FALSE(other.parse(bad));
}

TEST(DryRunStore, TheOnesUnusedForLongestGo) {
  DryRunStore store;
  for (std::uint64_t i = 0; i < DryRunStore::kResultsMax; ++i)
    store.keep(key_of("m", i), result(1));
  EXPECT_TRUE(store.find(key_of("m", 0)));
  store.keep(key_of("m", 1'000'000), result(2));
  EXPECT_EQ(store.size(), DryRunStore::kResultsMax);
  EXPECT_TRUE(store.find(key_of("m", 0)));
  EXPECT_FALSE(store.find(key_of("m", 1)));
  EXPECT_LE(store.text().size(), DryRunStore::kFileBytesMax);
}

TEST(DryRunStore, FilesAreReplacedAsAWhole) {
  std::string name = (fs::temp_directory_path() / "tonnage-store-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  const fs::path file = folder / "state" / "dry-runs";
  EXPECT_EQ(read_store(file).value(), "");
  ASSERT_TRUE(write_store(file, "text\n"));
  EXPECT_EQ(read_store(file).value(), "text\n");
  fs::create_directory(folder / "dry-runs");
  EXPECT_FALSE(read_store(folder / "dry-runs"));
  std::ofstream(folder / "llama-fit-params") << "1";
  std::ofstream(folder / "libllama.so") << "1";
  const FileId before = engine_identity(folder / "llama-fit-params");
  EXPECT_EQ(before, engine_identity(folder / "llama-fit-params"));
  std::ofstream(folder / "libllama.so") << "22";
  EXPECT_NE(before, engine_identity(folder / "llama-fit-params"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace tonnage
