// Ledger: reservations and samples per pool, and what is left.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/policy.h"
#include "core/types.h"

namespace vramd {

// The host and up to eight devices: more than any machine that this is for.
inline constexpr std::size_t kPoolsMax = 9;

// Bytes per pool, indexed by PoolId.
using PoolAmounts = std::array<Bytes, kPoolsMax>;

// What one server is charged for: memory of its own per pool, and a weight file it maps.
struct Charge {
  PoolAmounts own{};
  FileId weights;
  Bytes weights_size;  // zero: maps nothing

  friend bool operator==(const Charge&, const Charge&) = default;
};

// A mapped weight file and how many charges name it.
struct ChargedFile {
  Bytes size;
  std::int32_t users = 0;
};

// A charge as the ledger keeps it. Its address is stable until it is released.
struct LedgerEntry {
  Charge charge;
  const ChargedFile* file = nullptr;  // null when it maps nothing

  // What a pool gets back when this is released: a file that others map gives nothing back.
  Bytes freed(PoolId pool) const {
    const bool last = pool == kHostPool && file != nullptr && file->users == 1;
    return charge.own[pool.value] + (last ? file->size : Bytes{0});
  }
};

// What a probe last said of a pool.
struct PoolSample {
  Bytes capacity;
  Bytes foreign;
  std::optional<Tick> sampled_at;

  friend bool operator==(const PoolSample&, const PoolSample&) = default;
};

// What a ledger remembers, as plain data.
struct LedgerState {
  std::vector<PoolSample> pools;  // index is PoolId
  std::map<Generation, Charge> charges;
  Bytes profile_hold;

  friend bool operator==(const LedgerState&, const LedgerState&) = default;
};

// Reserve before load, correct after: a charge is made before its server starts, raised when more
// is measured, and released only when the memory is seen free. Weights that are mapped from a file
// are charged to the host once per file, at full size, while any charge names them.
class Ledger {
 public:
  explicit Ledger(std::vector<PoolPolicy> pools);
  // Goes on where another stood. `state` has as many pools, and charges that are charged once.
  Ledger(std::vector<PoolPolicy> pools, const LedgerState& state);
  // Entries know each other by address.
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  Ledger(Ledger&&) = default;
  Ledger& operator=(Ledger&&) = default;

  LedgerState state() const;

  // The same pools under other rules; as many as there are.
  void set_policies(const std::vector<PoolPolicy>& pools);

  std::size_t pool_count() const { return pools_.size(); }

  // A probe's view of a pool, with its time.
  void sample(PoolId pool, Bytes capacity, Bytes foreign, Tick at);

  const LedgerEntry* charge(Generation generation, const Charge& charge);
  void release(Generation generation);

  // A measurement of one server's own host memory: raises its charge when it holds more than was
  // predicted, and never lowers it, because memory that was freed for a moment grows back.
  void measured(Generation generation, Bytes host_own);

  // Dry runs hold memory too.
  void hold_for_profile(Bytes amount);
  void release_profile();

  const LedgerEntry* find(Generation generation) const;

  Bytes capacity(PoolId pool) const { return at(pool).capacity; }
  Bytes foreign(PoolId pool) const { return at(pool).foreign; }
  Bytes budget(PoolId pool) const;
  Bytes reserved(PoolId pool) const { return at(pool).reserved; }
  Bytes reserved_weights() const { return weights_; }
  std::optional<Tick> sampled_at(PoolId pool) const { return at(pool).sampled_at; }

  // What a new charge may take now: the smaller of budget - reserved, and of what the machine has
  // left under the reserve once foreign use and all reservations are taken off. A limit therefore
  // bounds our own use only, while the reserve bounds everybody's.
  Bytes headroom(PoolId pool) const;

  // The headroom that a pool without any of our servers would have: with and without foreign use.
  Bytes empty_now(PoolId pool) const;
  Bytes empty(PoolId pool) const { return budget(pool); }

  // Whether more is reserved in a pool than its budget: it shrank after the reservations were made.
  bool over_budget() const;

  // What `charge` would add to a pool: a file that is already charged adds nothing.
  Bytes added(const Charge& charge, PoolId pool) const;

  // What a pool gets back when this generation is released; nothing for an unknown one.
  Bytes freed(Generation generation, PoolId pool) const {
    const LedgerEntry* entry = find(generation);
    return entry == nullptr ? Bytes{0} : entry->freed(pool);
  }

  // Every total recomputed from its parts; one sentence per difference.
  std::vector<std::string> verify() const;

 private:
  struct Pool {
    PoolPolicy policy;
    Bytes capacity;
    Bytes foreign;
    Bytes reserved;
    std::optional<Tick> sampled_at;
  };

  const Pool& at(PoolId pool) const;
  Pool& at(PoolId pool);

  std::vector<Pool> pools_;
  std::map<Generation, LedgerEntry> charges_;
  std::map<FileId, ChargedFile> files_;
  Bytes weights_;       // sum over files_
  Bytes profile_hold_;  // part of the host's reserved
};

}  // namespace vramd
