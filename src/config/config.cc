#include "config/config.h"

namespace tonnage {

Placement apply(const LadderStep& step, Placement base) {
  if (step.context)
    base.context = *step.context;
  if (step.slots)
    base.slots = *step.slots;
  if (step.gpu_layers)
    base.gpu_layers = *step.gpu_layers;
  if (step.kv)
    base.kv = *step.kv;
  return base;
}

std::string to_text(const Listen& listen) {
  const bool v6 = listen.host.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + listen.host + "]" : listen.host;
  return host + ":" + std::to_string(listen.port);
}

std::string to_text(const std::vector<Listen>& listen) {
  std::string out;
  for (const Listen& one : listen)
    out += (out.empty() ? "" : ", ") + to_text(one);
  return out;
}

bool is_loopback(const Listen& listen) {
  if (listen.host == "localhost" || listen.host == "::1")
    return true;
  // A name such as 127.example.com is not an address.
  return listen.host.starts_with("127.") &&
         listen.host.find_first_not_of("0123456789.") == std::string::npos;
}

std::string_view to_text(Resume resume) {
  return resume == Resume::last ? "last" : "none";
}

std::string_view to_text(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      return "error";
  }
  return "";
}

std::string_view to_text(LogFormat format) {
  switch (format) {
    case LogFormat::automatic:
      return "auto";
    case LogFormat::text:
      return "text";
    case LogFormat::json:
      return "json";
  }
  return "";
}

std::string_view to_text(AccessLog form) {
  switch (form) {
    case AccessLog::off:
      return "off";
    case AccessLog::line:
      return "line";
    case AccessLog::json:
      return "json";
  }
  return "";
}

std::filesystem::path control_socket(const std::filesystem::path& runtime_dir) {
  return runtime_dir / "control.sock";
}

}  // namespace tonnage
