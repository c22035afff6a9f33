#include "api/kept_prompts.h"

#include <gtest/gtest.h>

namespace tonnage::api {
namespace {

PromptUse use(std::uint64_t prompt, std::uint64_t kept, std::uint64_t prompts = 8) {
  return {.totals = {{.prompt = prompt, .kept = kept, .generated = 1}, prompts}};
}

TEST(KeptPrompts, NothingIsSaidOfLittleOrOfMuchThatWasKept) {
  EXPECT_EQ(kept_note(use(100'000, 0, 7)), "");
  EXPECT_EQ(kept_note(use(4095, 0)), "");
  EXPECT_EQ(kept_note(use(10'000, 2'500)), "");
}

TEST(KeptPrompts, SaysWhatWouldHelp) {
  PromptUse one = use(10'000, 2'499);
  EXPECT_EQ(kept_note(one),
            "2499 of 10000 prompt tokens were kept from earlier requests, the others were read. "
            "For conversations set `slots: 2`: with one slot any other request takes a "
            "conversation's place.");
  one.slots = 3;
  EXPECT_NE(kept_note(one).find("more `slots` than 3"), std::string::npos);
  one.checkpoints_off = true;
  EXPECT_NE(kept_note(one).find("remove `checkpoints: 0`"), std::string::npos);
}

}  // namespace
}  // namespace tonnage::api
