#include "base/web_origin.h"

#include <gtest/gtest.h>

#include "base/prng.h"

namespace tonnage {
namespace {

bool fits(std::string_view pattern, std::string_view origin) {
  const auto parsed = OriginPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->fits(origin);
}

TEST(WebOrigin, IsSchemeHostAndPort) {
  const auto origin = read_origin("HTTPS://Chat.Example.org:8443");
  ASSERT_TRUE(origin);
  EXPECT_EQ(origin->scheme, "https");
  EXPECT_EQ(origin->host, "chat.example.org");
  EXPECT_EQ(origin->port, "8443");
  EXPECT_EQ(read_origin("http://[::1]:80")->host, "::1");
  EXPECT_EQ(read_origin("file://")->host, "");
  for (const char* none : {"", "null", "localhost", "http:/x", "http://a/b", "http://a@b",
                           "http://a:b", "http://a:123456", "://a", "1x://a", "http://[::1"})
    EXPECT_FALSE(read_origin(none)) << none;
}

TEST(WebOrigin, APatternIsExactUnlessItHasAStar) {
  EXPECT_TRUE(fits("app://obsidian.md", "app://obsidian.md"));
  EXPECT_TRUE(fits("tauri://localhost", "tauri://localhost"));
  EXPECT_TRUE(fits("Chrome-Extension://ABC", "chrome-extension://abc"));
  EXPECT_FALSE(fits("app://obsidian.md", "app://obsidian.md.evil"));
  EXPECT_FALSE(fits("app://obsidian.md", "http://obsidian.md"));
  EXPECT_FALSE(fits("chrome-extension://abc", "chrome-extension://abcd"));
  EXPECT_TRUE(fits("file://", "file://"));
}

TEST(WebOrigin, AStarStandsForAHostADomainsHostsOrAPort) {
  EXPECT_TRUE(fits("vscode-webview://*", "vscode-webview://1k2j3h"));
  EXPECT_FALSE(fits("vscode-webview://*", "vscode-web://1k2j3h"));
  EXPECT_TRUE(fits("https://*.example.org", "https://a.example.org"));
  EXPECT_TRUE(fits("https://*.example.org", "https://a.b.example.org"));
  EXPECT_FALSE(fits("https://*.example.org", "https://example.org"));
  EXPECT_FALSE(fits("https://*.example.org", "https://evilexample.org"));
  EXPECT_FALSE(fits("https://*.example.org", "https://a.example.org.evil.com"));
  EXPECT_FALSE(fits("https://*.example.org", "http://a.example.org"));
  EXPECT_TRUE(fits("http://box.lan:*", "http://box.lan:5173"));
  EXPECT_TRUE(fits("http://box.lan:*", "http://box.lan"));
}

TEST(WebOrigin, WithoutAPortTheUsualOneIsMeant) {
  EXPECT_TRUE(fits("https://a.org", "https://a.org"));
  EXPECT_TRUE(fits("https://a.org:443", "https://a.org"));
  EXPECT_FALSE(fits("https://a.org", "https://a.org:8443"));
  EXPECT_TRUE(fits("https://a.org:8443", "https://a.org:8443"));
}

TEST(WebOrigin, EveryPageAndPagesWithoutAnOriginAreTwoThings) {
  EXPECT_TRUE(fits("*", "https://anybody.example"));
  EXPECT_FALSE(fits("*", "null"));
  EXPECT_TRUE(fits("null", "null"));
  EXPECT_FALSE(fits("null", "https://anybody.example"));
}

TEST(WebOrigin, SaysWhatIsWrongWithAPattern) {
  const auto why = [](std::string_view text) { return OriginPattern::parse(text).error().text(); };
  EXPECT_NE(why("obsidian.md").find("the scheme is missing"), std::string::npos);
  EXPECT_NE(why("https://a.org/").find("no path"), std::string::npos);
  EXPECT_NE(why("https://a*b.org").find("'*' stands for"), std::string::npos);
  EXPECT_NE(why("https://").find("the host is missing"), std::string::npos);
}

TEST(WebOrigin, SurvivesAnyBytes) {
  Prng random(3);
  const auto pattern = OriginPattern::parse("https://*.example.org:*");
  for (int round = 0; round < 20'000; ++round) {
    std::string text = "https://a.example.org:81";
    for (int edit = 0; edit < 3; ++edit)
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    text.resize(random.below(text.size() + 1));
    (void)pattern->fits(text);
    (void)OriginPattern::parse(text);
  }
}

}  // namespace
}  // namespace tonnage
