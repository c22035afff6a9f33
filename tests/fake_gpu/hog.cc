// fake-gpu-hog: another user's program, which takes memory of a GPU and gives it back, again and
// again, until its standard input ends. What it is refused it tries again.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>

#include "device_set.h"

namespace {

constexpr const char* kUsage =
    "usage: fake-gpu-hog FILE DEVICE MIB [step=MIB] [pace=MS] [hold=MS] [away=MS] [cycles=N]\n"
    "  step    taken at a time (default: all at once), every pace ms (default 100)\n"
    "  hold    ms that it keeps all of it (default 2000)\n"
    "  away    ms that it has none of it (default 2000)\n"
    "  cycles  ends after so many; each is counted as hog:DEVICE in the set (default: no end)\n";

using Options = std::map<std::string, std::uint64_t>;

Options options_of(int count, char** words) {
  Options options{{"pace", 100}, {"hold", 2000}, {"away", 2000}, {"step", 0}, {"cycles", 0}};
  for (int i = 0; i < count; ++i) {
    const std::string word = words[i];
    const std::size_t equals = word.find('=');
    const auto option = options.find(word.substr(0, equals));
    if (equals == std::string::npos || option == options.end())
      throw std::runtime_error("what is '" + word + "'?\n" + kUsage);
    option->second = std::stoull(word.substr(equals + 1));
  }
  return options;
}

// False when standard input has ended: whoever started this program is gone or wants it to end.
bool lasts(std::uint64_t ms) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(ms);
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (::poll(&input, 1, static_cast<int>(std::max<long long>(left, 0))) == 0)
      return true;
    char byte = 0;
    if (::read(STDIN_FILENO, &byte, 1) <= 0)
      return false;
  }
}

// False when it is to end.
bool take(fake_gpu::SharedSet& set, std::size_t device, std::uint64_t bytes, std::uint64_t step,
          std::uint64_t pace_ms) {
  while (bytes > 0) {
    const std::uint64_t part = std::min(bytes, step == 0 ? bytes : step);
    const auto outcome = set.allocate(
        device,
        {.pid = ::getpid(), .bytes = part, .owner = fake_gpu::Owner::foreign, .watched = true});
    if (outcome == fake_gpu::Outcome::granted)
      bytes -= part;
    if (!lasts(pace_ms))
      return false;
  }
  return true;
}

void run(int count, char** words) {
  if (count < 4)
    throw std::runtime_error(kUsage);
  fake_gpu::SharedSet set(words[1]);
  const std::size_t device = std::stoull(words[2]);
  if (device >= set->device_count)
    throw std::runtime_error(std::string("there is no device ") + words[2]);
  const std::uint64_t bytes = std::stoull(words[3]) << 20;
  Options options = options_of(count - 4, words + 4);
  const std::string cycle = std::string("hog:") + words[2];
  for (std::uint64_t done = 0; options["cycles"] == 0 || done < options["cycles"]; ++done) {
    if (!take(set, device, bytes, options["step"] << 20, options["pace"]) ||
        !lasts(options["hold"])) {
      return;
    }
    set.give_back(device, ::getpid());
    set.count(cycle);
    if (!lasts(options["away"]))
      return;
  }
}

}  // namespace

int main(int count, char** words) {
  try {
    run(count, words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fake-gpu-hog: %s\n", error.what());
    return 1;
  }
  return 0;
}
