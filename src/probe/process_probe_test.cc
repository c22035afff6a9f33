#include "probe/process_probe.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "base/prng.h"
#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

std::string status(std::string_view state, int anon_kib, int file_kib, int locked_kib) {
  return "Name:\tllama-server\nState:\t" + std::string(state) + "\nVmHWM:\t  9000 kB\nVmLck:\t  " +
         std::to_string(locked_kib) + " kB\nRssAnon:\t  " + std::to_string(anon_kib) +
         " kB\nRssFile:\t  " + std::to_string(file_kib) + " kB\nRssShmem:\t  8 kB\n";
}

constexpr std::string_view kSmaps =
    "7f0000000000-7f0000400000 r--s 00000000 fd:01 77        /models/a b.gguf\n"
    "Size:               4096 kB\nRss:                2048 kB\nPss:                2048 kB\n"
    "Locked:                0 kB\nVmFlags: rd sh mr\n"
    "7f0000400000-7f0000500000 r--s 00400000 fd:01 77        /models/a b.gguf\n"
    "Rss:                1024 kB\nLocked:              512 kB\n"
    "7f1000000000-7f1000100000 rw-p 00000000 00:00 0 \n"
    "Rss:                 700 kB\n"
    "7f2000000000-7f2000001000 r-xp 00000000 fd:01 5         /lib/libc.so.6\n"
    "Rss:                   4 kB\n"
    "7f3000000000-7f3000200000 r--s 00000000 fd:01 9         /models/old.gguf (deleted)\n"
    "Rss:                   4 kB\n"
    "7fff00000000-7fff00001000 rw-p 00000000 00:00 0         [stack]\n";

TEST(ProcessProbe, ReadsAStatus) {
  const auto memory = parse_process_status(status("T (stopped)", 1000, 5000, 300));
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->state, 'T');
  EXPECT_EQ(memory->held(), 1008_KiB);
  EXPECT_EQ(memory->unreclaimable(), 1308_KiB);
  EXPECT_EQ(memory->peak, 9000_KiB);
}

TEST(ProcessProbe, LockedCountsAtMostTheFilePart) {
  EXPECT_EQ(parse_process_status(status("S", 1000, 200, 1200))->unreclaimable(), 1208_KiB);
}

TEST(ProcessProbe, AZombieHoldsNothing) {
  const auto memory = parse_process_status("Name:\tx\nState:\tZ (zombie)\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->state, 'Z');
  EXPECT_EQ(memory->held(), 0_B);
}

TEST(ProcessProbe, RefusesNonsense) {
  EXPECT_FALSE(parse_process_status(""));
  EXPECT_FALSE(parse_process_status("State:\tS\nRssAnon:\tmany kB\n"));
  EXPECT_FALSE(parse_process_status("State:\tS\nRssAnon:\t99999999999999999 kB\n"));
}

TEST(ProcessProbe, SumsAFileOverItsMappings) {
  const auto files = parse_mappings(kSmaps);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0],
            (MappedFile{"/models/a b.gguf", "fd:01", 77, false, false, 5_MiB, 3_MiB, 512_KiB}));
  EXPECT_EQ(files[1].path, "/lib/libc.so.6");
  EXPECT_EQ(files[2].path, "/models/old.gguf");
  EXPECT_TRUE(files[2].deleted);
}

// Pages of tmpfs are shared memory to the kernel; those of a model are its weights.
TEST(ProcessProbe, WeightsOnTmpfsAreToldFromOtherSharedMemory) {
  constexpr std::string_view kMounts =
      "22 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
      "36 22 0:32 / /dev/shm rw,nosuid shared:4 master:1 - tmpfs tmpfs rw,size=65536k\n"
      "garbage\n37 22 0:x / /x rw - tmpfs\n";
  EXPECT_EQ(parse_memory_devices(kMounts), std::vector<std::string>{"00:20"});
  FixtureTree tree;
  tree.file("/proc/9/mountinfo", kMounts)
      .file("/proc/9/smaps",
            "7f0000000000-7f0000400000 r--s 00000000 00:20 7  /dev/shm/a.gguf\nRss: 3072 kB\n"
            "7f1000000000-7f1000400000 rw-s 00000000 00:20 8  /dev/shm/driver\nRss: 4096 kB\n"
            "7f2000000000-7f2000400000 r--s 00000000 fe:00 9  /models/b.gguf\nRss: 4096 kB\n");
  EXPECT_EQ(ProcessProbe(tree.root()).read_only_shmem(9), 3_MiB);
  EXPECT_EQ(ProcessProbe(tree.root()).read_only_shmem(10), 0_B);
}

TEST(ProcessProbe, WithoutSmapsItReadsMaps) {
  FixtureTree tree;
  tree.file("/proc/9/maps", "7f0000000000-7f0000400000 r--s 00000000 fd:01 77  /models/a.gguf\n");
  const auto files = ProcessProbe(tree.root()).mapped_files(9);
  ASSERT_TRUE(files);
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ((*files)[0].mapped, 4_MiB);
  EXPECT_EQ((*files)[0].resident, 0_B);
  EXPECT_FALSE(ProcessProbe(tree.root()).mapped_files(10));
}

TEST(ProcessProbe, SmallFilesAreNotWeights) {
  FixtureTree tree;
  tree.file("/proc/9/smaps", kSmaps);
  const auto files = ProcessProbe(tree.root()).mapped_files(9, 1_MiB);
  ASSERT_EQ(files->size(), 2u);
}

TEST(ProcessProbe, SumsTheTreeOverTheChildrenOfEveryThread) {
  FixtureTree tree;
  tree.file("/proc/10/status", status("S", 100, 0, 0))
      .file("/proc/10/task/10/children", "11 ")
      .file("/proc/10/task/12/children", "13 14 ")
      .file("/proc/11/status", status("R", 10, 0, 0))
      .file("/proc/11/task/11/children", "")
      .file("/proc/13/status", status("R", 1, 0, 0))
      .file("/proc/13/task/13/children", "10 ");  // a reused number does not make a loop
  const ProcessProbe probe(tree.root());
  EXPECT_EQ(probe.tree_pids(10), (std::vector{10, 11, 13, 14}));
  const auto sum = probe.tree(10);
  ASSERT_TRUE(sum);
  EXPECT_EQ(sum->anon, 111_KiB);  // 14 has ended
  EXPECT_EQ(sum->state, 'S');
  EXPECT_FALSE(probe.tree(99));
}

TEST(ProcessProbe, FallsBackToParentNumbers) {
  FixtureTree tree;
  tree.file("/proc/10/status", status("S", 100, 0, 0))
      .file("/proc/10/stat", "10 (a) S 1 10 10\n")
      .file("/proc/11/status", status("S", 10, 0, 0))
      .file("/proc/11/stat", "11 (evil) S 7 (x) R 10 10 10\n")
      .file("/proc/12/stat", "12 (other) S 1 12 12\n")
      .file("/proc/13/stat", "garbage");
  EXPECT_EQ(ProcessProbe(tree.root()).tree_pids(10), (std::vector{10, 11}));
}

TEST(ProcessProbe, SumsDoNotOverflow) {
  ProcessMemory a, b;
  a.anon = Bytes(std::numeric_limits<std::int64_t>::max());
  b.anon = 1_B;
  a += b;
  EXPECT_EQ(a.anon.count, std::numeric_limits<std::int64_t>::max());
}

TEST(ProcessProbe, SeesItself) {
  const ProcessProbe probe;
  const auto memory = probe.process(::getpid());
  ASSERT_TRUE(memory) << memory.error().text();
  EXPECT_GT(memory->anon, 0_B);
  const auto files = probe.mapped_files(::getpid(), 0_B);
  ASSERT_TRUE(files);
  EXPECT_FALSE(files->empty());
}

TEST(ProcessProbe, ParsersSurviveAnyBytes) {
  const std::string seed = std::string(kSmaps) + status("S", 1, 2, 3) + "11 12 13";
  Prng random(5);
  for (int round = 0; round < 5000; ++round) {
    std::string text = seed;
    for (int edit = 0; edit < 8; ++edit) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    text.resize(random.below(text.size() + 1));
    for (const MappedFile& file : parse_mappings(text))
      EXPECT_GE(file.mapped, 0_B);
    (void)parse_process_status(text);
    parse_children(text);
  }
}

}  // namespace
}  // namespace tonnage
