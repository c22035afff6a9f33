#include "tonnage/views.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr Terminal kPlain{};

Json status() {
  return Json::parse(R"({
    "daemon": {"version": "0.1.0", "listen": "127.0.0.1:8726", "pid": 7, "uptime_ms": 7380000},
    "healthy": true, "problems": [], "shutting_down": false, "waiting": 3, "leases": 1,
    "pools": [{"pool": "host", "capacity_bytes": 17179869184, "budget_bytes": 6442450944,
               "used_bytes": 5368709120, "ours_bytes": 3221225472, "level": null,
               "reserved_bytes": 3221225472, "measured_bytes": 3006477107,
               "foreign_bytes": 2147483648, "headroom_bytes": 2147483648}],
    "models": [
      {"id": "org/chat", "type": "llm", "state": "ready", "tier": "host", "pinned": true,
       "degraded": true, "leases": 1, "waiting": 0, "reserved_bytes": 1073741824,
       "measured_bytes": 536870912, "weights_bytes": 2147483648, "uses": 12, "loads": 1,
       "placement": {"context": 8192, "slots": 2, "kv": "q8_0"}, "idle_for_ms": null},
      {"id": "embed", "type": "embedding", "state": "loading", "tier": "disk", "waiting": 3,
       "reserved_bytes": 104857600, "measured_bytes": null, "weights_bytes": 0,
       "placement": {"context": 512, "slots": 1, "kv": "f16"}, "loading_for_ms": 2500},
      {"id": "big", "type": "llm", "state": "absent", "tier": "disk", "waiting": 0,
       "placement": null, "idle_for_ms": 61000, "reserved_bytes": 0, "weights_bytes": 9},
      {"id": "broken", "type": "llm", "state": "failed", "tier": "disk", "waiting": 0,
       "placement": null, "retry_in_ms": 4000, "failure": "the file is truncated"}
    ]})");
}

TEST(Views, StatusShowsPoolsModelsAndFailures) {
  EXPECT_EQ(status_view(status(), kPlain),
            R"(tonnage 0.1.0 on 127.0.0.1:8726, up 2h 3m, healthy
requests: 1 running, 3 waiting

host  [######++++....................]  31 % of 16.00 GiB, normal
      ours 3.00 GiB, others 2.00 GiB, free 11.00 GiB
      reserved 3.00 GiB of 6.00 GiB, room for 2.00 GiB

MODEL     STATE            TIER      HOST   LAST USE
org/chat  ready            host  2.50 GiB     in use  degraded, pinned
embed     loading 2s       disk   100 MiB          -
big       absent           disk         -  1m 1s ago
broken    failed, 4s rest  disk         -          -

failed   broken: the file is truncated
)");
}

TEST(Views, StatusShowsWhatWasKeptOfPromptsAndNotes) {
  Json shown = status();
  shown["models"][0]["tokens"] = {{"prompt", 2000}, {"kept", 1860}, {"generated", 7}};
  shown["models"][2]["notes"] = {"512 are used"};
  const std::string text = status_view(shown, kPlain);
  EXPECT_NE(text.find("MODEL     STATE            TIER      HOST  KEPT   LAST USE"), text.npos)
      << text;
  EXPECT_NE(text.find("org/chat  ready            host  2.50 GiB  93 %     in use"), text.npos);
  EXPECT_NE(text.find("note     big: 512 are used\n"), text.npos);
}

Json gpu_status() {
  return Json::parse(R"({
    "daemon": {"version": "0.1.0", "listen": "127.0.0.1:8726", "pid": 7, "uptime_ms": 7380000},
    "healthy": true, "problems": [], "waiting": 0, "leases": 1,
    "pools": [{"pool": "host", "capacity_bytes": 34359738368, "budget_bytes": 25769803776,
               "used_bytes": 12884901888, "ours_bytes": 2147483648, "foreign_bytes": 10737418240,
               "reserved_bytes": 3221225472, "headroom_bytes": 11811160064, "level": null},
              {"pool": "gpu0", "capacity_bytes": 8589934592, "budget_bytes": 7516192768,
               "used_bytes": 7516192768, "ours_bytes": 5368709120, "foreign_bytes": 2147483648,
               "reserved_bytes": 5368709120, "headroom_bytes": -5, "level": "high",
               "level_for_ms": 90000, "releasing_bytes": 536870912, "orphaned_bytes": 268435456},
              {"pool": "gpu1", "capacity_bytes": 8589934592, "budget_bytes": 7516192768,
               "lost": true}],
    "models": [
      {"id": "org/a-model-with-a-very-long-name-q4_k_m", "type": "llm", "state": "ready",
       "tier": "gpu", "leases": 1, "reserved_bytes": 268435456, "measured_bytes": 268435456,
       "weights_bytes": 805306368, "placement": {"context": 8192, "slots": 2, "kv": "q8_0"},
       "devices": [{"pool": "gpu0", "reserved_bytes": 5368709120, "measured_bytes": 4831838208}]},
      {"id": "embed", "type": "embedding", "state": "ready", "tier": "host", "devices": [],
       "reserved_bytes": 104857600, "measured_bytes": null, "weights_bytes": 0, "cpu_only": true,
       "placement": {"context": 512, "slots": 1, "kv": "f16"}, "idle_for_ms": 125000}
    ]})");
}

TEST(Views, StatusOfAMachineWithGpus) {
  EXPECT_EQ(status_view(gpu_status(), kPlain),
            R"(tonnage 0.1.0 on 127.0.0.1:8726, up 2h 3m, healthy
requests: 1 running, 0 waiting

host  [##+++++++++...................]  37 % of 32.00 GiB, normal
      ours 2.00 GiB, others 10.00 GiB, free 20.00 GiB
      reserved 3.00 GiB of 24.00 GiB, room for 11.00 GiB
gpu0  [###################++++++++...]  87 % of 8.00 GiB, high for 1m 30s
      ours 5.00 GiB, others 2.00 GiB, free 1.00 GiB; 512 MiB not back yet; 256
      MiB held by no process
      reserved 5.00 GiB of 7.00 GiB, room for 0 MiB
gpu1  lost: its device is no longer visible

MODEL                       STATE  TIER       GPU      HOST   LAST USE
org/a-model-with-a-very-..  ready  gpu   4.50 GiB  1.00 GiB     in use
embed                       ready  host         -   100 MiB  2m 5s ago  off GPU
)");
}

TEST(Views, StatusIsNoWiderThanTheTerminal) {
  for (const std::size_t width : {80U, 100U, 140U}) {
    const std::string text = status_view(gpu_status(), Terminal{.width = width});
    std::size_t widest = 0;
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
      widest = std::max(widest, text.find('\n', at) - at);
    EXPECT_LE(widest, width) << text;
    EXPECT_EQ(text.find("PLACEMENT") != std::string::npos, width > 80) << text;
  }
}

TEST(Views, PsShowsWhatRunsOrIsWanted) {
  EXPECT_EQ(ps_view(status(), kPlain),
            R"(MODEL     STATE       TIER  PLACEMENT      RESERVED  MEASURED  LEASES  WAIT    IDLE
org/chat  ready       host  8192 x 2 q8_0  3.00 GiB  2.50 GiB       1     0  in use  )"
            R"(degraded, pinned
embed     loading 2s  disk  512 x 1         100 MiB         -       0     3       -
)");
}

TEST(Views, PsOfAMachineWithGpusShowsWhatIsThere) {
  Json status = gpu_status();
  status["models"][0]["placement"]["gpu_layers"] = 33;
  status["models"][1]["placement"]["gpu_layers"] = 0;
  const std::string text = ps_view(status, kPlain);
  EXPECT_EQ(text.substr(0, text.find("RESERVED")),
            "MODEL                       STATE  TIER  PLACEMENT      LAYERS       GPU  ");
  EXPECT_NE(text.find("8192 x 2 q8_0      33  4.50 GiB"), std::string::npos) << text;
  EXPECT_NE(text.find("512 x 1             0         -"), std::string::npos) << text;
}

TEST(Views, PsOfNothingSaysWhatToDo) {
  EXPECT_EQ(ps_view(Json::parse(R"({"models": []})"), kPlain),
            "no model is loaded; the first request to one loads it\n");
}

TEST(Views, WhyIsSentencesWithTheNewestLast) {
  const Json events = Json::parse(R"({"data": [
    {"time_ms": 1000, "explain": "Loading chat: it fits, 3.00 GiB of 6.00 GiB are free."},
    {"time_ms": 899000, "explain": "Unloaded chat to make room for embed, which has waited for 12 )"
                                  R"(seconds and needs 500 MiB."}]})");
  EXPECT_EQ(why_view("chat", events, 900'000, kPlain),
            "14m 59s ago  Loading chat: it fits, 3.00 GiB of 6.00 GiB are free.\n"
            "     1s ago  Unloaded chat to make room for embed, which has waited for 12\n"
            "             seconds and needs 500 MiB.\n");
  EXPECT_EQ(why_view("chat", Json::parse("{}"), 0, kPlain), "nothing is recorded of chat\n");
}

TEST(Views, ACommandSaysWhatMoved) {
  const Json result = Json::parse(R"({"ok": true, "command": "load", "model": "chat",
    "text": "chat is ready", "moved": [
      {"model": "embed", "from_state": "ready", "to_state": "absent",
       "reserved_before_bytes": 1073741824, "reserved_after_bytes": 0, "weights_bytes": 0},
      {"model": "chat", "from_state": "absent", "to_state": "ready",
       "reserved_before_bytes": 0, "reserved_after_bytes": 1073741824,
       "weights_bytes": 1073741824}]})");
  EXPECT_EQ(command_view(result, kPlain),
            "load chat: chat is ready\n"
            "  embed: ready -> absent, gives back 1.00 GiB\n"
            "  chat: absent -> ready, reserves 2.00 GiB\n");
  EXPECT_EQ(command_view(Json::parse(R"({"ok": false, "command": "flush", "model": null,
                                         "text": "", "moved": []})"),
                         kPlain),
            "flush: refused\n");
}

// Another version's daemon, or no daemon at all, must not bring the command line down.
TEST(Views, JsonOfAnotherShapeIsNoCrash) {
  for (const char* text : {"{}", "[]", "3", "null", R"({"pools": 3, "models": {"a": 1}})",
                           R"({"daemon": [], "pools": [[]], "models": [null, 3, {}]})",
                           R"({"models": [{"id": 3, "state": "ready", "placement": 4}]})",
                           R"({"data": [{}, 4], "moved": [{}], "problems": ["x"]})"}) {
    const Json json = Json::parse(text);
    EXPECT_FALSE(status_view(json, kPlain).empty());
    EXPECT_FALSE(ps_view(json, kPlain).empty());
    EXPECT_FALSE(why_view("m", json, 0, kPlain).empty());
    EXPECT_FALSE(command_view(json, kPlain).empty());
  }
}

}  // namespace
}  // namespace tonnage
