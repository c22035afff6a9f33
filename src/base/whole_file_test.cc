#include "base/whole_file.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

std::string read(const std::filesystem::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(WriteWholeFile, makes_the_folder_and_replaces_what_was_there) {
  std::string pattern = testing::TempDir() + "whole-file-XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  const auto file = folder / "a" / "b";
  ASSERT_TRUE(write_whole_file(file, "first, and longer"));
  ASSERT_TRUE(write_whole_file(file, "second"));
  EXPECT_EQ(read(file), "second");
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".new"));
  const auto below_a_file = write_whole_file(file / "c", "x");
  ASSERT_FALSE(below_a_file);
  EXPECT_NE(below_a_file.error().text().find(file.string()), std::string::npos);
  EXPECT_EQ(read(file), "second");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace tonnage
