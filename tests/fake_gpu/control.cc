// fake-gpu: makes and changes a file of devices from a shell or a script.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "device_set.h"
#include "report.h"

namespace {

constexpr const char* kUsage =
    "usage: fake-gpu FILE COMMAND [then COMMAND...]\n"
    "  new                                        an empty set\n"
    "  card UUID NAME PCI TOTAL_MIB RESERVED_MIB  one more GPU\n"
    "  unified DEVICE                             it has no memory of its own\n"
    "  mig CARD UUID MIB                          an instance of a GPU, which is used through "
    "these\n"
    "  allocate DEVICE PID MIB                    fails when it does not fit\n"
    "  release DEVICE PID\n"
    "  lose DEVICE, find DEVICE                   it falls off the bus, and is back\n"
    "  fault FUNCTION CODE DEVICE                 -1: on every device\n"
    "  heal                                       no faults any more\n"
    "  smi 0|1|2|3|4                              works, hangs, garbage, fails, floods\n"
    "  lag MS, now MS                             time that a release takes; the set's clock\n"
    "  live                                       the set's clock goes by itself\n"
    "  report                                     everything, as JSON on standard output\n";

using Words = std::vector<std::string>;

std::uint64_t number(const std::string& word) {
  return std::stoull(word);
}

std::size_t device(const std::string& word) {
  const std::size_t index = number(word);
  if (index >= fake_gpu::kDevicesMax)
    throw std::runtime_error("there is no device " + word);
  return index;
}

std::int32_t small(const std::string& word) {
  return static_cast<std::int32_t>(std::stol(word));
}

void run(fake_gpu::SharedSet& rig, const Words& words) {
  const std::string& command = words.front();
  const auto is = [&](const char* name, std::size_t arguments) {
    return command == name && words.size() == arguments + 1;
  };
  if (is("new", 0)) {
    // The set was made empty when it was opened.
  } else if (is("card", 5)) {
    rig.add_device(words[1], words[2], words[3], number(words[4]) << 20, number(words[5]) << 20);
  } else if (is("unified", 1)) {
    rig->devices[device(words[1])].unified = 1;
  } else if (is("mig", 3)) {
    fake_gpu::Device& card = rig->devices[device(words[1])];
    card.mig_mode = 1;
    rig.add_device(words[2], "instance", card.pci, number(words[3]) << 20).mig_parent =
        small(words[1]);
  } else if (is("allocate", 3)) {
    if (!rig.allocate(device(words[1]), small(words[2]), number(words[3]) << 20))
      throw std::runtime_error("it does not fit");
  } else if (is("release", 2)) {
    rig.release(device(words[1]), small(words[2]));
  } else if (is("lose", 1) || is("find", 1)) {
    rig->devices[device(words[1])].lost = command == "lose" ? 1 : 0;
  } else if (is("fault", 3)) {
    rig.fail_at(words[1], small(words[2]), small(words[3]));
  } else if (is("heal", 0)) {
    rig.clear_faults();
  } else if (is("smi", 1)) {
    rig->smi = static_cast<fake_gpu::Smi>(number(words[1]));
  } else if (is("lag", 1)) {
    rig->release_lag_ms = number(words[1]);
  } else if (is("now", 1)) {
    rig->now_ms = number(words[1]);
  } else if (is("live", 0)) {
    rig->real_clock = 1;
  } else if (is("report", 0)) {
    rig.notice_ends();
    std::puts(fake_gpu::report(rig.set()).c_str());
  } else {
    throw std::runtime_error("what is '" + command + "'?\n" + kUsage);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const Words words(arguments + 1, arguments + count);
  if (words.size() < 2) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  try {
    fake_gpu::SharedSet rig(words[0], words[1] == "new");
    for (std::size_t at = 1; at < words.size();) {
      Words command;
      while (at < words.size() && words[at] != "then")
        command.push_back(words[at++]);
      ++at;
      if (!command.empty())
        run(rig, command);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fake-gpu: %s\n", error.what());
    return 1;
  }
  return 0;
}
