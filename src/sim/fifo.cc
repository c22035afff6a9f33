#include "sim/fifo.h"

#include <algorithm>

#include "sim/budget.h"

namespace tonnage::sim {

Fifo::Fifo(const Policy& policy) : policy_(policy), models_(policy.models.size()) {}

void Fifo::step(Tick, const Event& event, Actions& actions) {
  take(event);
  serve(actions);
}

Fifo::Model* Fifo::by_generation(Generation generation) {
  const auto found = std::find_if(models_.begin(), models_.end(), [&](const Model& model) {
    return model.state >= State::loading && model.generation == generation;
  });
  return found == models_.end() ? nullptr : &*found;
}

void Fifo::take(const Event& event) {
  if (const auto* arrived = std::get_if<RequestArrived>(&event)) {
    queue_.emplace_back(arrived->request, arrived->model.value_or(ModelId(0)));
  } else if (const auto* ended = std::get_if<RequestEnded>(&event)) {
    if (Model* model = by_generation(ended->generation))
      --model->leases;
  } else if (const auto* profiled = std::get_if<ModelProfiled>(&event)) {
    Model& model = models_[profiled->model.value];
    model.row = profiled->rows.front();
    if (model.state == State::profiling)
      model.state = State::absent;
  } else if (const auto* ready = std::get_if<ServerReady>(&event)) {
    if (Model* model = by_generation(ready->generation))
      model->state = State::ready;
  } else if (const auto* exited = std::get_if<ServerExited>(&event)) {
    if (Model* model = by_generation(exited->generation))
      model->state = State::absent;
  } else if (const auto* sampled = std::get_if<PoolSampled>(&event)) {
    const PoolPolicy& pool = policy_.pools[sampled->pool.value];
    budget_ = std::min(budget_for(pool, sampled->capacity),
                       room_of(pool, sampled->capacity) - sampled->foreign);
  }
}

bool Fifo::is_moving() const {
  return std::any_of(models_.begin(), models_.end(), [](const Model& model) {
    return model.state != State::absent && model.state != State::ready;
  });
}

Bytes Fifo::held() const {
  Bytes sum;
  for (const Model& model : models_) {
    if (model.state >= State::loading)
      sum += model.row->host_anon + size_of(model.row->weights);
  }
  return sum;
}

void Fifo::serve(Actions& actions) {
  while (!queue_.empty()) {
    const auto [request, id] = queue_.front();
    Model& model = models_[id.value];
    if (model.state != State::ready) {
      if (!is_moving())
        load(id, actions);
      return;
    }
    if (model.leases >= policy_.models[id.value].in_flight_max)
      return;
    ++model.leases;
    actions.emplace_back(Admit{request, id, model.generation});
    queue_.pop_front();
  }
}

void Fifo::load(ModelId id, Actions& actions) {
  Model& model = models_[id.value];
  if (!model.row) {
    model.state = State::profiling;
    actions.emplace_back(Profile{id});
    return;
  }
  const Bytes need = model.row->host_anon + size_of(model.row->weights);
  if (held() + need <= budget_) {
    model.state = State::loading;
    model.generation = Generation(next_generation_++);
    actions.emplace_back(StartServer{id, model.generation, model.row->placement});
    return;
  }
  Model* oldest = nullptr;
  for (Model& other : models_) {
    if (other.state != State::ready || other.leases > 0)
      continue;
    if (oldest == nullptr || other.generation < oldest->generation)
      oldest = &other;
  }
  if (oldest == nullptr)
    return;  // somebody's work has to end first
  oldest->state = State::stopping;
  const auto index = static_cast<std::uint32_t>(oldest - models_.data());
  actions.emplace_back(StopServer{ModelId(index), oldest->generation, false});
}

}  // namespace tonnage::sim
