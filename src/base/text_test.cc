#include "base/text.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(Text, OnlyAsciiLettersAreLowered) {
  EXPECT_EQ(to_lower("GPU-0A@[`{"), "gpu-0a@[`{");
  EXPECT_EQ(to_lower("\xC3\x84Z"), "\xC3\x84z");
  EXPECT_EQ(to_lower(""), "");
}

TEST(Text, BlanksGoAtBothEndsAndStayInside) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim("a\r"), "a\r");
  EXPECT_EQ(trim("\r\n a\n", " \r\n"), "a");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(trim(""), "");
}

}  // namespace
}  // namespace tonnage
