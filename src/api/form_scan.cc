#include "api/form_scan.h"

#include <algorithm>
#include <cstring>

#include "api/body.h"
#include "base/text.h"

namespace tonnage::api {
namespace {

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

// Takes a parameter's value off the front of `text`: a token, or a string in quotes.
std::string take_value(std::string_view& text) {
  std::string value;
  if (!text.starts_with('"')) {
    const std::string_view token = text.substr(0, text.find(';'));
    text.remove_prefix(token.size());
    return std::string(trim(token));
  }
  text.remove_prefix(1);
  while (!text.empty() && text.front() != '"') {
    if (text.front() == '\\' && text.size() > 1)
      text.remove_prefix(1);
    value += text.front();
    text.remove_prefix(1);
  }
  if (!text.empty())
    text.remove_prefix(1);
  return value;
}

// The value of `name` in "main; a=b; name=\"c\"".
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  while (true) {
    const std::size_t semicolon = header.find(';');
    if (semicolon == std::string_view::npos)
      return std::nullopt;
    header = trim(header.substr(semicolon + 1));
    const std::size_t equals = header.find_first_of("=;");
    if (equals == std::string_view::npos || header[equals] == ';')
      continue;
    const bool wanted = same_word(trim(header.substr(0, equals)), name);
    header.remove_prefix(equals + 1);
    while (header.starts_with(' '))
      header.remove_prefix(1);
    std::string value = take_value(header);
    if (wanted)
      return value;
  }
}

// memmem instead of string_view::find: its cost stays linear for every content and boundary.
std::size_t find_bytes(std::string_view text, std::string_view what) {
  if (text.size() < what.size())
    return std::string_view::npos;  // memmem takes no null, which an empty view may hold
  const void* at = ::memmem(text.data(), text.size(), what.data(), what.size());
  if (at == nullptr)
    return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

// The name of a part from its header block; empty when it has none.
std::optional<std::string> part_name(std::string_view headers) {
  while (!headers.empty()) {
    const std::size_t end = headers.find("\r\n");
    const std::string_view line = headers.substr(0, end);
    headers.remove_prefix(end == std::string_view::npos ? headers.size() : end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos)
      continue;
    if (!same_word(trim(line.substr(0, colon)), "content-disposition"))
      continue;
    return parameter(line.substr(colon + 1), "name");
  }
  return std::nullopt;
}

}  // namespace

bool is_form(std::string_view content_type) {
  return same_word(trim(content_type.substr(0, content_type.find(';'))), "multipart/form-data");
}

std::optional<std::string> form_boundary(std::string_view content_type) {
  auto boundary = parameter(content_type, "boundary");
  constexpr std::size_t kBoundaryBytesMax = 70;
  if (!boundary || boundary->empty() || boundary->size() > kBoundaryBytesMax)
    return std::nullopt;
  const bool legal = std::ranges::all_of(*boundary, [](char c) { return c >= 0x20 && c < 0x7F; });
  if (!legal || boundary->back() == ' ')
    return std::nullopt;
  return boundary;
}

std::optional<std::string> scan_form(std::string_view body, std::string_view boundary,
                                     const OnFormPart& on_part) {
  const std::string delimiter = "\r\n--" + std::string(boundary);
  const std::string_view opening = std::string_view(delimiter).substr(2);
  if (!body.starts_with(opening)) {  // a preamble is allowed, and ignored
    const std::size_t at = find_bytes(body, delimiter);
    if (at == std::string_view::npos)
      return "its boundary does not occur in the body";
    body.remove_prefix(at + 2);
  }
  body.remove_prefix(opening.size());
  for (std::int32_t parts = 0;; ++parts) {
    if (body.starts_with("--"))
      return std::nullopt;
    while (body.starts_with(' ') || body.starts_with('\t'))
      body.remove_prefix(1);
    if (!body.starts_with("\r\n"))
      return "a boundary is not followed by a new line";
    if (parts == kFormPartsMax)
      return "it has more than " + std::to_string(parts) + " parts";
    // A part without headers begins with the empty line itself.
    const std::size_t headers_end = body.substr(0, kFormPartHeaderBytesMax).find("\r\n\r\n");
    if (headers_end == std::string_view::npos)
      return "the headers of a part do not end";
    const std::string_view headers = body.substr(2, std::max<std::size_t>(headers_end, 2) - 2);
    // The line end before the content may also begin the next delimiter, when it is empty.
    body.remove_prefix(headers_end + 2);
    const std::size_t end = find_bytes(body, delimiter);
    if (end == std::string_view::npos)
      return "a part has no end";
    const std::string_view content = end < 2 ? std::string_view() : body.substr(2, end - 2);
    if (const auto name = part_name(headers))
      on_part(*name, content);
    body.remove_prefix(end + delimiter.size());
  }
}

}  // namespace tonnage::api
