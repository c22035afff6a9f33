// Golden error messages: what a user sees for each kind of mistake.
#include <algorithm>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "config/config_text.h"

namespace tonnage {
namespace {

// Every mistake is made beside one good model, on the lines before it.
std::string beside_a_model(const std::string& yaml) {
  return problems_of(yaml + "\n" + kOneModel);
}

struct Mistake {
  const char* yaml;
  const char* expected;  // without "tonnage.yaml:" in front and the newline behind
};

void expect_each(std::span<const Mistake> cases, std::string (*problems)(const std::string&)) {
  for (const Mistake& c : cases) {
    EXPECT_EQ(problems(c.yaml), "tonnage.yaml:" + std::string(c.expected) + "\n") << c.yaml;
  }
}

std::string alone(const std::string& yaml) {
  return problems_of(yaml);
}

TEST(LoadErrors, UnknownKeysNameTheNearest) {
  constexpr Mistake kCases[] = {
      {"queue: {yeild_after: 5s}",
       "1:9: unknown key 'yeild_after' in queue; did you mean 'yield_after'?"},
      {"lsten: 127.0.0.1:1", "1:1: unknown key 'lsten' at the top level; did you mean 'listen'?"},
      {"yield_after: 1s",
       "1:1: unknown key 'yield_after' at the top level; did you mean 'queue.yield_after'?"},
      {"queue: {listen: 1}", "1:9: unknown key 'listen' in queue; it belongs at the top level"},
      {"defaults: {gguf: x}",
       "1:12: unknown key 'gguf' in defaults; it belongs to a model: 'models.ID.gguf'"},
      {"log: {zzzzzzzzz: 1}",
       "1:7: unknown key 'zzzzzzzzz' in log; known are level, format, access"},
      {"budgets: {hots: {}}", "1:11: unknown key 'hots' in budgets; did you mean 'host'?"},
      {"keys: [{name: a, key: 12345678, scope: [read]}]",
       "1:33: unknown key 'scope' in keys[1]; did you mean 'scopes'?"},
      {"budgets: {gpu0: {reserve: 10%}}",
       "1:11: unknown key 'gpu0' in budgets; budgets of single GPUs are 'budgets: {devices: {gpu0: "
       "{...}}}'"},
      {"budgets: {gup: {reserve: 10%}}", "1:11: unknown key 'gup' in budgets; did you mean 'gpu'?"},
      {"router: {}",
       "1:1: 'router' at the top level: the router comes with a later version; "
       "remove it for now"},
  };
  expect_each(kCases, beside_a_model);
}

TEST(LoadErrors, DuplicateKeysAreFoundAtEachLevel) {
  constexpr Mistake kCases[] = {
      {"log: {level: info}\nlog: {level: warn}",
       "2:1: duplicate key 'log' at the top level; it is already set on line 1"},
      {"queue:\n  yield_after: 1s\n  yield_after: 1s",
       "3:3: duplicate key 'yield_after' in queue; it is already set on line 2"},
      {"budgets: {host: {max: 1%}, host: {max: 2%}}",
       "1:28: duplicate key 'host' in budgets; it is already set on line 1"},
      {"defaults: {slots: 1, slots: 2}",
       "1:22: duplicate key 'slots' in defaults; it is already set on line 1"},
      {"keys: [{name: a, key: 12345678, name: b}]",
       "1:33: duplicate key 'name' in keys[1]; it is already set on line 1"},
      {"defaults: {env: {A: 1, A: 2}}", "1:17: defaults.env: 'A' is set twice"},
      {"queue: {min_residency: 1s}\nresidency: {min_residency: 1s}",
       "2:28: residency.min_residency means the same as queue.min_residency, which is set on line "
       "1"},
  };
  expect_each(kCases, beside_a_model);
}

TEST(LoadErrors, NamesOfModelsAreUniqueAndUsable) {
  const std::string long_id(201, 'x');
  constexpr Mistake kCases[] = {
      {"models:\n  a: {gguf: a}\n  a: {gguf: b}",
       "3:3: duplicate model 'a'; it is already configured on line 2"},
      {"models: {a: {gguf: a, gguf: b}}",
       "1:23: duplicate key 'gguf' in models.a; it is already set on line 1"},
      {"models: {a: {gguf: a, aliases: [b]}, b: {gguf: b}}",
       "1:32: models.a.aliases: 'b' is the id of a model; every name must be unique"},
      {"models: {a: {gguf: a, aliases: [x]}, b: {gguf: b, aliases: [x]}}",
       "1:60: models.b.aliases: 'x' is already an alias of 'a'; every name must be unique"},
      {"models: {a: {gguf: a, aliases: [x, x]}}",
       "1:32: models.a.aliases: 'x' is listed twice; every name must be unique"},
      {"models: {auto: {gguf: a}}",
       "1:10: 'auto' is not a model id: this name has a meaning of its own; choose another"},
      {"models: {a: {gguf: a, aliases: [resident]}}",
       "1:32: models.a.aliases: 'resident' is not a model name: this name has a meaning of its "
       "own; choose another"},
      {"models: {'a?b': {gguf: a}}",
       "1:10: 'a?b' is not a model id: '?' is not allowed; use letters, digits, spaces and . _ : "
       "/ @ + -"},
      {"models: {'': {gguf: a}}", "1:10: '' is not a model id: it is empty"},
      {"models: {..: {gguf: a}}", "1:10: '..' is not a model id: it needs a letter or a digit"},
      {"models: {' a': {gguf: a}}", "1:10: ' a' is not a model id: it begins or ends with a space"},
      {"models: {[a]: {gguf: a}}", "1:10: a list is not a model id"},
  };
  expect_each(kCases, alone);
  EXPECT_NE(problems_of("models: {" + long_id + ": {gguf: a}}").find("longer than 200 characters"),
            std::string::npos);
  EXPECT_EQ(problems_of("models: {" + long_id.substr(1) + ": {gguf: a}}"), "no problem");
}

TEST(LoadErrors, WrongValuesSayWhatIsWanted) {
  constexpr Mistake kCases[] = {
      {"queue: {yield_after: 5}",
       "1:22: queue.yield_after: '5' is not a duration: the unit is missing; write a number and a "
       "unit: 500ms, 30s, 10m, 12h"},
      {"queue: {yield_after: 5 parsecs}",
       "1:22: queue.yield_after: '5 parsecs' is not a duration: unknown unit 'parsecs'; write a "
       "number and a unit: 500ms, 30s, 10m, 12h"},
      {"queue: {yield_after: [5s]}",
       "1:22: queue.yield_after: a list is given, but a duration such as 30s is wanted"},
      {"queue:\n  yield_after:\n  max_waiting: 1",
       "2:3: queue.yield_after: nothing is given, but a duration such as 30s is wanted"},
      {"queue: 5", "1:8: queue: '5' is given, but a map is wanted"},
      {"queue: {max_waiting: many}", "1:22: queue.max_waiting: 'many' is not a whole number"},
      {"queue: {max_waiting: -1}", "1:22: queue.max_waiting: '-1' is too small; the least is 0"},
      {"defaults: {slots: 257}", "1:19: defaults.slots: '257' is too large; the most is 256"},
      {"load: {timeout: 10ms}", "1:17: load.timeout: '10ms' is too small; the least is 1s"},
      {"budgets: {host: {limit: 6}}",
       "1:25: budgets.host.limit: '6' is not a memory size: the unit is missing; write a number "
       "and a unit: 512MiB, 6GiB, 1.5GB"},
      {"budgets: {host: {reserve: 'min(20%, 8)'}}",
       "1:27: budgets.host.reserve: 'min(20%, 8)' is not a reserve: '8' is not a memory size, the "
       "unit is missing; write 20%, 8GiB, or min(20%, 8GiB)"},
      {"budgets: {host: {reserve: 100%}}",
       "1:27: budgets.host.reserve: '100%' is not a reserve: 100% leaves nothing for models; write "
       "20%, 8GiB, or min(20%, 8GiB)"},
      {"insecure: maybe", "1:11: insecure: 'maybe' is not a yes or no; write true or false"},
      {"residency: {eviction: lur}",
       "1:23: residency.eviction: 'lur' is not one of lru or value; did you mean 'lru'?"},
      {"allowed_hosts: box", "1:16: allowed_hosts: 'box' is given, but a list of texts is wanted"},
      {"allowed_hosts: ['http://box']",
       "1:16: allowed_hosts: 'http://box' is not a host name; pages go into allowed_origins"},
      {"defaults: {env: {A: [1]}}",
       "1:17: defaults.env: the value of 'A' is a list, but a text is wanted"},
      {"runtime_dir: ~bob/run",
       "1:14: runtime_dir: '~bob/run' is not a usable path: only ~/ is expanded; write the whole "
       "path"},
      {"load: {retry_backoff_min: 10m}",
       "1:27: load.retry_backoff_min: 10m is longer than load.retry_backoff_max, 5m"},
      {"journal: {segment_max: 1GiB}",
       "1:24: journal.segment_max: 1.00 GiB is larger than journal.total_max, 64 MiB"},
      {"load: {timeout: 5s}", "load.stall_after: 20s is longer than load.timeout, 5s"},
  };
  for (const Mistake& c : std::span(kCases).first(std::size(kCases) - 1)) {
    EXPECT_EQ(beside_a_model(c.yaml), "tonnage.yaml:" + std::string(c.expected) + "\n") << c.yaml;
  }
  // The value in the way is a default, so there is no line to name.
  EXPECT_EQ(beside_a_model(std::rbegin(kCases)->yaml),
            "default: " + std::string(std::rbegin(kCases)->expected) + "\n");
}

TEST(LoadErrors, ListeningToOthersNeedsAKeyOrTheWord) {
  EXPECT_EQ(
      beside_a_model("listen: 0.0.0.0:80"),
      "tonnage.yaml:1:9: listen: '0.0.0.0:80' can be reached by other machines, but no key is "
      "asked for; add 'keys', listen on 127.0.0.1, or set 'insecure: true'\n");
  EXPECT_EQ(beside_a_model("listen: 0.0.0.0:80\ninsecure: true"), "no problem");
  EXPECT_EQ(beside_a_model("listen: 0.0.0.0:80\nkeys: [{name: a, key: 12345678}]"), "no problem");
  constexpr Mistake kCases[] = {
      {"listen: 127.0.0.1",
       "1:9: listen: '127.0.0.1' is not a listen address: the port is missing; "
       "write 127.0.0.1:8726, localhost:8726, or [::1]:8726 for IPv6"},
      {"listen: '::1:80'",
       "1:9: listen: '::1:80' is not a listen address: an IPv6 address needs "
       "brackets; write 127.0.0.1:8726, localhost:8726, or [::1]:8726 for IPv6"},
      {"listen: 1.2.3:80",
       "1:9: listen: '1.2.3:80' is not a listen address: '1.2.3' is neither an address nor a host "
       "name; write 127.0.0.1:8726, localhost:8726, or [::1]:8726 for IPv6"},
      {"listen: 127.0.0.1:65536",
       "1:9: listen: '127.0.0.1:65536' is not a listen address: '65536' is not a port between 0 "
       "and 65535; write 127.0.0.1:8726, localhost:8726, or [::1]:8726 for IPv6"},
  };
  expect_each(kCases, beside_a_model);
}

TEST(LoadErrors, ListensMayBeAList) {
  EXPECT_EQ(beside_a_model("listen: [127.0.0.1:1, '[::1]:1', localhost:1]"), "no problem");
  constexpr Mistake kCases[] = {
      {"listen: []", "1:9: listen: the list is empty; name at least one address"},
      {"listen: [127.0.0.1:1, nowhere]",
       "1:9: listen: 'nowhere' is not a listen address: the port is missing; write 127.0.0.1:8726, "
       "localhost:8726, or [::1]:8726 for IPv6"},
      {"listen: [[127.0.0.1:1]]",
       "1:9: listen: a list is given, but an address and port is wanted"},
      {"listen: [127.0.0.1:1, 0.0.0.0:80]",
       "1:9: listen: '0.0.0.0:80' can be reached by other machines, but no key is asked for; add "
       "'keys', listen on 127.0.0.1, or set 'insecure: true'"},
  };
  expect_each(kCases, beside_a_model);
}

TEST(LoadErrors, OriginsHaveASchemeAndNoPath) {
  EXPECT_EQ(
      beside_a_model("allowed_origins: ['app://obsidian.md', 'https://*.a.org', '*', 'null']"),
      "no problem");
  constexpr Mistake kCases[] = {
      {"allowed_origins: [obsidian.md]",
       "1:18: allowed_origins: 'obsidian.md' is not an origin: the scheme is missing; write "
       "app://obsidian.md, chrome-extension://*, https://*.example.org or http://localhost:*"},
  };
  expect_each(kCases, beside_a_model);
}

TEST(LoadErrors, ModelsAndLaddersAreComplete) {
  constexpr Mistake kCases[] = {
      {"log: {level: info}\nmodels:",
       "2:1: models: nothing is given, but a map from model ids to "
       "their keys is wanted"},
      {"models: {a: {}}",
       "1:10: models.a: the file is missing; add 'gguf: FILE', or 'command: [PROGRAM, ...]' for a "
       "server of your own"},
      {"models: {a: a.gguf}",
       "1:13: models.a: 'a.gguf' is given, but a map of model keys is "
       "wanted, at least 'gguf: FILE'"},
      {"models: {a: {gguf: a, ladder: [{context: 8192}]}}",
       "1:10: models.a.ladder: a step asks for more than the model itself; steps go down from "
       "context 4096 and 2 slots"},
      {"models: {a: {gguf: a, ladder: [{}]}}",
       "1:32: models.a.ladder[1]: a map is given, but a map such as {context: 2048} is wanted"},
      {"models: {a: {gguf: a, command: [x]}}",
       "1:10: models.a.command: 'gguf' is given as well; a model has one of the two"},
      {"models: {a: {gguf: a, url: x}}",
       "1:23: 'url' in models.a: model servers that tonnage does not start come with a later "
       "version; remove it for now"},
      {"- a", "1:1: a list is given, but a map of keys is wanted: 'models:' ..."},
  };
  expect_each(kCases, alone);
  EXPECT_EQ(problems_of(""), "tonnage.yaml: no models; add 'models: {ID: {gguf: FILE}}'\n");
}

TEST(LoadErrors, ClientKeysAreNeverShown) {
  constexpr Mistake kCases[] = {
      {"keys: [hunter2hunter2]",
       "1:8: keys[1]: a map such as {name: laptop, key: SECRET} is wanted"},
      {"keys: [{name: a, key: hunter2}]",
       "1:8: keys[1]: the key is shorter than 8 characters; 'openssl rand -hex 24' makes a good "
       "one"},
      {"keys: [{name: a, key: hunter2 hunter2}]",
       "1:8: keys[1]: the key holds a space or a character that no header can carry"},
      {"keys: [{name: a}]",
       "1:8: keys[1]: the key is missing; add 'key: SECRET' or 'key_env: VARIABLE'"},
      {"keys: [{name: a, key_env: NOPE}]",
       "1:8: keys[1]: the environment variable 'NOPE' is not set"},
      {"keys: [{key: hunter2hunter2}]", "1:8: keys[1]: the name is missing; add 'name: CLIENT'"},
      {"keys: [{name: a, key: hunter2hunter2}, {name: b, key: hunter2hunter2}]",
       "1:40: keys[2]: the same key as that of 'a'"},
      {"keys: [{name: a, key: hunter2hunter2}, {name: a, key: hunter2hunter3}]",
       "1:40: keys[2]: the name 'a' is taken by another key"},
      {"keys: [{name: a, key: hunter2hunter2, models: [b]}]",
       "1:8: keys[1].models: there is no model 'b'; did you mean 'a'?"},
      {"keys: [{name: a, key: hunter2hunter2, scopes: [rea]}]",
       "1:47: keys[1].scopes: 'rea' is not one of infer, read or admin; did you mean 'read'?"},
      {"keys: [{name: a, key: hunter2hunter2, scopes: []}]",
       "1:8: keys[1].scopes: the list is empty; name infer, read or admin"},
  };
  expect_each(kCases, beside_a_model);
}

TEST(LoadErrors, SeveralAreReportedInTheOrderOfTheFile) {
  EXPECT_EQ(
      problems_of("listn: 1\nqueue: {max_waiting: x}\nmodels: {auto: {gguf: a}}\n"),
      "tonnage.yaml:1:1: unknown key 'listn' at the top level; did you mean 'listen'?\n"
      "tonnage.yaml:2:22: queue.max_waiting: 'x' is not a whole number\n"
      "tonnage.yaml:3:10: 'auto' is not a model id: this name has a meaning of its own; choose "
      "another\n");
}

TEST(LoadErrors, AreBounded) {
  std::string yaml;
  for (int i = 0; i < 100; ++i)
    yaml += "k" + std::to_string(i) + ": 1\n";
  const std::string text = problems_of(yaml + kOneModel);
  EXPECT_EQ(std::ranges::count(text, '\n'), static_cast<std::ptrdiff_t>(kProblemsMax) + 1);
  EXPECT_TRUE(text.ends_with("and 80 more; correct these first\n")) << text;
}

TEST(LoadErrors, AFileThatCannotBeReadIsNamed) {
  const auto missing = load_config("/nonexistent/tonnage.yaml", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().text(),
            "/nonexistent/tonnage.yaml: there is no such configuration file\n");
  const auto folder = load_config("/", {});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().text(),
            "/: it is a directory; name a file, or serve it with --models\n");
}

}  // namespace
}  // namespace tonnage
