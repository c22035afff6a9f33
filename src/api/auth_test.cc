#include "api/auth.h"

#include <gtest/gtest.h>

#include "base/prng.h"

namespace tonnage::api {
namespace {

std::vector<KeyRule> rules() {
  KeyRule app{"app", "sk-app", {.infer = true}, {"qwen*", "whisper"}, Priority::low, 4};
  KeyRule watch{"watch", "sk-watch", {.read = true}, {}, {}, {}};
  KeyRule root{"root", "sk-root", {.admin = true}, {}, {}, {}};
  return {app, watch, root};
}

std::string who(const Keys& keys, std::string_view authorization, std::string_view x_api_key = {}) {
  const auto caller = keys.identify({authorization, x_api_key});
  if (!caller)
    return std::to_string(caller.error().status);
  return caller->rule == nullptr ? "nobody" : caller->rule->name;
}

TEST(Keys, FindTheirCaller) {
  const Keys keys(rules());
  EXPECT_EQ(who(keys, "Bearer sk-app"), "app");
  EXPECT_EQ(who(keys, "bearer  sk-watch "), "watch");
  EXPECT_EQ(who(keys, "", "sk-root"), "root");
  EXPECT_EQ(who(keys, "Basic abc", "sk-root"), "root");
  EXPECT_EQ(who(keys, "Bearer sk-nobody"), "401");
  EXPECT_EQ(who(keys, "Bearer sk-ap"), "401");
  EXPECT_EQ(who(keys, "Bearer sk-appp"), "401");
  EXPECT_EQ(who(keys, "Bearer"), "nobody");
  EXPECT_EQ(who(keys, ""), "nobody");
}

TEST(Keys, SecretsAreNotKept) {
  const Keys keys(rules());
  EXPECT_EQ(keys.identify({"Bearer sk-app", {}})->rule->key, "");
}

TEST(Keys, WithoutKeysEverybodyIsAdmin) {
  const Keys keys({});
  EXPECT_TRUE(keys.open());
  const auto caller = keys.identify({"Bearer whatever", {}});
  ASSERT_TRUE(caller);
  EXPECT_FALSE(may_enter(*caller, Scope::admin));
}

int entry_status(const Keys& keys, std::string_view key, Scope scope) {
  const auto caller = keys.identify({{}, key});
  const auto error = may_enter(*caller, scope);
  return error ? error->status : 200;
}

TEST(Keys, ScopesSayWhatAKeyIsGoodFor) {
  const Keys keys(rules());
  EXPECT_EQ(entry_status(keys, "sk-app", Scope::infer), 200);
  EXPECT_EQ(entry_status(keys, "sk-app", Scope::read), 403);
  EXPECT_EQ(entry_status(keys, "sk-app", Scope::admin), 403);
  EXPECT_EQ(entry_status(keys, "sk-watch", Scope::infer), 403);
  EXPECT_EQ(entry_status(keys, "sk-watch", Scope::read), 200);
  EXPECT_EQ(entry_status(keys, "sk-root", Scope::infer), 200);
  EXPECT_EQ(entry_status(keys, "sk-root", Scope::read), 200);
  EXPECT_EQ(entry_status(keys, "", Scope::open), 200);
  EXPECT_EQ(entry_status(keys, "", Scope::infer), 401);
}

TEST(Keys, MayBeLimitedToModels) {
  const Keys keys(rules());
  const Caller app = *keys.identify({{}, "sk-app"});
  EXPECT_TRUE(app.may_use("qwen3-8b"));
  EXPECT_TRUE(app.may_use("whisper"));
  EXPECT_FALSE(app.may_use("whisper-large"));
  EXPECT_FALSE(app.may_use("org/qwen3"));
  EXPECT_TRUE(control_socket_caller().may_use("anything"));
}

const SiteRules kSite{{"127.0.0.1", "box.lan"}, {"host.docker.internal", "*.home.arpa"}};

// "ok", or the error's code.
std::string site(const SiteFacts& facts, bool changes_state = true,
                 const SiteRules& site_rules = kSite) {
  const auto error = check_site(site_rules, facts, changes_state);
  return error ? error->code : "ok";
}

TEST(Site, AnswersToItsOwnNamesOnly) {
  for (const char* host :
       {"localhost", "LocalHost:8726", "localhost.:1", "127.0.0.1:8726", "127.8.8.8", "[::1]:8726",
        "[::1]", "ui.localhost:80", "box.lan:8726", "host.docker.internal:8726", "a.home.arpa"}) {
    EXPECT_EQ(site({.host = host}), "ok") << host;
  }
  for (const char* host :
       {"", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "home.arpa",
        "xhome.arpa", "192.168.1.5:8726", "[::2]", "a@localhost", "localhost/x", "[::1", "127.0.0",
        "127.0.0.256", "127.evil", "[::1]x", ":80"}) {
    EXPECT_EQ(site({.host = host}), "host_not_allowed") << host;
  }
}

TEST(Site, ListeningOnAllAddressesAllowsAddressesButNoNames) {
  const SiteRules all{{"0.0.0.0"}, {}};
  EXPECT_EQ(site({.host = "192.168.1.5:8726"}, true, all), "ok");
  EXPECT_EQ(site({.host = "[fe80::1]:8726"}, true, all), "ok");
  EXPECT_EQ(site({.host = "rebound.example:8726"}, true, all), "host_not_allowed");
}

TEST(Site, OriginsMustBeOurOwnOrAllowed) {
  const auto origin = [](std::string_view text, bool changes_state = true) {
    return site({.host = "box.lan:8726", .origin = text}, changes_state);
  };
  EXPECT_EQ(origin(""), "ok");
  EXPECT_EQ(origin("http://box.lan:8726"), "ok");
  EXPECT_EQ(origin("http://localhost:3000"), "ok");
  EXPECT_EQ(origin("https://chat.home.arpa"), "ok");
  EXPECT_EQ(origin("https://evil.example"), "origin_not_allowed");
  EXPECT_EQ(origin("https://evil.example", false), "origin_not_allowed");
  EXPECT_EQ(origin("http://localhost.evil.example"), "origin_not_allowed");
  EXPECT_EQ(origin("http://localhost@evil.example"), "origin_not_allowed");
  EXPECT_EQ(origin("chrome-extension://abc"), "origin_not_allowed");
  EXPECT_EQ(origin("localhost"), "origin_not_allowed");
  EXPECT_EQ(origin("null"), "origin_not_allowed");
  EXPECT_EQ(origin("null", false), "ok");
}

TEST(Site, SimplePostsOfOtherSitesAreRefused) {
  EXPECT_EQ(site({.host = "localhost", .sec_fetch_site = "cross-site"}), "cross_site");
  EXPECT_EQ(site({.host = "localhost", .sec_fetch_site = "cross-site"}, false), "ok");
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

TEST(Site, NamesTheOriginForCors) {
  EXPECT_EQ(cors_origin({.origin = "http://localhost:3000"}), "http://localhost:3000");
  EXPECT_EQ(cors_origin({.origin = "null"}), "");
  EXPECT_EQ(cors_origin({}), "");
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
