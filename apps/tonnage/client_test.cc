#include "tonnage/client.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

std::string address_of(const ClientOptions& options, const Environment& environment) {
  const auto client = DaemonClient::open(options, environment, 1000);
  return client ? to_text(client->url()) : client.error().text;
}

TEST(Client, TheDaemonIsFoundByTheMostParticularWord) {
  EXPECT_EQ(address_of({}, {}), "unix:/tmp/tonnage-1000/control.sock");
  EXPECT_EQ(address_of({}, {{"XDG_RUNTIME_DIR", "/run/user/1000"}}),
            "unix:/run/user/1000/tonnage-1000/control.sock");
  const Environment both = {{"TONNAGE_RUNTIME_DIR", "/a"}, {"TONNAGE_URL", "http://127.0.0.1:9"}};
  EXPECT_EQ(address_of({}, {{"TONNAGE_RUNTIME_DIR", "/a"}}), "unix:/a/control.sock");
  EXPECT_EQ(address_of({}, both), "127.0.0.1:9");
  EXPECT_EQ(address_of({.url = {}, .api_key = {}, .runtime_dir = "/b"}, both),
            "unix:/b/control.sock");
  EXPECT_EQ(address_of({.url = "http://127.0.0.1:7"}, both), "127.0.0.1:7");
}

TEST(Client, AnAddressThatCannotBeIsWrongUsage) {
  for (const char* url :
       {"ftp://127.0.0.1:1", "http://", "::", "a b", "http://a:0", "http://u@a"}) {
    const auto client = DaemonClient::open({.url = url}, {}, 1);
    ASSERT_FALSE(client) << url;
    EXPECT_EQ(client.error().code, ExitCode::usage) << url;
  }
}

TEST(DaemonUrl, NamesSchemesPortsAndPaths) {
  const auto parsed = [](std::string_view text) {
    const auto url = parse_daemon_url(text);
    return url ? to_text(*url) : url.error().text();
  };
  EXPECT_EQ(parsed("http://127.0.0.1:7"), "127.0.0.1:7");
  EXPECT_EQ(parsed("gpubox"), "gpubox:8726");
  EXPECT_EQ(parsed("localhost:9"), "localhost:9");
  EXPECT_EQ(parsed("http://gpubox.example.org"), "gpubox.example.org:80");
  EXPECT_EQ(parsed("https://gpubox/"), "https://gpubox:443");
  EXPECT_EQ(parsed("https://gpubox:8443/tonnage/"), "https://gpubox:8443/tonnage");
  EXPECT_EQ(parsed("https://[::1]:8443"), "https://[::1]:8443");
  EXPECT_EQ(parsed("[::1]"), "[::1]:8726");
  EXPECT_EQ(parsed("unix:/run/x.sock"), "unix:/run/x.sock");
  EXPECT_EQ(parsed("/run/x.sock"), "unix:/run/x.sock");
  for (const char* text : {"", "http://", "https://:1", "a:", "a:65536", "a:1x", "http://a/?b",
                           "::", "[::1", "[::1]8726", "ws://a", "http://u:p@a", "a b", "-\n"})
    EXPECT_FALSE(parse_daemon_url(text)) << text;
}

TEST(Client, NoDaemonIsAnExitCodeOfItsOwn) {
  const auto client =
      DaemonClient::open({.url = {}, .api_key = {}, .runtime_dir = "/nonexistent"}, {}, 1);
  ASSERT_TRUE(client);
  const auto answer = client->get("/health");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ExitCode::unreachable);
  EXPECT_NE(answer.error().text.find("unix:/nonexistent/control.sock"), std::string::npos);
  EXPECT_NE(answer.error().text.find("tonnage serve"), std::string::npos);
}

TEST(Client, IdsAreOneSegmentOfThePath) {
  EXPECT_EQ(model_path("qwen3-8b_v1.0~x"), "/api/memory/models/qwen3-8b_v1.0~x");
  EXPECT_EQ(model_path("org/Model:8b q4+@"), "/api/memory/models/org%2FModel%3A8b%20q4%2B%40");
  EXPECT_EQ(percent_encoded("\xc3\xa9%?#"), "%C3%A9%25%3F%23");
}

TEST(Client, ErrorsSayWhatTheDaemonSaid) {
  const CommandError unknown =
      error_of(404, R"({"error":{"code":"model_not_found","message":"no model 'x'"}})");
  EXPECT_EQ(unknown.code, ExitCode::unknown_model);
  EXPECT_EQ(unknown.text, "no model 'x'");
  EXPECT_EQ(error_of(404, R"({"error":{"code":"not_found","message":"no path"}})").code,
            ExitCode::failed);
  EXPECT_NE(error_of(401, R"({"error":{"message":"a key is needed"}})").text.find("--api-key"),
            std::string::npos);
  for (const char* body : {"", "nonsense", "[]", R"({"error":"text"})", R"({"error":{}})"}) {
    EXPECT_EQ(error_of(500, body).text, "the daemon answered with status 500") << body;
  }
}

}  // namespace
}  // namespace tonnage
