#include "tonnage/terminal.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr Terminal kNoColours{};
constexpr Terminal kFull{.colour = true, .unicode = true, .width = 80};

TEST(Terminal, TablesAreAlignedWithoutTrailingSpace) {
  Table table(kNoColours);
  table.column("NAME");
  table.column("SIZE", Align::right);
  table.column("");
  table.row({{"a"}, {"1 GiB"}, {"pinned"}});
  table.row({{"longer"}, {"10 GiB"}});
  EXPECT_EQ(table.text(),
            "NAME      SIZE\n"
            "a        1 GiB  pinned\n"
            "longer  10 GiB\n");
}

TEST(Terminal, ColoursDoNotDisturbTheAlignment) {
  const auto text_of = [](const Terminal& terminal) {
    Table table(terminal);
    table.column("A");
    table.column("B");
    table.row({{"x", Colour::green}, {"y"}});
    return table.text();
  };
  EXPECT_EQ(text_of(kNoColours), "A  B\nx  y\n");
  EXPECT_EQ(text_of(kFull), "\x1b[2mA\x1b[0m  \x1b[2mB\x1b[0m\n\x1b[32mx\x1b[0m  y\n");
}

TEST(Terminal, ABarShowsEverySmallShareAndNeverOverflows) {
  EXPECT_EQ(bar(kNoColours, {{5_GiB}, {1_GiB, Colour::dim, '+'}}, 10_GiB, 10), "[#####+....]");
  EXPECT_EQ(bar(kNoColours, {{1_B}}, 10_GiB, 10), "[#.........]");
  EXPECT_EQ(bar(kNoColours, {{20_GiB}, {20_GiB, Colour::dim, '+'}}, 10_GiB, 10), "[##########]");
  EXPECT_EQ(bar(kNoColours, {{0_B}}, 0_B, 4), "[....]");
  EXPECT_EQ(bar({.colour = false, .unicode = true}, {{1_GiB}}, 2_GiB, 4), "[██░░]");
}

TEST(Terminal, SizesAndSpansReadWell) {
  EXPECT_EQ(size_text(0_B), "0 MiB");
  EXPECT_EQ(size_text(518_MiB), "518 MiB");
  EXPECT_EQ(size_text(1_GiB), "1.00 GiB");
  EXPECT_EQ(size_text(Bytes(-2 * kGiB)), "-2.00 GiB");
  EXPECT_EQ(span_text(-3s), "0s");
  EXPECT_EQ(span_text(59s), "59s");
  EXPECT_EQ(span_text(200s), "3m 20s");
  EXPECT_EQ(span_text(2h), "2h");
  EXPECT_EQ(span_text(49h), "2d 1h");
}

TEST(Terminal, TextIsFoldedAtSpaces) {
  EXPECT_EQ(folded("aaaa bbbb cccc dddd eeee ffff", 26, 2), "aaaa bbbb cccc dddd eeee\n  ffff");
  EXPECT_EQ(folded("a\n\nb", 80, 0), "a b");
  EXPECT_EQ(folded("", 80, 4), "");
  const std::string word(100, 'x');
  EXPECT_EQ(folded(word, 40, 4), word);
}

TEST(Terminal, NamesAreCutBetweenCharacters) {
  EXPECT_EQ(clipped("short", 10), "short");
  EXPECT_EQ(clipped("0123456789a", 10), "01234567..");
  EXPECT_EQ(clipped("éééééé", 5), "ééé..");
}

}  // namespace
}  // namespace tonnage
