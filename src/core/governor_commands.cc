// Commands of the operator, and shutdown.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "core/governor_impl.h"

namespace tonnage {

void Governor::Impl::on(const LoadModel& event) {
  ModelRecord* model = find(event.model);
  if (model != nullptr && policy_.models[event.model.value].removed)
    model = nullptr;
  if (model == nullptr || shutting_down_) {
    emit(CommandDone{event.command, false,
                     shutting_down_ ? "Tonnage is shutting down" : "no such model"});
    return;
  }
  const bool runs_on =
      model->state == ResidencyState::draining && model->drain_cause != DrainCause::unloading;
  if (model->state == ResidencyState::ready || runs_on) {
    emit(CommandDone{event.command, true, "it is already ready"});
    return;
  }
  if (model->state == ResidencyState::failed && model->refuses) {
    // An operator's word is one of the exits of a failed model.
    move(*model, ResidencyState::absent);
    model->rows.clear();
    model->refuses = false;
  }
  if (!model->wanted_since)
    model->wanted_since = now_;
  model->load_commands.push_back({event.command, event.may_evict});
  dirty_ = true;
}

void Governor::Impl::on(const UnloadModel& event) {
  ModelRecord* model = find(event.model);
  if (model == nullptr) {
    emit(CommandDone{event.command, false, "no such model"});
    return;
  }
  if (model->pinned) {
    emit(CommandDone{event.command, false, "it is pinned; unpin it first"});
    return;
  }
  finish_load_commands(*model, false, "it was unloaded by an operator");
  model->reload_for.reset();
  model->pressed_at.reset();
  if (!model->generation) {
    emit(CommandDone{event.command, true, "it was not loaded"});
    return;
  }
  model->unload_commands.push_back(event.command);
  if (model->state == ResidencyState::ready)
    move(*model, ResidencyState::draining);
  if (model->state == ResidencyState::draining) {
    model->drain_cause = DrainCause::unloading;
    model->yielding_to.reset();
  }
  if (model->state == ResidencyState::loading) {
    decide(decision(DecisionKind::unload, ReasonCode::unloaded_by_operator, *model));
    stop_server(*model, true);
  }
  dirty_ = true;
}

void Governor::Impl::on(const PinModel& event) {
  ModelRecord* model = find(event.model);
  if (model == nullptr) {
    emit(CommandDone{event.command, false, "no such model"});
    return;
  }
  if (model->pinned != event.pinned) {
    model->pinned = event.pinned;
    Decision d = decision(DecisionKind::pin, ReasonCode::operator_asked, *model);
    d.text = event.pinned ? "pinned" : "unpinned";
    decide(std::move(d));
    const bool gives_way =
        model->drain_cause == DrainCause::yielding || model->drain_cause == DrainCause::pressing;
    if (model->pinned && gives_way) {
      model->drain_cause = DrainCause::none;
      model->yielding_to.reset();
      move(*model, ResidencyState::ready);
    }
  }
  emit(CommandDone{event.command, true, event.pinned ? "pinned" : "unpinned"});
  dirty_ = true;
}

void Governor::Impl::on(const Flush& event) {
  FlushState flush;
  flush.command = event.command;
  for (ModelRecord& model : models_) {
    if (!model.generation || model.state == ResidencyState::stopping)
      continue;
    const bool idle = model.leased.empty() && model.queue.empty() && model.load_commands.empty();
    if (model.pinned || !idle || model.state == ResidencyState::loading) {
      ++flush.spared;
      continue;
    }
    ++flush.unloaded;
    flush.stopping.insert(*model.generation);
    decide(decision(DecisionKind::unload, ReasonCode::unloaded_by_operator, model));
    stop_server(model, false);
  }
  flushes_.push_back(std::move(flush));
  flush_gone(Generation{});
}

// Ends every flush whose last server has gone.
void Governor::Impl::flush_gone(Generation generation) {
  for (FlushState& flush : flushes_)
    flush.stopping.erase(generation);
  std::erase_if(flushes_, [&](const FlushState& flush) {
    if (!flush.stopping.empty())
      return false;
    std::string text = "unloaded " + std::to_string(flush.unloaded);
    if (flush.spared > 0) {
      text += "; kept " + std::to_string(flush.spared) + " that are pinned, loading or in use";
    }
    emit(CommandDone{flush.command, true, std::move(text)});
    return true;
  });
}

void Governor::Impl::on(const Shutdown&) {
  if (shutting_down_)
    return;
  shutting_down_ = true;
  shutdown_deadline_ = now_ + policy_.load.drain_timeout;
  for (ModelRecord& model : models_) {
    Decision d = decision(DecisionKind::refuse, ReasonCode::shutting_down, model);
    refuse_all(model, RefusalStatus::unavailable, d);
    finish_load_commands(model, false, "Tonnage is shutting down");
  }
  dirty_ = true;
}

void Governor::Impl::on(const Timer&) {
  dirty_ = true;
}

void Governor::Impl::finish_load_commands(ModelRecord& model, bool ok, const std::string& text) {
  for (const LoadWish& wish : std::exchange(model.load_commands, {})) {
    emit(CommandDone{wish.command, ok, text});
  }
  model.wanted_since.reset();
}

void Governor::Impl::finish_unload_commands(ModelRecord& model) {
  for (const CommandId command : std::exchange(model.unload_commands, {})) {
    emit(CommandDone{command, true, "unloaded"});
  }
}

void Governor::Impl::progress_shutdown() {
  bool busy = false;
  for (ModelRecord& model : models_) {
    busy = busy || model.generation || model.state == ResidencyState::profiling;
    if (!model.generation)
      continue;
    if (model.state == ResidencyState::stopping)
      continue;
    if (!model.leased.empty() && now_ < shutdown_deadline_) {
      deadline_at(shutdown_deadline_);
      continue;
    }
    decide(decision(DecisionKind::unload, ReasonCode::shutting_down, model));
    stop_server(model, !model.leased.empty());
  }
  if (busy || drained_)
    return;
  // A request may still be on its way back from a server that has gone.
  const bool owed = std::ranges::any_of(requests_, [](const auto& r) { return r.second.admitted; });
  if (owed)
    return;
  drained_ = true;
  emit(Drained{});
}

}  // namespace tonnage
