#include "probe/proc_file.h"

#include <gtest/gtest.h>

#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

TEST(ProcFile, ReadsAFileLongerThanOneBuffer) {
  FixtureTree tree;
  const std::string text(10'000, 'x');
  tree.file("/proc/a", text);
  EXPECT_EQ(read_proc_file(tree.path("/proc/a")), text);
}

TEST(ProcFile, SaysWhatIsMissing) {
  const auto missing = read_proc_file("/nonexistent/file");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().object, "/nonexistent/file");
  EXPECT_EQ(missing.error().why, "No such file or directory");
}

TEST(ProcFile, RefusesAFolderAndAFileBeyondItsBound) {
  FixtureTree tree;
  tree.file("/proc/a", std::string(101, 'x'));
  EXPECT_FALSE(read_proc_file(tree.path("/proc")));
  EXPECT_FALSE(read_proc_file(tree.path("/proc/a"), 100));
  EXPECT_TRUE(read_proc_file(tree.path("/proc/a"), 101));
}

TEST(ProcFile, JoinsPathsUnderARoot) {
  EXPECT_EQ(under_root("/", "/proc/meminfo"), "/proc/meminfo");
  EXPECT_EQ(under_root("", "/proc"), "/proc");
  EXPECT_EQ(under_root("/fixture/", "/proc"), "/fixture/proc");
  EXPECT_EQ(under_root("/fixture", "/"), "/fixture");
  EXPECT_EQ(under_root("/", "/"), "/");
}

TEST(ProcFile, CountsMustFillTheTextAndFit) {
  EXPECT_EQ(parse_count(" 42\n"), 42);
  EXPECT_EQ(parse_count("-1"), -1);
  EXPECT_EQ(parse_count("9223372036854775807"), 9223372036854775807);
  EXPECT_EQ(parse_count("9223372036854775808"), std::nullopt);
  EXPECT_EQ(parse_count("12 34"), std::nullopt);
  EXPECT_EQ(parse_count("0x10"), std::nullopt);
  EXPECT_EQ(parse_count(""), std::nullopt);
}

TEST(ProcFile, KibNeedTheirUnitAndMustFit) {
  EXPECT_EQ(parse_kib("  16384 kB"), 16_MiB);
  EXPECT_EQ(parse_kib("16384"), std::nullopt);
  EXPECT_EQ(parse_kib("-4 kB"), std::nullopt);
  EXPECT_EQ(parse_kib("9007199254740991 kB")->count, 9007199254740991 * 1024);
  EXPECT_EQ(parse_kib("9007199254740992 kB"), std::nullopt);
}

TEST(ProcFile, SplitsLinesAndWords) {
  std::string_view text = "a b\n\n c";
  std::string_view line;
  ASSERT_TRUE(next_line(text, line));
  EXPECT_EQ(next_word(line), "a");
  EXPECT_EQ(next_word(line), "b");
  EXPECT_EQ(next_word(line), "");
  ASSERT_TRUE(next_line(text, line));
  EXPECT_EQ(line, "");
  ASSERT_TRUE(next_line(text, line));
  EXPECT_EQ(next_word(line), "c");
  EXPECT_FALSE(next_line(text, line));
}

}  // namespace
}  // namespace tonnage
