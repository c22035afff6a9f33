#include "probe/psi.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

using namespace std::chrono_literals;

constexpr const char* kCalm =
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
constexpr const char* kBusy =
    "some avg10=23.45 avg60=9.00 avg300=2.17 total=5912304\n"
    "full avg10=5.09 avg60=1.00 avg300=0.30 total=812001\n";

TEST(Psi, AveragesAreReadAsPermille) {
  EXPECT_EQ(parse_psi(kBusy), (PsiAverages{234, 50, 5'912'304, 812'001}));
  EXPECT_EQ(parse_psi(kCalm), PsiAverages{});
  EXPECT_EQ(parse_psi("some avg10=100.00 total=1\nfull avg10=100.00 total=1\n")->some_permille,
            1000);
}

TEST(Psi, WhatIsNotAPressureFileIsRefused) {
  for (const char* text :
       {"", "some", "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n", "0\n",
        "some avg10=x total=1\nfull avg10=0.00 total=1\n",
        "some avg10=1 total=1\nfull avg10=1 total=1\n", "some avg10=1.00\nfull avg10=1.00\n",
        "some avg10=-1.00 total=1\nfull avg10=1.00 total=1\n",
        "some avg10=101.00 total=1\nfull avg10=1.00 total=1\n",
        "some avg10=1.00 total=-1\nfull avg10=1.00 total=1\n",
        "some avg10=1.00 total=99999999999999999999\nfull avg10=1.00 total=1\n"})
    EXPECT_FALSE(parse_psi(text)) << text;
}

TEST(PsiProbe, TheWorseOfMachineAndCgroupCounts) {
  FixtureTree tree;
  tree.file("/proc/pressure/memory",
            "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"
            "full avg10=0.90 avg60=0.00 avg300=0.00 total=1\n");
  tree.file("/proc/self/cgroup", "4:memory:/old\n0::/tonnage\n");
  tree.file("/proc/self/mountinfo",
            "30 1 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
            "31 1 0:4 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(PsiProbe(tree.root()).sample(), (StallSample{10, 9}));
  tree.file("/sys/fs/cgroup/unified/tonnage/memory.pressure",
            "some avg10=7.00 avg60=0.00 avg300=0.00 total=1\n"
            "full avg10=0.10 avg60=0.00 avg300=0.00 total=1\n");
  const PsiProbe probe(tree.root());
  EXPECT_EQ(probe.files().size(), 2U);
  EXPECT_EQ(probe.sample(), (StallSample{70, 9}));
  // A file that goes away or turns into something else leaves the other.
  tree.file("/proc/pressure/memory", "?");
  EXPECT_EQ(probe.sample(), (StallSample{70, 1}));
}

TEST(PsiProbe, WithoutPsiItSaysWhy) {
  FixtureTree tree;
  const auto sample = PsiProbe(tree.root()).sample();
  ASSERT_FALSE(sample);
  EXPECT_NE(sample.error().text().find("psi=1"), std::string::npos) << sample.error().text();
  EXPECT_NE(sample.error().text().find("/proc/pressure/memory"), std::string::npos);
}

TEST(PsiTrigger, IsWrittenWithItsTerminatingZero) {
  FixtureTree tree;
  tree.file("/proc/pressure/memory", "");
  const std::string file = tree.path("/proc/pressure/memory");
  const auto trigger = PsiTrigger::open(file, PsiTrigger::Kind::some, 150ms);
  ASSERT_TRUE(trigger) << trigger.error().text();
  std::ifstream stream(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_EQ(text, std::string("some 150000 2000000\0", 20));
  EXPECT_NE(::fcntl(trigger->fd(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(PsiTrigger, AFileThatCannotBeWrittenIsNamed) {
  const auto missing = PsiTrigger::open("/nonexistent/memory", PsiTrigger::Kind::full, 1s, 4s);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text().find("/nonexistent/memory"), std::string::npos);
}

// The kernel reports a stall as an exceptional condition. Urgent data of a socket is one too.
TEST(PsiTrigger, AStallIsSeenAndItsEndIsToldApart) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const PsiTrigger orphan(pipe[1]);
  EXPECT_FALSE(orphan.gone());
  ::close(pipe[0]);  // now the writing end is in error, as a trigger whose group was removed
  EXPECT_TRUE(orphan.gone());
  EXPECT_FALSE(orphan.wait(0ms));

  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener, raw, size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, raw, &size), 0);
  const int sender = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(::connect(sender, raw, size), 0);
  const PsiTrigger trigger(::accept(listener, nullptr, nullptr));
  EXPECT_FALSE(trigger.wait(0ms));
  ASSERT_EQ(::send(sender, "!", 1, MSG_OOB), 1);
  EXPECT_TRUE(trigger.wait(5s));
  EXPECT_FALSE(trigger.gone());
  ::close(sender);
  ::close(listener);
}

// On the machine that runs the test, where the kernel lets it.
TEST(PsiTrigger, TheKernelTakesWindowsOfTwoSeconds) {
  const PsiProbe probe;
  const auto sample = probe.sample();
  if (!sample)
    GTEST_SKIP() << "needs a kernel with PSI: " << sample.error().text();
  EXPECT_GE(sample->some_permille, sample->full_permille);
  const auto trigger = PsiTrigger::open(probe.files().front(), PsiTrigger::Kind::some, 150ms);
  if (!trigger)
    GTEST_SKIP() << "needs the right to set triggers: " << trigger.error().text();
  EXPECT_FALSE(trigger->gone());
}

}  // namespace
}  // namespace tonnage
