#include "base/bytes.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace tonnage {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
  const auto parsed = parse_bytes(text);
  return parsed ? "no error" : parsed.error().text();
}

TEST(Bytes, BinaryAndDecimalUnitsAreApart) {
  EXPECT_EQ(parse_bytes("6GiB"), 6_GiB);
  EXPECT_EQ(parse_bytes("512MiB"), 512_MiB);
  EXPECT_EQ(parse_bytes("3KiB"), 3_KiB);
  EXPECT_EQ(parse_bytes("1TiB"), Bytes(kGiB * 1024));
  EXPECT_EQ(parse_bytes("4GB"), Bytes(4'000'000'000));
  EXPECT_EQ(parse_bytes("2MB"), Bytes(2'000'000));
  EXPECT_EQ(parse_bytes("7KB"), Bytes(7'000));
  EXPECT_EQ(parse_bytes("7kB"), Bytes(7'000));
  EXPECT_EQ(parse_bytes("1TB"), Bytes(1'000'000'000'000));
  EXPECT_EQ(parse_bytes("123B"), Bytes(123));
}

TEST(Bytes, FractionsAndSpacesAreFine) {
  EXPECT_EQ(parse_bytes("1.5GiB"), Bytes(kGiB + kGiB / 2));
  EXPECT_EQ(parse_bytes(" 1.5 GiB "), Bytes(kGiB + kGiB / 2));
  EXPECT_EQ(parse_bytes("0.5B"), Bytes(1)) << "rounded to the nearest byte";
  EXPECT_EQ(parse_bytes("0"), Bytes(0)) << "zero needs no unit";
  EXPECT_EQ(parse_bytes("0.0"), Bytes(0));
}

TEST(Bytes, WhatIsNoSizeSaysWhyAndWhatToWrite) {
  EXPECT_THAT(error_of("12"), HasSubstr("the unit is missing"));
  EXPECT_THAT(error_of("12"), HasSubstr("512MiB"));
  EXPECT_THAT(error_of("12gb"), HasSubstr("unknown unit 'gb'"));
  EXPECT_THAT(error_of("12%"), HasSubstr("unknown unit '%'"));
  EXPECT_THAT(error_of(""), HasSubstr("it is empty"));
  EXPECT_THAT(error_of("GiB"), HasSubstr("does not start with a digit"));
  EXPECT_THAT(error_of("-1GiB"), HasSubstr("does not start with a digit"));
  EXPECT_THAT(error_of("1e3B"), HasSubstr("unexpected characters 'e3B'"));
  EXPECT_THAT(error_of("1.GiB"), HasSubstr("no digit follows"));
  EXPECT_THAT(error_of("1.2.3GiB"), HasSubstr("unexpected characters"));
}

TEST(Bytes, WhatDoesNotFitIsOutOfRange) {
  EXPECT_THAT(error_of("9000000TiB"), HasSubstr("out of range"));
  EXPECT_THAT(error_of("99999999999999999999B"), HasSubstr("out of range"));
  EXPECT_THAT(error_of("10000000000GiB"), HasSubstr("out of range"));
  EXPECT_EQ(parse_bytes("8000000TiB"), Bytes(8'000'000 * (kGiB * 1024)));
}

TEST(Bytes, TextIsForPeople) {
  EXPECT_EQ(to_text(0_B), "0 B");
  EXPECT_EQ(to_text(1023_B), "1023 B");
  EXPECT_EQ(to_text(1_KiB), "1 KiB");
  EXPECT_EQ(to_text(518_MiB), "518 MiB");
  EXPECT_EQ(to_text(Bytes(kGiB * 32 / 10)), "3.20 GiB");
  EXPECT_EQ(to_text(-512_MiB), "-512 MiB");
}

TEST(Bytes, PermilleRoundsUpAndDoesNotOverflow) {
  EXPECT_EQ(permille_of(1000_B, 30), 30_B);
  EXPECT_EQ(permille_of(1_B, 1), 1_B);
  EXPECT_EQ(permille_of(0_B, 999), 0_B);
  const Bytes most(INT64_MAX / 2);
  EXPECT_EQ(permille_of(most, 1000), most);
}

RC_GTEST_PROP(BytesProperty, AWholeNumberOfAnyUnitIsReadBackExactly, ()) {
  const auto count = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
  RC_ASSERT(parse_bytes(std::to_string(count) + "KiB").value() == Bytes(count * kKiB));
  RC_ASSERT(parse_bytes(std::to_string(count) + "MiB").value() == Bytes(count * kMiB));
  RC_ASSERT(parse_bytes(std::to_string(count) + "MB").value() == Bytes(count * 1'000'000));
}

RC_GTEST_PROP(BytesProperty, AnyTextIsReadOrRefused, (const std::string& text)) {
  const auto parsed = parse_bytes(text);
  RC_ASSERT((!parsed || *parsed >= 0_B));
}

RC_GTEST_PROP(BytesProperty, PermilleIsTheCeilingOfTheShare, ()) {
  const auto count = *rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000);
  const auto permille = *rc::gen::inRange<std::int64_t>(0, 2'000);
  const std::int64_t whole = count / 1000 * permille;
  const std::int64_t rest = count % 1000 * permille;
  RC_ASSERT(permille_of(Bytes(count), permille).count == whole + (rest + 999) / 1000);
}

}  // namespace
}  // namespace tonnage
