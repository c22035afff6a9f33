#include "process/stat.h"

#include <unistd.h>

#include <gtest/gtest.h>

namespace tonnage {
namespace {

constexpr std::string_view kTail =
    " 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 4 0 123456 1000 200 18446744073709551615 1 1\n";

TEST(ProcessStat, ReadsStateGroupAndStart) {
  const auto stat = parse_process_stat("42 (llama-server) S 1 43 44" + std::string(kTail));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->group, 43);
  EXPECT_EQ(stat->start_ticks, 123456U);
}

TEST(ProcessStat, AProgramsNameMayHoldAnything) {
  const auto stat = parse_process_stat("42 (a) R 7 (b c) T 1 43 44" + std::string(kTail));
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->state, 'T');
  EXPECT_EQ(stat->group, 43);
}

TEST(ProcessStat, DamagedLinesGiveNothing) {
  for (const std::string_view line : {"", "42", "42 (x", "42 (x)", "42 (x) S 1",
                                      "42 (x) S 1 4x 4 0 -1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"}) {
    EXPECT_FALSE(parse_process_stat(line)) << line;
  }
}

TEST(ProcessStat, KnowsThisProcessAndNoneThatIsGone) {
  const auto self = read_process_stat(::getpid());
  ASSERT_TRUE(self);
  EXPECT_EQ(self->state, 'R');
  EXPECT_EQ(self->group, ::getpgrp());
  EXPECT_FALSE(read_process_stat(0x7ffffff0));
}

TEST(ProcessStat, TheBootIdIsStable) {
  EXPECT_EQ(boot_id().size(), 36U);
  EXPECT_EQ(boot_id(), boot_id());
}

}  // namespace
}  // namespace tonnage
