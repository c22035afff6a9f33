// Terminal: colours, bars and aligned tables for people.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/tick.h"

namespace tonnage {

enum class Colour : std::uint8_t { plain, bold, dim, red, green, yellow, cyan };

struct Terminal {
  bool colour = false;     // a terminal, and NO_COLOR is not set
  bool unicode = false;    // the locale says UTF-8
  std::size_t width = 80;  // columns; 80 where there is no terminal

  // Of this process' standard output.
  static Terminal of_stdout();

  std::string paint(Colour colour, std::string_view text) const;
};

// Columns that text takes up; one per character, which holds for what is printed here.
std::size_t columns_of(std::string_view text);

// At most `width` columns; what was cut ends in "..".
std::string clipped(std::string_view text, std::size_t width);

enum class Align : std::uint8_t { left, right };

struct Cell {
  std::string text;
  Colour colour = Colour::plain;
};

// Rows under headings, two spaces between columns, nothing behind the last one.
class Table {
 public:
  explicit Table(const Terminal& terminal) : terminal_(terminal) {}

  void column(std::string heading, Align align = Align::left);
  // Missing cells are empty; surplus ones are an error of the program.
  void row(std::vector<Cell> cells);
  std::string text() const;

 private:
  struct Column {
    std::string heading;
    Align align = Align::left;
  };
  const Terminal& terminal_;
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// One part of a bar.
struct Share {
  Bytes amount;
  Colour colour = Colour::plain;
  char ascii = '#';
};

// "[####..    ]": shares of `total` in `width` columns; a share above zero is seen.
std::string bar(const Terminal& terminal, const std::vector<Share>& shares, Bytes total,
                std::size_t width);

// "3.20 GiB", right for columns: always two decimals and GiB from 1 GiB on, else whole MiB.
std::string size_text(Bytes bytes);

// "12s", "3m 20s", "2h 5m", "4d 1h": two units at most.
std::string span_text(Duration duration);

// Unix seconds as the reader's date and time of day.
using LocalTime = std::tm (*)(std::int64_t unix_s);
std::tm system_local_time(std::int64_t unix_s);

// Paragraphs folded at spaces to `width` columns; lines after the first begin with `indent` spaces.
std::string folded(std::string_view text, std::size_t width, std::size_t indent);

}  // namespace tonnage
