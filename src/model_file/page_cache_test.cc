#include "model_file/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file_handle.h"

namespace tonnage {
namespace {

constexpr std::size_t kSize = std::size_t{4} << 20;

// Pages of the file that are in memory.
std::size_t resident(int fd) {
  void* map = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, fd, 0);
  std::vector<unsigned char> pages(kSize / 4096);
  ::mincore(map, kSize, pages.data());
  ::munmap(map, kSize);
  return static_cast<std::size_t>(
      std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

TEST(PageCache, AFileThatNobodyMapsIsGivenBack) {
  const std::string path = testing::TempDir() + "tonnage-page-cache";
  const FileHandle file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::string text(kSize, 'x');
  ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(kSize));
  ASSERT_EQ(::fsync(file.get()), 0);
  if (resident(file.get()) == 0) {
    ::unlink(path.c_str());
    GTEST_SKIP() << "needs a file system with a page cache for " << testing::TempDir();
  }
  drop_from_page_cache({"/nonexistent/model.gguf", path});
  EXPECT_LT(resident(file.get()), std::size_t{64});
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace tonnage
