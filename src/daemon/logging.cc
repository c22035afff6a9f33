#include "daemon/logging.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include "daemon/log_writer.h"

namespace tonnage {
namespace {

std::atomic<LogFormat> current_format{LogFormat::text};

// What the line that this thread writes carries beside its text.
thread_local std::string_view line_fields;

// The message as a JSON string: `%v` in a pattern would let a quote in a message end the field.
class JsonText final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string text(message.payload.data(), message.payload.size());
    const std::string quoted =
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(quoted.data(), quoted.data() + quoted.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonText>();
  }
};

// The members of line_fields, each with a comma in front.
class JsonFields final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg&, const std::tm&, spdlog::memory_buf_t& out) override {
    if (line_fields.size() <= 2)  // "{}"
      return;
    const std::string_view members = line_fields.substr(1, line_fields.size() - 2);
    out.push_back(',');
    out.append(members.data(), members.data() + members.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonFields>();
  }
};

std::unique_ptr<spdlog::formatter> formatter_of(LogFormat format) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  if (format == LogFormat::json) {
    formatter->add_flag<JsonText>('*').add_flag<JsonFields>('q').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%*%q})");
  } else {
    formatter->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  }
  return formatter;
}

std::string_view colour_of(spdlog::level::level_enum level) {
  if (level >= spdlog::level::err)
    return "\x1b[31m";
  if (level == spdlog::level::warn)
    return "\x1b[33m";
  return level == spdlog::level::info ? "\x1b[32m" : "\x1b[36m";
}

class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LineSink(LogFormat format, int fd, bool colours)
      : base_sink(formatter_of(format)),
        colours_(colours),
        writer_(fd, [loss = std::shared_ptr(formatter_of(format))](std::uint64_t lines) {
          const std::string text =
              std::to_string(lines) + " lines of the log were lost: they were not read in time";
          spdlog::memory_buf_t out;
          loss->format({"tonnage", spdlog::level::warn, text}, out);
          return std::string(out.data(), out.size());
        }) {}

  void write_line(std::string_view line) { writer_.write(std::string(line) + "\n"); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t out;
    formatter_->format(message, out);
    const std::string_view line(out.data(), out.size());
    const std::size_t begin = message.color_range_start;
    const std::size_t end = message.color_range_end;
    if (!colours_ || end <= begin)
      return writer_.write(line);
    std::string painted(line.substr(0, begin));
    painted += colour_of(message.level);
    painted += line.substr(begin, end - begin);
    painted += "\x1b[0m";
    painted += line.substr(end);
    writer_.write(painted);
  }
  void flush_() override {}

  bool colours_;
  LogWriter writer_;
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

LogSession::LogSession(LogLevel level, LogFormat format, int fd) {
  const LogFormat shown = resolved(format, fd);
  const bool colours = ::isatty(fd) == 1 && std::getenv("NO_COLOR") == nullptr;
  auto logger =
      std::make_shared<spdlog::logger>("tonnage", std::make_shared<LineSink>(shown, fd, colours));
  logger->set_level(to_spdlog(level));
  current_format = shown;
  spdlog::set_default_logger(std::move(logger));
}

LogSession::~LogSession() {
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("tonnage", std::make_shared<spdlog::sinks::null_sink_mt>()));
}

LogFormat resolved(LogFormat format, int fd) {
  if (format != LogFormat::automatic)
    return format;
  return ::isatty(fd) == 1 ? LogFormat::text : LogFormat::json;
}

void set_log_level(LogLevel level) {
  spdlog::default_logger_raw()->set_level(to_spdlog(level));
}

LogLevel log_level() {
  const auto level = spdlog::default_logger_raw()->level();
  if (level >= spdlog::level::err)
    return LogLevel::error;
  if (level == spdlog::level::warn)
    return LogLevel::warn;
  return level == spdlog::level::info ? LogLevel::info : LogLevel::debug;
}

LogFormat log_format() {
  return current_format;
}

void log_line(spdlog::level::level_enum level, std::string_view text, std::string_view fields) {
  line_fields = fields;
  spdlog::default_logger_raw()->log(level, text);
  line_fields = {};
}

void write_log_line(std::string_view line) {
  const auto& sinks = spdlog::default_logger_raw()->sinks();
  if (sinks.empty())
    return;
  if (auto* sink = dynamic_cast<LineSink*>(sinks.front().get()))
    sink->write_line(line);
}

void hold_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // open() gives the lowest free number, which is this one.
    if (::fcntl(fd, F_GETFD) < 0) [[maybe_unused]]
      const int held = ::open("/dev/null", O_RDWR);
  }
}

}  // namespace tonnage
