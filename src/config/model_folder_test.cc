#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "config/load.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

class ModelFolder : public testing::Test {
 protected:
  ModelFolder() {
    std::string name = (fs::temp_directory_path() / "tonnage-folder-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~ModelFolder() override { fs::remove_all(root_); }

  void file(const fs::path& path) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << "GGUF";
  }

  std::vector<std::string> ids() {
    std::vector<std::string> out;
    const auto found = models_from_folder(root_);
    if (!found)
      return {found.error().text()};
    for (const FoundModel& model : found->models)
      out.push_back(model.id);
    return out;
  }

  fs::path root_;
};

TEST_F(ModelFolder, EveryModelIsFoundOnceInOrder) {
  file("b.gguf");
  file("a.gguf");
  file("notes.txt");
  file("mmproj-a.gguf");
  file("big-00001-of-00003.gguf");
  file("big-00002-of-00003.gguf");
  file("big-00003-of-00003.gguf");
  file("sub/c.gguf");
  file("publisher/model/d.gguf");
  file("models--publisher--model/snapshots/0123abcd/e.GGUF");
  file("much/too/deep/for/this/f.gguf");
  EXPECT_EQ(ids(), (std::vector<std::string>{"a", "b", "big", "e", "d", "c"}));
  const auto found = models_from_folder(root_);
  EXPECT_EQ(found->models.at(2).gguf, root_ / "big-00001-of-00003.gguf");
}

TEST_F(ModelFolder, OneStemInTwoFoldersIsToldApart) {
  file("x.gguf");
  file("q4/x.gguf");
  file("q8/x.gguf");
  file("one/m/y.gguf");
  file("two/m/y.gguf");
  EXPECT_EQ(ids(), (std::vector<std::string>{"one/m/y", "q4/x", "q8/x", "two/m/y", "x"}));
}

TEST_F(ModelFolder, HiddenFilesAndProjectorsAreNoModels) {
  file("a.gguf");
  file("._a.gguf");
  file(".Trash-1000/files/old.gguf");
  file("model-mmproj-F16.gguf");
  file("mmproj-model.gguf");
  EXPECT_EQ(ids(), std::vector<std::string>{"a"});
}

TEST_F(ModelFolder, EveryNameGetsAnIdThatWorks) {
  file("model (1).gguf");
  file("model-1.gguf");
  file("resident.gguf");
  file("\xe6\xa8\xa1\xe5\x9e\x8b.gguf");
  file("(((.gguf");
  const auto found = models_from_folder(root_);
  ASSERT_TRUE(found);
  const auto names = ids();
  ASSERT_EQ(names.size(), 5U);
  EXPECT_TRUE(std::ranges::count(names, "model-1") == 1 && names[1] == "model-1-2") << names[1];
  EXPECT_EQ(std::ranges::count(names, "resident-model"), 1);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 5U);
  EXPECT_EQ(found->notes.size(), 4U);
  ConfigInputs inputs;
  inputs.found_models = found->models;
  inputs.found_notes = found->notes;
  const auto config = parse_config(inputs);
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->warnings.size(), 4U);
  EXPECT_EQ(ids(), names) << "the same at each start";
}

TEST_F(ModelFolder, WhatIsNoModelIsSaidAndNotServed) {
  file("a.gguf");
  fs::create_symlink("nowhere", root_ / "broken.gguf");
  fs::create_directory(root_ / "folder.gguf");
  const auto found = models_from_folder(root_);
  ASSERT_TRUE(found);
  EXPECT_EQ(ids(), std::vector<std::string>{"a"});
  ASSERT_EQ(found->notes.size(), 2U);
  EXPECT_NE(found->notes[0].find("broken.gguf is not served: it is a link to a file that does not"),
            std::string::npos);
  EXPECT_NE(found->notes[1].find("folder.gguf is not served: it is a directory"),
            std::string::npos);
}

TEST_F(ModelFolder, NothingFoundSaysWhatToDo) {
  EXPECT_EQ(ids(), (std::vector<std::string>{root_.string() +
                                             ": no .gguf file in it or its sub-folders; put models "
                                             "there, or try 'tonnage serve --demo'\n"}));
  file("a.gguf");
  const auto a_file = models_from_folder(root_ / "a.gguf");
  ASSERT_FALSE(a_file);
  EXPECT_NE(a_file.error().text().find("it is not a folder"), std::string::npos);
  const auto missing = models_from_folder(root_ / "none");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("there is no such folder"), std::string::npos);
}

}  // namespace
}  // namespace tonnage
