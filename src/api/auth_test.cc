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

}  // namespace
}  // namespace tonnage::api
