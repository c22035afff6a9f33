#include <cstdlib>
#include <filesystem>
#include <fstream>

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
    for (const FoundModel& model : *found)
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
  file("sub/deeper/d.gguf");
  EXPECT_EQ(ids(), (std::vector<std::string>{"a", "b", "big", "c"}));
  const auto found = models_from_folder(root_);
  EXPECT_EQ(found->at(2).gguf, root_ / "big-00001-of-00003.gguf");
}

TEST_F(ModelFolder, OneStemInTwoFoldersIsToldApart) {
  file("x.gguf");
  file("q4/x.gguf");
  file("q8/x.gguf");
  EXPECT_EQ(ids(), (std::vector<std::string>{"q4/x", "q8/x", "x"}));
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
