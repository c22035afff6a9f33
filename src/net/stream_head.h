// The head of an answer that is a stream: one set of fields, whoever begins it.
#pragma once

#include <string>
#include <string_view>

namespace tonnage::net {

// True for the content types that are read while they arrive: events, and JSON by the line.
bool is_stream_type(std::string_view content_type);

// Fields that this program writes itself and never takes from a model server or a handler: `date`
// and `x-accel-buffering`; in a stream `cache-control` too.
bool is_own_field(std::string_view name, bool stream);

// What keeps a stream from being held back or kept: nginx buffers without X-Accel-Buffering, and
// compressing proxies do without no-transform.
void append_stream_fields(std::string& head);

// "Sun, 06 Nov 1994 08:49:37 GMT"; made anew once a second.
class DateText {
 public:
  std::string_view now();
  std::string_view at(long long unix_s);

 private:
  long long made_for_ = -1;
  std::string text_;
};

}  // namespace tonnage::net
