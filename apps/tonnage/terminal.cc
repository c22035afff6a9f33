#include "tonnage/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/check.h"

namespace tonnage {
namespace {

constexpr std::size_t kWidthMin = 60;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view(value);
}

std::string_view escape(Colour colour) {
  switch (colour) {
    case Colour::plain:
      return "";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::cyan:
      return "\x1b[36m";
  }
  return "";
}

std::string padded(std::string_view text, std::size_t width, Align align, bool last) {
  const std::size_t columns = columns_of(text);
  const std::string space(width > columns ? width - columns : 0, ' ');
  if (align == Align::right)
    return space + std::string(text);
  return std::string(text) + (last ? "" : space);
}

}  // namespace

Terminal Terminal::of_stdout() {
  Terminal terminal;
  const bool tty = ::isatty(STDOUT_FILENO) == 1;
  terminal.colour = tty && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view locale = variable(name);
    if (locale.empty())
      continue;
    terminal.unicode = locale.find("UTF-8") != std::string_view::npos ||
                       locale.find("utf8") != std::string_view::npos;
    break;
  }
  winsize size{};
  if (tty && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = std::max<std::size_t>(size.ws_col, kWidthMin);
  }
  return terminal;
}

std::string Terminal::paint(Colour which, std::string_view text) const {
  if (!colour || which == Colour::plain || text.empty())
    return std::string(text);
  return std::string(escape(which)) + std::string(text) + "\x1b[0m";
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string clipped(std::string_view text, std::size_t width) {
  if (columns_of(text) <= width)
    return std::string(text);
  std::size_t end = 0;
  std::size_t columns = 0;
  while (columns + 2 < width) {
    ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
      ++end;
    ++columns;
  }
  return std::string(text.substr(0, end)) + "..";
}

void Table::column(std::string heading, Align align) {
  columns_.push_back({std::move(heading), align});
}

void Table::row(std::vector<Cell> cells) {
  TONNAGE_CHECK(cells.size() <= columns_.size(), "a row has more cells than the table has columns");
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_of(columns_[i].heading);
    for (const auto& row : rows_)
      width = std::max(width, columns_of(row[i].text));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](auto cell_of, auto colour_of) {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool last = i + 1 == columns_.size();
      if (i > 0)
        text += "  ";
      text += terminal_.paint(colour_of(i), padded(cell_of(i), widths[i], columns_[i].align, last));
    }
    while (text.ends_with(' '))
      text.pop_back();
    out += text + "\n";
  };
  line([&](std::size_t i) { return std::string_view(columns_[i].heading); },
       [](std::size_t) { return Colour::dim; });
  for (const auto& row : rows_) {
    line([&](std::size_t i) { return std::string_view(row[i].text); },
         [&](std::size_t i) { return row[i].colour; });
  }
  return out;
}

std::string bar(const Terminal& terminal, const std::vector<Share>& shares, Bytes total,
                std::size_t width) {
  std::string out = "[";
  std::size_t used = 0;
  for (const Share& share : shares) {
    if (total.count <= 0 || share.amount.count <= 0)
      continue;
    const double part = static_cast<double>(share.amount.count) / static_cast<double>(total.count);
    const auto exact = static_cast<std::size_t>(std::lround(part * static_cast<double>(width)));
    const std::size_t cells = std::min(std::max<std::size_t>(exact, 1), width - used);
    std::string block;
    for (std::size_t i = 0; i < cells; ++i) {
      // Shades tell the parts apart where there are no colours.
      block += !terminal.unicode    ? std::string(1, share.ascii)
               : share.ascii == '#' ? "\u2588"
                                    : "\u2592";
    }
    out += terminal.paint(share.colour, block);
    used += cells;
  }
  for (; used < width; ++used)
    out += terminal.unicode ? "\u2591" : ".";
  return out + "]";
}

std::string size_text(Bytes bytes) {
  const bool negative = bytes.count < 0;
  const double amount = std::abs(static_cast<double>(bytes.count));
  std::array<char, 48> buffer{};
  if (amount >= static_cast<double>(kGiB) - 1) {
    std::snprintf(buffer.data(), buffer.size(), "%s%.2f GiB", negative ? "-" : "",
                  amount / static_cast<double>(kGiB));
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%s%.0f MiB", negative && amount > 0 ? "-" : "",
                  amount / static_cast<double>(kMiB));
  }
  return buffer.data();
}

std::string span_text(Duration duration) {
  const std::int64_t seconds =
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(duration).count());
  const auto two = [](std::int64_t big, const char* big_unit, std::int64_t small,
                      const char* small_unit) {
    std::string out = std::to_string(big) + big_unit;
    if (small > 0)
      out += " " + std::to_string(small) + small_unit;
    return out;
  };
  if (seconds < 60)
    return std::to_string(seconds) + "s";
  if (seconds < 3'600)
    return two(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86'400)
    return two(seconds / 3'600, "h", seconds % 3'600 / 60, "m");
  return two(seconds / 86'400, "d", seconds % 86'400 / 3'600, "h");
}

std::tm system_local_time(std::int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm out{};
  ::localtime_r(&time, &out);
  return out;
}

std::string folded(std::string_view text, std::size_t width, std::size_t indent) {
  constexpr std::size_t kRoomMin = 20;
  const std::size_t room = width > indent + kRoomMin ? width - indent : kRoomMin;
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty())
      continue;
    if (column > 0 && column + 1 + columns_of(word) > room) {
      out += "\n" + std::string(indent, ' ');
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += columns_of(word);
  }
  return out;
}

}  // namespace tonnage
