#include "probe/memory_folder.h"

#include <gtest/gtest.h>

namespace tonnage {
namespace {

TEST(MemoryFolder, SharedMemoryIsMemoryAndProcIsNot) {
  if (!std::filesystem::is_directory("/dev/shm"))
    GTEST_SKIP() << "needs /dev/shm";
  EXPECT_TRUE(lies_in_memory("/dev/shm"));
  EXPECT_TRUE(lies_in_memory("/dev/shm/not-there/nor-this"));
  EXPECT_FALSE(lies_in_memory("/proc"));
  EXPECT_FALSE(lies_in_memory(""));
}

}  // namespace
}  // namespace tonnage
