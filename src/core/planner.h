// Planner: answers what a load needs and who would have to give way; changes nothing.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/decision.h"
#include "core/eviction.h"
#include "core/ledger.h"
#include "core/policy.h"
#include "core/residency.h"

namespace tonnage {

// What is asked of the planner for one model.
struct LoadQuery {
  ModelId model;
  std::int32_t context_needed = 0;
  std::int32_t context_wished = 0;  // as much of it as can be had
  Duration waited{};
  PoolAmounts claimed{};  // headroom that is promised to a model that waited longer
  bool may_evict = true;  // false: only headroom beyond what is claimed may be used
};

// One way to put a row on this machine's pools.
struct Way {
  std::vector<PoolId> devices;  // of each logical device
  Charge charge;
};

enum class LoadVerdict : std::uint8_t {
  fits,     // start now
  evicts,   // stop `victims`, then it fits
  pending,  // servers that are stopping already will make enough room
  waits,    // models with work hold the room, or foreign use does
  refused,  // can never be, for `reason`
};

struct LoadPlan {
  LoadVerdict verdict = LoadVerdict::waits;
  ReasonCode reason = ReasonCode::busy_models;
  std::size_t row = 0;
  bool degraded = false;
  bool profile = false;  // the room is for a dry run, not for a load
  Charge charge;
  std::vector<PoolId> devices;
  PoolId pool = kHostPool;  // where it is tightest; need, headroom and usable are of this pool
  Bytes need;
  Bytes headroom;
  Bytes usable;
  std::vector<ModelId> victims;
  std::size_t forced = 0;            // the first so many victims leave for an option's sake
  std::vector<PlacementNeed> tried;  // with `refused`
};

class Planner {
 public:
  Planner(const Policy& policy, const Ledger& ledger, const std::vector<ModelRecord>& models,
          const EvictionPolicy& eviction, Tick now)
      : policy_(policy), ledger_(ledger), models_(models), eviction_(eviction), now_(now) {}

  // The decision of "Making room" for a load of the model's ladder.
  LoadPlan plan_load(const LoadQuery& query) const;

  // The same for a dry run, which needs a fixed amount of host memory and of each device's.
  LoadPlan plan_profile(const LoadQuery& query) const;
  // What a dry run is charged: no more than there is, because it may have nothing better than to
  // try.
  Charge profile_charge(ModelId model, const PoolAmounts& room) const;

  // Models with work that would have to drain so that `plan` can be carried out, with the idle ones
  // that would go too; empty when even that is not enough.
  std::vector<ModelId> models_to_drain(const LoadQuery& query, const LoadPlan& plan) const;

  // What pools get back once `leaving` have gone, beside what stops already; without files of
  // `kept`.
  PoolAmounts freed_by(std::span<const ModelId> leaving, const Charge& kept) const;

  // Idle models that have to leave because reservations exceed a pool's budget: as many as make up
  // for it, else all that help. Empty while what stops already is enough.
  std::vector<ModelId> victims_over_budget() const;

  // Whether the model holds more than an empty pool has, although it was predicted to fit: loaded
  // again, it would hold as much again. It is no victim of its own size.
  bool is_kept_alone(const ModelRecord& model) const;

  // The first row of the ladder that fits an empty pool, if any.
  std::optional<std::size_t> target_row(ModelId model, std::int32_t context_needed) const;

  // Whether a better row than the running one would fit once its own server has gone, and takes no
  // context away from who asked for it.
  bool better_row_fits(ModelId model) const;

  // Whether a row with more context than the running one, and as much of what is wished as the
  // model could have at all, would fit once its own server and idle models have gone.
  bool can_grow(ModelId model, std::int32_t context_wished) const;

  // The footprint of a row with its margin, its logical devices being `devices`. The margin never
  // makes the difference between running and refusing: it shrinks to what an empty pool has.
  Charge charge_of(const ModelRecord& model, const PlacementRow& row,
                   std::span<const PoolId> devices) const;

  // Whether recovery lets the model use this row: not one that ran out of memory, nor a
  // device after too many failures there. Never forbids all rows.
  bool is_allowed(const ModelRecord& model, std::size_t row) const;

  // Idle models in `pool` that pressure may take: least valuable first, none within its grace.
  std::vector<ModelId> idle_in(PoolId pool, Duration idle_for) const;
  // Of these as many, least valuable first, as free `lacking` of the pool; all if that is too few.
  std::vector<ModelId> relief(PoolId pool, Bytes lacking) const;

  Duration min_residency(const ModelRecord& model) const;

  // An idle, unpinned model that demand may take; `for_model` is none for itself.
  bool is_idle_victim(const ModelRecord& model, std::optional<ModelId> for_model) const;

 private:
  struct Room {
    bool enough = false;
    bool pending = false;
    std::vector<ModelId> victims;
    std::size_t forced = 0;
  };

  bool fits_within(const Charge& charge, const PoolAmounts& room) const;
  // Every way to choose pools for so many logical devices, in a fixed order.
  std::vector<std::vector<PoolId>> mappings(std::size_t devices) const;
  Charge bare_charge(const PlacementRow& row, std::span<const PoolId> devices) const;
  bool row_fits(const ModelRecord& model, const PlacementRow& row, const PoolAmounts& room,
                bool with_margin) const;
  std::vector<Way> ways(const ModelRecord& model, std::size_t row) const;
  LoadPlan best_way(const LoadQuery& query, std::size_t row, const PoolAmounts& reach,
                    std::span<const ModelId> leaving) const;
  bool touches(const Charge& charge, std::size_t pool) const {
    return pool == kHostPool.value || charge.own[pool] > Bytes{0};
  }
  bool leaves_alone(const LoadQuery& query, std::span<const ModelId> victims) const;
  PoolAmounts returning(const Charge& kept) const;
  PoolAmounts empty_amounts(bool minus_foreign) const;
  PoolAmounts pinned_amounts(ModelId except) const;
  PoolAmounts reach_of(const LoadQuery& query) const;
  Room room_for(const LoadQuery& query, const Charge& charge, bool with_busy,
                std::span<const ModelId> leaving) const;
  Room room_within(const LoadQuery& query, const Charge& charge, bool with_busy,
                   std::span<const ModelId> leaving, bool all_of_it) const;
  std::vector<ModelId> must_leave(ModelId model) const;
  // The files that the load itself maps are needed afterwards, whoever had it before: `kept`.
  std::vector<ModelId> choose_victims(const std::vector<ModelId>& usable, PoolAmounts lacking,
                                      const Charge& kept) const;
  std::vector<ModelId> prune_exactly(std::vector<ModelId> victims, const PoolAmounts& lacking,
                                     const Charge& kept) const;
  bool stays_mapped(FileId file, std::span<const ModelId> leaving) const;
  Bytes freed_of(const ModelRecord& m, PoolId pool, const Charge& kept) const;
  Candidate candidate(const ModelRecord& model, PoolId pool, const Charge& kept) const;
  LoadPlan finish(LoadPlan plan, const LoadQuery& query, const Way& way, const Room& room) const;
  LoadPlan plan_as_asked(const LoadQuery& query) const;
  // As much of a wish as a row gives that may be used and fits beside foreign use and pins.
  std::int32_t attainable(ModelId model, std::int32_t context_wished) const;
  // The best row of an empty pool: the first that holds need and wish, else that with most context.
  std::size_t preferred_row(const LoadQuery& query, std::size_t least) const;
  LoadPlan refuse(ReasonCode reason, const LoadQuery& query) const;
  bool is_busy_victim(const ModelRecord& model, ModelId for_model) const;
  const ModelRecord& model(ModelId id) const { return models_[id.value]; }
  std::size_t pools() const { return ledger_.pool_count(); }

  const Policy& policy_;
  const Ledger& ledger_;
  const std::vector<ModelRecord>& models_;
  const EvictionPolicy& eviction_;
  Tick now_;
  bool asks_extra_ = true;
};

}  // namespace tonnage
