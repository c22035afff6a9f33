#include "journal/reader.h"

#include <utility>

namespace tonnage::journal {

SegmentReader::SegmentReader(std::filesystem::path file, std::ifstream stream)
    : file_(std::move(file)), stream_(std::move(stream)) {}

Result<SegmentReader> SegmentReader::open(const std::filesystem::path& file) {
  constexpr const char* kWhat = "cannot read journal";
  std::error_code error;
  if (std::filesystem::is_directory(file, error))
    return fail(kWhat, file.string(), "it is a directory");
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    return fail(kWhat, file.string(), "it is missing or not readable");
  SegmentReader reader(file, std::move(stream));
  const auto line = reader.read_line();
  if (!line)
    return fail(kWhat, file.string(), reader.cut_ ? "its first line is cut off" : "it is empty");
  auto header = decode_header(*line);
  if (!header)
    return std::unexpected(reader.at_line(header.error()));
  reader.header_ = std::move(*header);
  return reader;
}

// A line without its end is not a line.
std::optional<std::string> SegmentReader::read_line() {
  std::string line;
  if (!std::getline(stream_, line))
    return std::nullopt;
  if (stream_.eof()) {
    cut_ = true;
    return std::nullopt;
  }
  ++line_;
  return line;
}

Result<std::optional<Step>> SegmentReader::next() {
  const auto line = read_line();
  if (!line)
    return std::optional<Step>{};
  auto step = decode_step(*line);
  if (!step)
    return std::unexpected(at_line(step.error()));
  return std::optional<Step>(std::move(*step));
}

Error SegmentReader::at_line(Error error) const {
  return {"cannot read journal", file_.string() + ":" + std::to_string(line_), error.why,
          error.remedy};
}

}  // namespace tonnage::journal
