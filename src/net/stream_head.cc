#include "net/stream_head.h"

#include <array>
#include <chrono>
#include <ctime>

#include "http/message.h"

namespace tonnage::net {

bool is_stream_type(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t'))
    type.remove_suffix(1);
  return same_name(type, "text/event-stream") || same_name(type, "application/x-ndjson");
}

bool is_own_field(std::string_view name, bool stream) {
  switch (name.size()) {
    case 4:
      return same_name(name, "date");
    case 13:
      return stream && same_name(name, "cache-control");
    case 17:
      return same_name(name, "x-accel-buffering");
    default:
      return false;
  }
}

void append_stream_fields(std::string& head) {
  head.append("cache-control: no-cache, no-store, no-transform\r\nx-accel-buffering: no\r\n");
}

std::string_view DateText::now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return at(std::chrono::duration_cast<std::chrono::seconds>(since).count());
}

std::string_view DateText::at(long long unix_s) {
  if (unix_s == made_for_)
    return text_;
  // Not strftime: its names of days and months are those of the locale.
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto when = static_cast<std::time_t>(unix_s);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                   kDays[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                                   kMonths[static_cast<std::size_t>(parts.tm_mon)],
                                   parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  text_.assign(text.data(), static_cast<std::size_t>(length));
  made_for_ = unix_s;
  return text_;
}

}  // namespace tonnage::net
