#include "api/site.h"

#include <gtest/gtest.h>

#include "base/prng.h"

namespace tonnage::api {
namespace {

const SiteRules kSite{{"127.0.0.1", "box.lan"}, {"host.docker.internal", "*.home.arpa"}, {}};

SiteRules allowing(std::initializer_list<std::string_view> origins) {
  SiteRules rules = kSite;
  for (const std::string_view origin : origins)
    rules.allowed_origins.push_back(*OriginPattern::parse(origin));
  return rules;
}

// "ok", or the error's code.
std::string site(const SiteFacts& facts, Effect effect = Effect::change,
                 const SiteRules& site_rules = kSite) {
  const auto error = check_site(site_rules, facts, effect);
  return error ? error->code : "ok";
}

TEST(Site, AnswersToItsOwnNamesOnly) {
  for (const char* host : {"", "localhost", "LocalHost:8726", "localhost.:1", "127.0.0.1:8726",
                           "127.8.8.8", "[::1]:8726", "[::1]", "ui.localhost:80", "box.lan:8726",
                           "host.docker.internal:8726", "a.home.arpa"}) {
    EXPECT_EQ(site({.host = host}), "ok") << host;
  }
  for (const char* host :
       {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "home.arpa",
        "xhome.arpa", "192.168.1.5:8726", "[::2]", "a@localhost", "localhost/x", "[::1", "127.0.0",
        "127.0.0.256", "127.evil", "[::1]x", ":80"}) {
    EXPECT_EQ(site({.host = host}), "host_not_allowed") << host;
  }
}

TEST(Site, ListeningOnAllAddressesAllowsAddressesButNoNames) {
  const SiteRules all{{"0.0.0.0"}, {}, {}};
  EXPECT_EQ(site({.host = "192.168.1.5:8726"}, Effect::change, all), "ok");
  EXPECT_EQ(site({.host = "[fe80::1]:8726"}, Effect::change, all), "ok");
  EXPECT_EQ(site({.host = "rebound.example:8726"}, Effect::change, all), "host_not_allowed");
}

TEST(Site, OriginsMustBeOurOwnOrAllowed) {
  const auto origin = [](std::string_view text, Effect effect = Effect::change) {
    return site({.host = "box.lan:8726", .origin = text}, effect);
  };
  EXPECT_EQ(origin(""), "ok");
  EXPECT_EQ(origin("http://box.lan:8726"), "ok");
  EXPECT_EQ(origin("http://localhost:3000"), "ok");
  EXPECT_EQ(origin("https://chat.home.arpa"), "ok");
  EXPECT_EQ(origin("https://evil.example"), "origin_not_allowed");
  EXPECT_EQ(origin("https://evil.example", Effect::read), "origin_not_allowed");
  EXPECT_EQ(origin("http://localhost.evil.example"), "origin_not_allowed");
  EXPECT_EQ(origin("http://localhost@evil.example"), "origin_not_allowed");
  EXPECT_EQ(origin("chrome-extension://abc"), "origin_not_allowed");
  EXPECT_EQ(origin("localhost"), "origin_not_allowed");
}

TEST(Site, APageWithoutAnOriginReadsOnlyWhatAKeyGuards) {
  const auto null = [](Effect effect, const SiteRules& rules) {
    return site({.host = "localhost", .origin = "null", .sec_fetch_site = "cross-site"}, effect,
                rules);
  };
  SiteRules keyed = kSite;
  keyed.keys = true;
  EXPECT_EQ(null(Effect::open, kSite), "ok");
  EXPECT_EQ(null(Effect::read, kSite), "origin_not_allowed");
  EXPECT_EQ(null(Effect::read, keyed), "ok");
  EXPECT_EQ(null(Effect::change, keyed), "origin_not_allowed");
  EXPECT_EQ(null(Effect::change, allowing({"null"})), "ok");
  EXPECT_EQ(null(Effect::change, allowing({"*"})), "origin_not_allowed");
}

TEST(Site, PagesExtensionsAndWebviewsAreAllowedByTheirOrigin) {
  const SiteRules rules = allowing({"app://obsidian.md", "chrome-extension://*"});
  const auto origin = [&](std::string_view text, const SiteRules& of) {
    return site({.host = "localhost:8726", .origin = text, .sec_fetch_site = "cross-site"},
                Effect::change, of);
  };
  for (const char* text : {"app://obsidian.md", "chrome-extension://abc"}) {
    EXPECT_EQ(origin(text, kSite), "origin_not_allowed") << text;
    EXPECT_EQ(origin(text, rules), "ok") << text;
  }
  EXPECT_EQ(origin("app://other.md", rules), "origin_not_allowed");
  EXPECT_EQ(origin("https://evil.example", rules), "origin_not_allowed");
}

TEST(Site, ARefusalNamesTheKeyAndTheValueToSet) {
  const auto error =
      check_site(kSite, {.host = "localhost", .origin = "tauri://localhost"}, Effect::change);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->status, 403);
  EXPECT_NE(error->message.find("add 'tauri://localhost' to allowed_origins"), std::string::npos);
}

TEST(Site, WithoutKeysOtherSitesMayNotRead) {
  SiteRules keyed = kSite;
  keyed.keys = true;
  const SiteFacts image{.host = "localhost",
                        .sec_fetch_site = "cross-site",
                        .sec_fetch_mode = "no-cors",
                        .sec_fetch_dest = "image"};
  EXPECT_EQ(site(image, Effect::read), "cross_site");
  EXPECT_EQ(site(image, Effect::read, keyed), "ok") << "it has no key, so it gets 401";
  EXPECT_EQ(site(image, Effect::open), "ok");
  SiteFacts link{.host = "localhost",
                 .sec_fetch_site = "cross-site",
                 .sec_fetch_mode = "navigate",
                 .sec_fetch_dest = "document"};
  EXPECT_EQ(site(link, Effect::read), "cross_site") << "a page that opens windows by itself";
  link.sec_fetch_user = "?1";
  EXPECT_EQ(site(link, Effect::read), "ok") << "a link that somebody followed";
  EXPECT_EQ(site(link, Effect::change), "cross_site");
  link.sec_fetch_dest = "iframe";
  EXPECT_EQ(site(link, Effect::read), "cross_site");
  EXPECT_EQ(site({.host = "localhost",
                  .sec_fetch_site = "none",
                  .sec_fetch_mode = "navigate",
                  .sec_fetch_dest = "document"},
                 Effect::read),
            "ok")
      << "a URL that was typed";
}

TEST(Site, SimplePostsOfOtherSitesAreRefused) {
  EXPECT_EQ(site({.host = "localhost", .sec_fetch_site = "cross-site"}), "cross_site");
  EXPECT_EQ(site({.host = "localhost", .sec_fetch_site = "cross-site"}, Effect::open), "ok");
  EXPECT_EQ(site({.host = "localhost", .sec_fetch_site = "same-origin"}), "ok");
  EXPECT_EQ(
      site({.host = "localhost", .origin = "http://a.home.arpa", .sec_fetch_site = "cross-site"}),
      "ok");
  EXPECT_EQ(site({.host = "localhost", .content_type = "Text/Plain; charset=utf-8"}),
            "content_type_not_allowed");
  EXPECT_EQ(site({.host = "localhost", .content_type = "application/json"}), "ok");
  // What curl -d sends by itself; pages that post it send an Origin as well.
  EXPECT_EQ(site({.host = "localhost", .content_type = "application/x-www-form-urlencoded"}), "ok");
}

TEST(Site, NamesTheOriginOfPagesThatMayReadTheAnswer) {
  const auto reader = [](std::string_view origin, const SiteRules& rules = kSite) {
    return readable_by(rules, {.host = "localhost", .origin = origin});
  };
  EXPECT_EQ(reader("http://localhost:3000"), "http://localhost:3000");
  EXPECT_EQ(reader("null"), "");
  EXPECT_EQ(reader("null", allowing({"null"})), "null");
  EXPECT_EQ(reader("https://evil.example"), "");
  EXPECT_EQ(reader(""), "");
  EXPECT_EQ(readable_by(kSite, {.host = "evil.example", .origin = "http://localhost"}), "");
}

TEST(Site, AllowsEveryHeaderThatIsAName) {
  EXPECT_EQ(allowed_headers("authorization,x-stainless-os , X-Api-Key"),
            "authorization, x-stainless-os, X-Api-Key");
  EXPECT_EQ(allowed_headers("a b,c\r\nd,,\"x\",e"), "e");
  EXPECT_EQ(allowed_headers(std::string(129, 'a') + ",b"), "b");
  std::string many;
  for (int i = 0; i < 1000; ++i)
    many += "h" + std::to_string(i) + ",";
  EXPECT_EQ(std::ranges::count(allowed_headers(many), ','), 63);
}

TEST(Site, SurvivesAnyBytes) {
  Prng random(2);
  const std::string host = "[::1]:8726", origin = "http://a.home.arpa:80";
  for (int round = 0; round < 20'000; ++round) {
    std::string h = host, o = origin;
    for (int edit = 0; edit < 3; ++edit) {
      h[random.below(h.size())] = static_cast<char>(random.below(256));
      o[random.below(o.size())] = static_cast<char>(random.below(256));
    }
    h.resize(random.below(h.size() + 1));
    o.resize(random.below(o.size() + 1));
    (void)site({.host = h, .origin = o});
    (void)site({.host = "localhost", .origin = o});
  }
}

}  // namespace
}  // namespace tonnage::api
