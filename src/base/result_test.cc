#include "base/result.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(Error, TextSaysWhatOnWhatWhyAndWhatToDo) {
  const Error error{"cannot read model file", "/models/a.gguf", "it is a directory",
                    "name a .gguf file"};
  EXPECT_EQ(error.text(),
            "cannot read model file /models/a.gguf: it is a directory (name a .gguf file)");
}

TEST(Error, PartsThatAreEmptyLeaveNoTrace) {
  EXPECT_EQ((Error{"cannot start", {}, {}, {}}.text()), "cannot start");
  EXPECT_EQ((Error{{}, {}, "it is empty", {}}.text()), "it is empty");
  EXPECT_EQ((Error{{}, "/a", "it is gone", {}}.text()), "/a: it is gone");
  EXPECT_EQ((Error{"cannot start", {}, {}, "run setup"}.text()), "cannot start (run setup)");
}

TEST(Error, FailMakesAResultWithoutAValue) {
  const Result<int> result = fail("cannot count", "sheep");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), (Error{"cannot count", "sheep", {}, {}}));
}

}  // namespace
}  // namespace tonnage
