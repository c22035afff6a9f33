// DescriptorReserve: file descriptors kept back for what must not fail when clients have taken all
// others: probes of servers, the start of programs, requests on their way to a server.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tonnage {

// Whether a system call failed for want of something of our own (descriptors, memory of sockets),
// which says nothing about the one at the other end.
bool is_own_shortage(int error);

// The same of errno, for descriptors alone.
bool lacks_descriptors();

// Raises the soft limit of descriptors to `wanted`, or as far as the hard limit allows. What holds
// then.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted);

// One for the process, since descriptors are the process's. Any thread.
class DescriptorReserve {
 public:
  // Holds so many from now on; zero gives all back.
  static void hold(std::size_t count);
  // Gives one up, so that the next call that needs a descriptor finds one. False: there is none
  // left.
  static bool give();
  // Takes back what was given, as far as there is room again.
  static void refill();
};

// Calls `open` again with descriptors of the reserve as long as it fails for want of one. `open`
// returns a descriptor, or -1 with errno set.
template <typename Open>
int open_with_reserve(const Open& open) {
  int fd = open();
  while (fd < 0 && lacks_descriptors() && DescriptorReserve::give())
    fd = open();
  return fd;
}

}  // namespace tonnage
