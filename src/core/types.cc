#include "core/types.h"

namespace tonnage {

std::string_view to_text(ModelType type) {
  switch (type) {
    case ModelType::llm:
      return "llm";
    case ModelType::embedding:
      return "embedding";
    case ModelType::reranker:
      return "reranker";
    case ModelType::stt:
      return "stt";
    case ModelType::vision:
      return "vision";
    case ModelType::image:
      return "image";
    case ModelType::other:
      return "other";
  }
  return "other";
}

std::string_view to_text(Priority priority) {
  switch (priority) {
    case Priority::low:
      return "low";
    case Priority::normal:
      return "normal";
    case Priority::high:
      return "high";
  }
  return "normal";
}

std::string_view to_text(KvType type) {
  switch (type) {
    case KvType::f32:
      return "f32";
    case KvType::f16:
      return "f16";
    case KvType::bf16:
      return "bf16";
    case KvType::q8_0:
      return "q8_0";
    case KvType::q5_1:
      return "q5_1";
    case KvType::q5_0:
      return "q5_0";
    case KvType::q4_1:
      return "q4_1";
    case KvType::q4_0:
      return "q4_0";
    case KvType::iq4_nl:
      return "iq4_nl";
  }
  return "f16";
}

std::string_view to_text(FootprintSource source) {
  switch (source) {
    case FootprintSource::analytic:
      return "analytic";
    case FootprintSource::dry_run:
      return "dry_run";
    case FootprintSource::learned:
      return "learned";
    case FootprintSource::declared:
      return "declared";
  }
  return "analytic";
}

std::string_view to_text(FailureKind kind) {
  switch (kind) {
    case FailureKind::crashed:
      return "crashed";
    case FailureKind::exited:
      return "exited";
    case FailureKind::out_of_memory:
      return "out_of_memory";
    case FailureKind::out_of_device_memory:
      return "out_of_device_memory";
    case FailureKind::load_timeout:
      return "load_timeout";
    case FailureKind::unresponsive:
      return "unresponsive";
    case FailureKind::bad_model:
      return "bad_model";
    case FailureKind::bad_setup:
      return "bad_setup";
    case FailureKind::spawn_failed:
      return "spawn_failed";
    case FailureKind::stale_profile:
      return "stale_profile";
    case FailureKind::killed:
      return "killed";
  }
  return "crashed";
}

std::string_view to_text(RequestOutcome outcome) {
  switch (outcome) {
    case RequestOutcome::answered:
      return "answered";
    case RequestOutcome::client_gone:
      return "client_gone";
    case RequestOutcome::lost:
      return "lost";
    case RequestOutcome::broken:
      return "broken";
  }
  return "answered";
}

}  // namespace tonnage
