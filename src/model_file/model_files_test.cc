#include "model_file/model_files.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

namespace fs = std::filesystem;

class ModelFilesTest : public testing::Test {
 protected:
  ModelFilesTest() {
    std::string name = (fs::temp_directory_path() / "tonnage-files-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~ModelFilesTest() override { fs::remove_all(root_); }

  std::string file(const std::string& name, const std::string& text = "GGUF") {
    std::ofstream(root_ / name) << text;
    return (root_ / name).string();
  }
  std::string at(const std::string& name) const { return (root_ / name).string(); }

  static FileId identity(const std::vector<NamedFile>& named) {
    const auto files = read_model_files(named);
    return files ? files->identity() : FileId{};
  }
  static std::string why(const std::vector<NamedFile>& named) {
    const auto files = read_model_files(named);
    return files ? "nothing is wrong" : files.error().text();
  }

  fs::path root_;
};

TEST_F(ModelFilesTest, AnExchangedFileOfAnyRoleIsAnotherIdentity) {
  const std::vector<NamedFile> named = {{FileRole::model, file("a.gguf"), "gguf"},
                                        {FileRole::draft, file("d.gguf"), "draft"},
                                        {FileRole::adapter, file("l.gguf"), "lora"}};
  const FileId before = identity(named);
  EXPECT_EQ(before, identity(named));
  for (const NamedFile& one : named) {
    const FileId earlier = identity(named);
    file("new", "other");
    fs::rename(at("new"), one.path);
    EXPECT_NE(identity(named), earlier) << to_text(one.role);
  }
  EXPECT_NE(identity({named[0]}), identity(named));
}

TEST_F(ModelFilesTest, EachPartOfASplitModelCounts) {
  const std::vector<NamedFile> named = {{FileRole::model, file("m-00001-of-00003.gguf"), "gguf"}};
  file("m-00002-of-00003.gguf");
  EXPECT_NE(why(named).find("m-00003-of-00003.gguf"), std::string::npos);
  file("m-00003-of-00003.gguf");
  const auto files = read_model_files(named);
  ASSERT_TRUE(files);
  EXPECT_EQ(files->files.size(), 3U);
  const FileId before = files->identity();
  file("m-00003-of-00003.gguf", "mended");
  EXPECT_NE(identity(named), before);
}

TEST_F(ModelFilesTest, WhatCannotBeUsedIsNamedWithWhoNamedIt) {
  EXPECT_EQ(why({{FileRole::adapter, at("gone.gguf"), "args: --lora"}}),
            "cannot read model file " + at("gone.gguf") +
                ": there is no such file (named by `args: --lora`)");
  fs::create_directory(at("folder.gguf"));
  EXPECT_NE(why({{FileRole::draft, at("folder.gguf"), "draft"}}).find("it is a directory"),
            std::string::npos);
  fs::create_symlink("nowhere", at("link.gguf"));
  EXPECT_NE(
      why({{FileRole::draft, at("link.gguf"), "draft"}}).find("a link to a file that does not"),
      std::string::npos);
  ASSERT_EQ(::mkfifo(at("pipe.gguf").c_str(), 0600), 0);
  EXPECT_NE(why({{FileRole::draft, at("pipe.gguf"), "draft"}}).find("not a regular file"),
            std::string::npos);
}

TEST(PartsOf, AFirstPartNamesTheOthers) {
  EXPECT_EQ(parts_of("/m/a.gguf"), std::vector<std::string>{"/m/a.gguf"});
  EXPECT_EQ(parts_of("/m/a-00001-of-00003.gguf"),
            (std::vector<std::string>{"/m/a-00001-of-00003.gguf", "/m/a-00002-of-00003.gguf",
                                      "/m/a-00003-of-00003.gguf"}));
  EXPECT_EQ(parts_of("/m/a-00001-of-99999.gguf").size(), 1U);
  EXPECT_EQ(parts_of("/m/a-00001-of-3.gguf").size(), 1U);
}

}  // namespace
}  // namespace tonnage
