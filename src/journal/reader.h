// SegmentReader: the steps of one segment file, one after the other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/result.h"
#include "journal/codec.h"

namespace tonnage::journal {

// Memory stays that of one line. Errors name file and line.
class SegmentReader {
 public:
  static Result<SegmentReader> open(const std::filesystem::path& file);

  const SegmentHeader& header() const { return header_; }
  const std::filesystem::path& file() const { return file_; }

  // The next step; empty at the end.
  Result<std::optional<Step>> next();

  // After the end: the last line was begun and not finished, as a killed daemon leaves it.
  bool cut() const { return cut_; }
  std::uint64_t line() const { return line_; }

 private:
  SegmentReader(std::filesystem::path file, std::ifstream stream);
  std::optional<std::string> read_line();
  Error at_line(Error error) const;

  std::filesystem::path file_;
  std::ifstream stream_;
  SegmentHeader header_;
  std::uint64_t line_ = 0;
  bool cut_ = false;
};

}  // namespace tonnage::journal
