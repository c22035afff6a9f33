#include "sim/shrink.h"

#include <gtest/gtest.h>

namespace tonnage::sim {
namespace {

// Nothing in the core is broken here: what breaks a rule is a world that brings one request twice.
Script a_request_that_comes_twice(std::uint64_t seed) {
  Script script = script_of(draw_knobs(seed), 400, "answers: the core counts too few");
  const Tick at = script.events.back().at + 1s;
  for (int i = 0; i < 2; ++i)
    script.events.push_back({at, RequestArrived{RequestId(5'000), ModelId(0)}, {}, 0, false});
  return script;
}

TEST(Shrink, leaves_what_fails_and_little_else) {
  int shrunken = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    // Where the request is answered at once, its second coming breaks nothing.
    const auto shrunk = shrink(a_request_that_comes_twice(seed));
    if (!shrunk)
      continue;
    ++shrunken;
    EXPECT_LE(shrunk->events.size(), 4U) << "seed " << seed;
    EXPECT_LE(shrunk->setting.policy.models.size(), 2U) << "seed " << seed;
    const std::string text = write_scenario(*shrunk, seed);
    EXPECT_NE(text.find("BROKEN: answers"), std::string::npos) << text;
    EXPECT_TRUE(text.starts_with("# Shrunk from seed")) << text;
  }
  EXPECT_GE(shrunken, 5);
}

TEST(Shrink, gives_up_on_what_does_not_fail) {
  EXPECT_FALSE(shrink(script_of(draw_knobs(3), 400, "bytes: never")).has_value());
}

// Without anything left out, a script gives the governor what the seed gave it.
TEST(Script, tells_what_the_seed_told) {
  Script script = script_of(draw_knobs(8), 300, "answers: none");
  const std::size_t events = script.events.size();
  const Tick at = script.events.back().at + 1s;
  script.events.push_back({at, RequestArrived{RequestId(5'000), ModelId(0)}, {}, 0, false});
  script.events.push_back({at, RequestArrived{RequestId(5'000), ModelId(0)}, {}, 0, false});
  const auto retold = retell(script);
  ASSERT_TRUE(retold.has_value());
  EXPECT_GE(retold->kept.size(), events);
}

}  // namespace
}  // namespace tonnage::sim
