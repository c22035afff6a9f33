#include "config/value.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(Value, AReserveIsAPercentageASizeOrTheSmaller) {
  EXPECT_EQ(parse_reserve("10%"), (Reserve{.permille = 100, .size = {}}));
  EXPECT_EQ(parse_reserve("12.5%"), (Reserve{.permille = 125, .size = {}}));
  EXPECT_EQ(parse_reserve("1GiB"), (Reserve{.permille = {}, .size = 1_GiB}));
  EXPECT_EQ(parse_reserve("0"), (Reserve{.permille = {}, .size = 0_B}));
  EXPECT_EQ(parse_reserve("min(20%, 8GiB)"), (Reserve{.permille = 200, .size = 8_GiB}));
  EXPECT_EQ(parse_reserve(" min( 8 GiB ,20 % ) "), (Reserve{.permille = 200, .size = 8_GiB}));
  for (const char* bad : {"", "20", "min(20%)", "min(20%, 30%)", "min(1GiB, 2GiB)", "min(20%, 8GiB",
                          "max(20%, 8GiB)", "101%", "100%", "-5%", "min(,)", "min()", "min("}) {
    EXPECT_FALSE(parse_reserve(bad)) << bad;
  }
}

TEST(Value, AFractionIsNotAPercentage) {
  EXPECT_EQ(parse_fraction("0.20"), 200);
  EXPECT_EQ(parse_fraction("1"), 1000);
  EXPECT_EQ(parse_fraction("20%"), 200);
  EXPECT_FALSE(parse_fraction("20"));
  EXPECT_FALSE(parse_percent("0.2"));
  EXPECT_EQ(parse_percent("0.2%"), 2);
}

TEST(Value, AListenAddressHasAHostAndAPort) {
  EXPECT_EQ(parse_listen("127.0.0.1:8726"), (Listen{"127.0.0.1", 8726}));
  EXPECT_EQ(parse_listen("[::1]:0"), (Listen{"::1", 0}));
  EXPECT_EQ(parse_listen("localhost:1"), (Listen{"localhost", 1}));
  EXPECT_EQ(parse_listen("box.lan:8726"), (Listen{"box.lan", 8726}));
  for (const char* bad :
       {"", ":", ":80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:-1", "1.2.3:1", "1.2.3.4:80 ",
        "[::1:80", "::1:80", "[1.2.3.4]:1", "[]:1", "a b:1"}) {
    EXPECT_FALSE(parse_listen(bad)) << bad;
  }
  EXPECT_EQ(to_text(Listen{"::1", 5}), "[::1]:5");
  EXPECT_EQ(to_text(Listen{"127.0.0.1", 5}), "127.0.0.1:5");
  EXPECT_EQ(to_text(std::vector<Listen>{{"::1", 5}, {"a", 6}}), "[::1]:5, a:6");
}

TEST(Value, PathsBecomeAbsolute) {
  const PathBase base{.home = "/ada", .folder = "/etc/tonnage"};
  EXPECT_EQ(parse_path("~/m.gguf", base), "/ada/m.gguf");
  EXPECT_EQ(parse_path("~", base), "/ada/");
  EXPECT_EQ(parse_path("../m.gguf", base), "/etc/m.gguf");
  EXPECT_EQ(parse_path("/a/./b", base), "/a/b");
  EXPECT_FALSE(parse_path("~/m.gguf", {}));
  EXPECT_FALSE(parse_path("m.gguf", {}));
  EXPECT_FALSE(parse_path("~bob/m.gguf", base));
  EXPECT_FALSE(parse_path("", base));
}

}  // namespace
}  // namespace tonnage
