#include "daemon/access_log.h"

#include <array>
#include <ctime>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace tonnage {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kClientLeft = 499;  // as in nginx: the client left before an answer began

std::string time_text(std::chrono::system_clock::time_point at) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch());
  const auto when = static_cast<std::time_t>(since.count() / 1000);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  std::array<char, 40> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string ms = std::to_string(1000 + since.count() % 1000);
  return std::string(text.data(), length) + "." + ms.substr(1) + "Z";
}

Json whole_ms_or_null(const std::optional<Duration>& duration) {
  if (!duration)
    return nullptr;
  return std::chrono::duration_cast<std::chrono::milliseconds>(*duration).count();
}

Json text_or_null(std::string_view text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json fields_of(const net::AnswerRecord& record) {
  static const net::ExchangeNote kNothing;
  const net::ExchangeNote& note = record.note != nullptr ? *record.note : kNothing;
  int status = note.status != 0 ? note.status : record.status;
  if (status == 0)
    status = kClientLeft;
  return {{"request", note.request ? Json(*note.request) : Json(nullptr)},
          {"client", record.peer},
          {"key", text_or_null(note.key)},
          {"method", text_or_null(record.method)},
          {"path", text_or_null(record.path)},
          {"model", text_or_null(note.model)},
          {"status", status},
          {"bytes_in", record.bytes_in},
          {"bytes_out", record.bytes_out},
          {"queue_ms", whole_ms_or_null(note.wait)},
          {"first_byte_ms", whole_ms_or_null(record.first_byte)},
          {"total_ms", whole_ms_or_null(record.total)},
          {"client_left", record.client_left}};
}

// As one word: what would end it, or the line, is percent-encoded.
std::string one_word(const Json& value) {
  if (value.is_null())
    return "-";
  if (!value.is_string())
    return value.dump();
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string word;
  for (const char c : value.get_ref<const std::string&>()) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte < 0x7f && c != '"') {
      word += c;
    } else {
      word += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return word;
}

}  // namespace

std::string access_line(const net::AnswerRecord& record, AccessLog form,
                        std::chrono::system_clock::time_point at) {
  const Json fields = fields_of(record);
  if (form == AccessLog::json) {
    Json line = {{"time", time_text(at)}, {"log", "access"}};
    line.update(fields);
    return line.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  std::string line = time_text(at) + " access";
  for (const auto& [name, value] : fields.items())
    line += " " + name + "=" + one_word(value);
  return line;
}

}  // namespace tonnage
