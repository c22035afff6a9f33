#include "daemon/decision_line.h"

#include <string>

#include <spdlog/spdlog.h>

#include "daemon/logging.h"

namespace tonnage {

void log_decision(const api::LoggedDecision& entry, const api::ApiContext& context) {
  const DecisionKind kind = entry.decision.kind;
  const bool bad = kind == DecisionKind::fail || kind == DecisionKind::stall;
  const auto level = bad ? spdlog::level::warn : spdlog::level::info;
  if (!spdlog::default_logger_raw()->should_log(level))
    return;
  const std::string fields =
      log_format() == LogFormat::json ? api::decision_fields_json(entry, context) : "{}";
  log_line(level, explain(entry.decision, context.policy), fields);
}

}  // namespace tonnage
