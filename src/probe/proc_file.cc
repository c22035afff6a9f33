#include "probe/proc_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <system_error>

#include "base/text.h"

namespace tonnage {
namespace {

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::string system_reason() {
  return std::generic_category().message(errno);
}

}  // namespace

Result<std::string> read_proc_file(const std::string& path, std::size_t bytes_max) {
  const File file(path);
  if (file.fd() < 0)
    return fail("cannot open", path, system_reason());
  std::string text;
  // Kernel files have no size to ask for; most fit the first read.
  std::array<char, 4096> buffer;
  while (true) {
    const ::ssize_t got = ::read(file.fd(), buffer.data(), buffer.size());
    if (got < 0) {
      if (errno == EINTR)
        continue;
      return fail("cannot read", path, system_reason());
    }
    if (got == 0)
      return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > bytes_max) {
      return fail("cannot read", path, "it is larger than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

std::string under_root(std::string_view root, std::string_view path) {
  while (!root.empty() && root.back() == '/')
    root.remove_suffix(1);
  while (!path.empty() && path.front() == '/')
    path.remove_prefix(1);
  std::string full(root);
  if (!path.empty() || full.empty())
    full += '/';
  full += path;
  while (full.size() > 1 && full.back() == '/')
    full.pop_back();
  return full;
}

std::optional<std::int64_t> parse_count(std::string_view text) {
  text = trim(text, kProcBlanks);
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || last != end)
    return std::nullopt;
  return value;
}

std::optional<Bytes> parse_kib(std::string_view text) {
  text = trim(text, kProcBlanks);
  if (!text.ends_with("kB"))
    return std::nullopt;
  text.remove_suffix(2);
  const auto kib = parse_count(text);
  if (!kib || *kib < 0 || *kib > std::numeric_limits<std::int64_t>::max() / kKiB) {
    return std::nullopt;
  }
  return Bytes(*kib * kKiB);
}

std::string_view next_field(std::string_view& line, char separator) {
  const std::size_t end = std::min(line.find(separator), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

std::string shown_line(std::string_view line) {
  constexpr std::size_t kShownMax = 80;
  std::string text(line.substr(0, kShownMax));
  std::ranges::replace_if(text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return "'" + text + "'";
}

bool next_line(std::string_view& text, std::string_view& line) {
  if (text.empty())
    return false;
  const std::size_t end = text.find('\n');
  line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return true;
}

std::string_view next_word(std::string_view& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) {
    text = {};
    return {};
  }
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

}  // namespace tonnage
