#include "base/tick.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

using ::testing::HasSubstr;

std::string duration_error(std::string_view text) {
  const auto parsed = parse_duration(text);
  return parsed ? "no error" : parsed.error().text();
}

TEST(Duration, EveryUnitIsRead) {
  EXPECT_EQ(parse_duration("250us"), Duration{250});
  EXPECT_EQ(parse_duration("500ms"), 500ms);
  EXPECT_EQ(parse_duration("5s"), 5s);
  EXPECT_EQ(parse_duration("10m"), 10min);
  EXPECT_EQ(parse_duration("12h"), 12h);
  EXPECT_EQ(parse_duration("1d"), 24h);
  EXPECT_EQ(parse_duration("1.5 s"), 1500ms);
  EXPECT_EQ(parse_duration("0"), Duration{0});
}

TEST(Duration, WhatIsNoDurationSaysWhy) {
  EXPECT_THAT(duration_error("10"), HasSubstr("the unit is missing"));
  EXPECT_THAT(duration_error("10min"), HasSubstr("unknown unit 'min'"));
  EXPECT_THAT(duration_error("-5s"), HasSubstr("does not start with a digit"));
  EXPECT_THAT(duration_error(""), HasSubstr("it is empty"));
  EXPECT_THAT(duration_error("5000000000d"), HasSubstr("out of range"));
  EXPECT_THAT(duration_error("5x"), HasSubstr("500ms, 30s, 10m, 12h"));
}

TEST(Duration, TextIsShortAndExactForWholeUnits) {
  EXPECT_EQ(to_text(Duration{0}), "0s");
  EXPECT_EQ(to_text(Duration{10min}), "10m");
  EXPECT_EQ(to_text(Duration{90s}), "90s");
  EXPECT_EQ(to_text(Duration{24h}), "1d");
  EXPECT_EQ(to_text(Duration{1500ms}), "1500ms");
  EXPECT_EQ(to_text(Duration{7}), "7us");
  EXPECT_EQ(to_text(Duration{-5s}), "-5s");
}

TEST(Duration, TextHasOneDecimalOtherwise) {
  EXPECT_EQ(to_text(Duration{1'500'250}), "1500250us") << "microseconds are always whole";
}

RC_GTEST_PROP(DurationProperty, TextIsReadBack, ()) {
  const Duration duration{*rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000)};
  RC_ASSERT(parse_duration(to_text(duration)).value() == duration);
}

RC_GTEST_PROP(DurationProperty, AnyTextIsReadOrRefused, (const std::string& text)) {
  const auto parsed = parse_duration(text);
  RC_ASSERT((!parsed || *parsed >= Duration{0}));
}

}  // namespace
}  // namespace tonnage
