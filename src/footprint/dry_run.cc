#include "footprint/dry_run.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

namespace tonnage {
namespace {

constexpr const char* kUnread = "cannot read the dry run's answer";

constexpr std::size_t kFieldsPerRow = 4;
constexpr std::size_t kDevicesMax = 64;     // GGML_SCHED_MAX_BACKENDS is 16
constexpr std::int64_t kMiBMax = 64 << 20;  // 64 TiB: more is no amount of memory
constexpr std::size_t kFailureTextMax = 500;

// Up to `kFieldsPerRow` + 1 fields of a line: one more than a row has tells that it is none.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (fields.size() <= kFieldsPerRow) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos)
      break;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return fields;
}

bool is_number(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<Bytes> mebibytes(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMiBMax) {
    return std::nullopt;
  }
  return Bytes(value * kMiB);
}

// Calls `use(line)` for each line of `text`.
template <typename Use>
void each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

Result<DryRun> parse_dry_run(std::string_view output) {
  DryRun run;
  bool host_seen = false;
  std::optional<Error> error;
  each_line(output, [&](std::string_view line) {
    const auto fields = fields_of(line);
    if (error || fields.size() != kFieldsPerRow)
      return;
    if (!is_number(fields[1]) || !is_number(fields[2]) || !is_number(fields[3]))
      return;
    const auto weights = mebibytes(fields[1]);
    const auto context = mebibytes(fields[2]);
    const auto compute = mebibytes(fields[3]);
    if (!weights || !context || !compute) {
      error = Error{kUnread, {}, "an absurd amount in the line \"" + std::string(line) + "\"", {}};
      return;
    }
    DryRunRow row{std::string(fields[0]), *weights, *context, *compute};
    if (row.device == "Host") {
      if (host_seen)
        error = Error{kUnread, {}, "two lines for the host", {}};
      host_seen = true;
      run.host = std::move(row);
    } else if (run.devices.size() == kDevicesMax) {
      error = Error{kUnread, {}, "more than " + std::to_string(kDevicesMax) + " devices", {}};
    } else {
      run.devices.push_back(std::move(row));
    }
  });
  if (error)
    return std::unexpected(*error);
  if (!host_seen)
    return fail(kUnread, {}, "there is no line for the host in it");
  return run;
}

std::string dry_run_failure(std::string_view error_output) {
  constexpr std::array<std::string_view, 4> telling = {" E ", "error", "what():", "failed"};
  std::string text;
  each_line(error_output, [&](std::string_view line) {
    bool tells = false;
    for (const std::string_view mark : telling) {
      tells = tells || line.find(mark) != std::string_view::npos;
    }
    if (!tells)
      return;
    // "0.00.015.478 E gguf_init_from_reader: ..." begins with a time and a level.
    if (const std::size_t level = line.find(" E "); level != std::string_view::npos) {
      line.remove_prefix(level + 3);
    }
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    if (text.size() + line.size() > kFailureTextMax)
      return;
    text += (text.empty() ? "" : "; ") + std::string(line);
  });
  return text;
}

}  // namespace tonnage
