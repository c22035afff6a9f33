#include "engine/llama/dry_run_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/whole_file.h"
#include "model_file/model_files.h"

namespace tonnage {
namespace {

namespace fs = std::filesystem;

// The first line; another one is a file of another version.
constexpr std::string_view kHeading = "tonnage dry runs 1";
constexpr std::string_view kEnd = "end";
constexpr std::size_t kKeyLength = 32;
// Libraries and programs of one build; more is not the folder of an engine.
constexpr std::size_t kEngineFilesMax = 256;

// FNV-1a, twice with different beginnings: the key of a result, no protection against anybody.
std::uint64_t hash_of(std::string_view text, std::uint64_t hash) {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

std::string hex(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

void write_row(std::string& out, const DryRunRow& row) {
  for (const Bytes part : {row.weights, row.context, row.compute})
    out += " " + std::to_string(part.count / kMiB);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::unexpected<Error> corrupt(std::string why) {
  return fail("cannot use the results of earlier dry runs", "", std::move(why));
}

}  // namespace

std::string dry_run_key(FileId engine, FileId file, const std::vector<std::string>& arguments,
                        const std::vector<std::string>& environment) {
  std::string text = hex(engine.value) + hex(file.value);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    // The file's content counts, not its name.
    const bool is_path = i > 0 && arguments[i - 1] == "--model";
    text += '\n' + (is_path ? std::string() : arguments[i]);
  }
  for (const std::string& variable : environment)
    text += "\n=" + variable;
  return hex(hash_of(text, 0xcbf29ce484222325ULL)) + hex(hash_of(text, 0x9e3779b97f4a7c15ULL));
}

FileId engine_identity(const fs::path& program) {
  std::error_code error;
  const fs::path real = fs::canonical(program, error);
  std::vector<std::string> files;
  for (fs::directory_iterator entry(real.parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool counts = name.find(".so") != std::string::npos || entry->path() == real;
    if (counts && files.size() < kEngineFilesMax)
      files.push_back(entry->path().string());
  }
  std::ranges::sort(files);
  FileId all{};
  for (const std::string& file : files) {
    const std::vector<NamedFile> named = {{FileRole::other, file, ""}};
    if (const auto looked = read_model_files(named))
      all = combined(all, looked->identity());
  }
  return all;
}

// "KEY USED HOST-WEIGHTS CONTEXT COMPUTE [DEVICE WEIGHTS CONTEXT COMPUTE]...", in MiB.
std::string DryRunStore::text() const {
  std::string out = std::string(kHeading) + "\n";
  for (const auto& [key, kept] : results_) {
    out += key + " " + std::to_string(kept.used);
    write_row(out, kept.result.host);
    for (const DryRunRow& row : kept.result.devices) {
      out += " " + row.device;
      write_row(out, row);
    }
    out += "\n";
  }
  return out + std::string(kEnd) + "\n";
}

Result<void> DryRunStore::parse(std::string_view text) {
  results_.clear();
  uses_ = 0;
  changed_ = false;
  if (text.empty())
    return {};
  std::map<std::string, Kept> results;
  std::uint64_t uses = 0;
  bool ended = false;
  for (std::size_t number = 0; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || ended)
      return corrupt("the file is cut off, or goes on behind its end");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (number == 0 && line != kHeading)
      return corrupt("it does not begin with \"" + std::string(kHeading) + "\"");
    if (number == 0)
      continue;
    if (line == kEnd) {
      ended = true;
      continue;
    }
    const auto words = words_of(line);
    const auto wrong = [&] {
      return corrupt("line " + std::to_string(number + 1) + " is damaged");
    };
    if (words.size() < 5 || words[0].size() != kKeyLength || (words.size() - 5) % 4 != 0 ||
        results.size() == kResultsMax)
      return wrong();
    const auto used = words[1];
    Kept kept;
    const auto parsed = std::from_chars(used.data(), used.data() + used.size(), kept.used);
    if (parsed.ec != std::errc() || parsed.ptr != used.data() + used.size())
      return wrong();
    // The rows are those of the program's own output.
    std::string rows = "Host";
    for (std::size_t i = 2; i < words.size(); ++i)
      rows += ((i - 5) % 4 == 0 && i >= 5 ? "\n" : " ") + std::string(words[i]);
    auto result = parse_dry_run(rows + "\n");
    if (!result || result->devices.size() != (words.size() - 5) / 4)
      return wrong();
    kept.result = std::move(*result);
    uses = std::max(uses, kept.used);
    results.insert_or_assign(std::string(words[0]), std::move(kept));
  }
  if (!ended)
    return corrupt("the file is cut off");
  results_ = std::move(results);
  uses_ = uses;
  return {};
}

std::optional<DryRun> DryRunStore::find(const std::string& key) {
  const auto found = results_.find(key);
  if (found == results_.end())
    return std::nullopt;
  found->second.used = ++uses_;
  return found->second.result;
}

void DryRunStore::keep(const std::string& key, const DryRun& result) {
  results_.insert_or_assign(key, Kept{result, ++uses_});
  changed_ = true;
  if (results_.size() <= kResultsMax)
    return;
  const auto oldest = std::ranges::min_element(
      results_, [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
  results_.erase(oldest);
}

bool DryRunStore::take_changed() {
  return std::exchange(changed_, false);
}

Result<std::string> read_store(const fs::path& file) {
  constexpr const char* kWhat = "cannot read the results of earlier dry runs";
  std::error_code error;
  const auto status = fs::status(file, error);
  if (!fs::exists(status))
    return std::string();
  if (!fs::is_regular_file(status))
    return fail(kWhat, file.string(), "it is not a regular file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream.is_open())
    return fail(kWhat, file.string(), std::strerror(errno));
  std::string text(DryRunStore::kFileBytesMax + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > DryRunStore::kFileBytesMax)
    return fail(kWhat, file.string(), "it is larger than any that tonnage writes");
  return text;
}

Result<void> write_store(const fs::path& file, const std::string& text) {
  auto written = write_whole_file(file, text);
  if (!written)
    written.error().what = "cannot keep the results of dry runs in";
  return written;
}

}  // namespace tonnage
