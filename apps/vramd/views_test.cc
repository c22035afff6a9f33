#include "vramd/views.h"

#include <gtest/gtest.h>

namespace vramd {
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
            R"(vramd 0.1.0 on 127.0.0.1:8726, up 2h 3m, healthy; requests: 1 running, 3 waiting

host  [###############+++++..........]  3.00 GiB of 6.00 GiB reserved, 2.00 GiB free
      models measured 2.80 GiB, others use 2.00 GiB, the machine has 16.00 GiB

MODEL     TYPE       STATE            PLACEMENT        MEMORY  USES  LOADS    IDLE
org/chat  llm        ready            8192 x 2 q8_0  3.00 GiB    12      1  in use  degraded, pinned
embed     embedding  loading 2s       512 x 1         100 MiB     0      0       -
big       llm        absent           -                     -     0      0   1m 1s
broken    llm        failed, 4s rest  -                     -     0      0       -

failed   broken: the file is truncated
)");
}

TEST(Views, PsShowsWhatRunsOrIsWanted) {
  EXPECT_EQ(ps_view(status(), kPlain),
            R"(MODEL     STATE       TIER  PLACEMENT      RESERVED  MEASURED  LEASES  WAIT    IDLE
org/chat  ready       host  8192 x 2 q8_0  3.00 GiB  2.50 GiB       1     0  in use  )"
            R"(degraded, pinned
embed     loading 2s  disk  512 x 1         100 MiB         -       0     3       -
)");
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
}  // namespace vramd
