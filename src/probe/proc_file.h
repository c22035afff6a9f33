// read_proc_file(): a small text file of /proc or a cgroup, read whole, under a settable root.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage {

// Kernel text is small; what is larger than its bound was not written by the kernel.
inline constexpr std::size_t kProcFileBytesMax = std::size_t{1} << 20;
// smaps of a server with thousands of mappings: about 1 KB each.
inline constexpr std::size_t kSmapsBytesMax = std::size_t{64} << 20;

// Around numbers and names in what the kernel and drivers' tools print.
inline constexpr std::string_view kProcBlanks = " \t\r\n";

// Errors name the file and the system's reason.
Result<std::string> read_proc_file(const std::string& path,
                                   std::size_t bytes_max = kProcFileBytesMax);

// root + absolute path, without a doubled slash: "/fixture" + "/proc/meminfo".
std::string under_root(std::string_view root, std::string_view path);

// A decimal number that fills the text, spaces around it aside; empty when it is anything else or
// does not fit.
std::optional<std::int64_t> parse_count(std::string_view text);

// "123 kB" as bytes; empty when it is anything else or does not fit.
std::optional<Bytes> parse_kib(std::string_view text);

// Takes the next line off the front of `text`, without its newline; false at the end.
bool next_line(std::string_view& text, std::string_view& line);

// Takes what stands before the next `separator` off the front; the rest where there is none.
std::string_view next_field(std::string_view& line, char separator);

// A line of another program for an error message: its beginning, in quotes, '?' for what does not
// print.
std::string shown_line(std::string_view line);

// Takes the next word (between spaces and tabs) off the front; empty at the end.
std::string_view next_word(std::string_view& text);

}  // namespace tonnage
