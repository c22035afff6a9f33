// Profiles: what a model would need, worked out by dry runs before its first load.
#include <algorithm>
#include <utility>

#include "core/governor_impl.h"

namespace tonnage {

void Governor::Impl::start_profile(ModelRecord& model) {
  move(model, ResidencyState::profiling);
  start_dry_run(model, false);
}

void Governor::Impl::start_dry_run(ModelRecord& model, bool next) {
  PoolAmounts room{};
  for (std::uint32_t i = 0; i < ledger_.pool_count(); ++i)
    room[i] = ledger_.headroom(PoolId(i)) + ledger_.held_back(PoolId(i));
  model.profiling_since = now_;
  ledger_.charge(dry_run_of(model.id), planner().profile_charge(model.id, room));
  emit(Profile{model.id, next});
}

// Once the memory of the dry run before is seen free.
void Governor::Impl::continue_profiles() {
  for (ModelRecord& model : models_) {
    if (model.state != ResidencyState::profiling || ledger_.find(dry_run_of(model.id)) != nullptr)
      continue;
    if (shutting_down_ || policy_.models[model.id.value].removed)
      end_profile(model);
    else if ((turns_taken(model.id) & turn_of_dry_run(model.id)).none())
      start_dry_run(model, true);
  }
}

void Governor::Impl::profile_ahead() {
  if (!policy_.load.profile_ahead || !ledger_.sampled_at(kHostPool))
    return;
  if (waiting_ > 0 || load_in_progress() || !may_profile_more())
    return;
  for (ModelRecord& model : models_) {
    if (model.profiled_ahead || !model.rows.empty())
      continue;
    if (model.state != ResidencyState::absent || policy_.models[model.id.value].removed)
      continue;
    LoadQuery query;
    query.model = model.id;
    query.may_evict = false;
    if (planner().plan_profile(query).verdict != LoadVerdict::fits)
      continue;
    model.profiled_ahead = true;
    start_profile(model);
    return;
  }
}

void Governor::Impl::on(const ModelProfiled& event) {
  ModelRecord* model = find(event.model);
  if (model == nullptr || event.rows.empty())
    return;
  std::vector<PlacementRow> rows = event.rows;
  if (rows.size() > kPlacementRowsMax)
    rows.resize(kPlacementRowsMax);
  if (std::exchange(model->rows_stale, model->generation.has_value() && model->rows_stale)) {
    // They speak of what is no longer configured. With a server they came unasked.
    if (model->state == ResidencyState::profiling)
      end_profile(*model);
    return;
  }
  if (model->generation) {
    // Its server was placed by the old rows; the new ones count from the next load on.
    model->next_rows = std::move(rows);
    return;
  }
  model->rows = std::move(rows);
  dirty_ = true;
  if (model->state == ResidencyState::profiling)
    end_profile(*model);
}

void Governor::Impl::on(const DryRunEnded& event) {
  const ModelRecord* model = find(event.model);
  if (model == nullptr || model->state != ResidencyState::profiling)
    return;
  end_dry_run(*model);
  dirty_ = true;
}

void Governor::Impl::end_dry_run(const ModelRecord& model) {
  release(dry_run_of(model.id), model.id);
}

void Governor::Impl::end_profile(ModelRecord& model) {
  end_dry_run(model);
  move(model, ResidencyState::absent);
}

void Governor::Impl::on(const ProfileFailed& event) {
  ModelRecord* found = find(event.model);
  if (found == nullptr || found->state != ResidencyState::profiling)
    return;
  ModelRecord& model = *found;
  if (std::exchange(model.rows_stale, false))
    return end_profile(model);
  end_dry_run(model);
  rest_and_refuse(model, record_failure(model, event.failure, ReasonCode::profile_failed));
}

}  // namespace tonnage
