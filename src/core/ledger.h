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

namespace tonnage {

// The host and up to eight devices: more than any machine that this is for.
inline constexpr std::size_t kPoolsMax = 9;

// Bytes per pool, indexed by PoolId.
using PoolAmounts = std::array<Bytes, kPoolsMax>;

// What a server or a dry run is charged for: memory of its own per pool, and the files it maps.
struct Charge {
  PoolAmounts own{};
  WeightFiles weights;

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
  std::array<const ChargedFile*, kWeightFilesMax> files{};  // null where it maps nothing

  // What a pool gets back when this is released: a file that others map gives nothing back, nor
  // does one of `kept`, which is needed afterwards.
  Bytes freed(PoolId pool, const WeightFiles& kept = {}) const {
    Bytes sum = charge.own[pool.value];
    for (std::size_t i = 0; pool == kHostPool && i < files.size(); ++i) {
      if (files[i] != nullptr && files[i]->users == 1 && !names(kept, charge.weights[i].file))
        sum += files[i]->size;
    }
    return sum;
  }
  bool shares_a_file() const {
    for (const ChargedFile* file : files) {
      if (file != nullptr && file->users > 1)
        return true;
    }
    return false;
  }
};

// Device memory of servers and dry runs that ended, until it is seen free.
struct Release {
  std::map<Generation, Bytes> held;
  // What nobody could be made to answer for when the first of them ended. What is more than that
  // now has not come back.
  Bytes unowned_before;

  friend bool operator==(const Release&, const Release&) = default;
};

// What a probe last said of a pool.
struct PoolSample {
  Bytes capacity;
  Bytes foreign;
  Bytes used;
  std::optional<Bytes> orphaned;
  Bytes expected;
  bool lost = false;
  std::optional<Tick> sampled_at;
  Release release;
  Bytes held_back;  // free, but not for a new charge

  friend bool operator==(const PoolSample&, const PoolSample&) = default;
};

// What a ledger remembers, as plain data.
struct LedgerState {
  std::vector<PoolSample> pools;  // index is PoolId
  std::map<Generation, Charge> charges;

  friend bool operator==(const LedgerState&, const LedgerState&) = default;
};

// Reserve before load, correct after: a charge is made before its server starts, raised when more
// is measured, and released only when the memory is seen free. Weights that are mapped from a file
// are charged to the host once per file, at full size, while any charge names them. Host memory is
// free when a process is gone; device memory stays reserved until a sample shows it free.
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

  // A probe's view of a pool, with its time. Ends the release of what `release_permille` of has
  // come back; the rest is foreign from then on.
  void sample(PoolId pool, const PoolSample& sample, std::int64_t release_permille = 750);
  // Its device is no longer visible: nothing fits there until it is sampled again.
  void lose(PoolId pool);

  const LedgerEntry* charge(Generation generation, const Charge& charge);
  // Its process has gone. Device memory stays reserved, as releasing, until it is seen free.
  void release(Generation generation);
  // What a generation's release still lacks in a pool, and what of it has come back.
  struct Missing {
    Bytes held;
    Bytes returned;
  };
  std::optional<Missing> missing(Generation generation, PoolId pool) const;
  // Gives up waiting: the rest counts as what the samples say it is.
  void write_off(Generation generation);

  // A measurement of one server's own memory per pool: raises its charge where it holds more than
  // was predicted, and never lowers it, because memory that was freed for a moment grows back.
  // Says whether anything changed.
  bool measured(Generation generation, const PoolAmounts& own);

  // Lowers a charge to what is given where that is less; weights stay as they are.
  void lower(Generation generation, const PoolAmounts& own);

  // What a new charge may not count on, though it is free (derating under pressure).
  void hold_back(PoolId pool, Bytes amount) { at(pool).seen.held_back = amount; }
  Bytes held_back(PoolId pool) const { return at(pool).seen.held_back; }

  const LedgerEntry* find(Generation generation) const;

  Bytes capacity(PoolId pool) const { return at(pool).seen.capacity; }
  Bytes foreign(PoolId pool) const { return at(pool).seen.foreign; }
  Bytes budget(PoolId pool) const;
  Bytes reserved(PoolId pool) const { return at(pool).reserved; }
  Bytes reserved_weights() const { return weights_; }
  std::optional<Tick> sampled_at(PoolId pool) const { return at(pool).seen.sampled_at; }
  const PoolSample& seen(PoolId pool) const { return at(pool).seen; }
  Bytes releasing(PoolId pool) const { return at(pool).releasing; }

  // What a new charge may take now: the smaller of budget - reserved, and of what the machine has
  // left under the reserve once foreign use and all reservations are taken off. A limit therefore
  // bounds our own use only, while the reserve bounds everybody's.
  Bytes headroom(PoolId pool) const;

  // The headroom that a pool without any of our servers would have: with and without foreign use.
  Bytes empty_now(PoolId pool) const;
  Bytes empty(PoolId pool) const;

  // Whether more is reserved in a pool than its budget: it shrank after the reservations were made.
  bool over_budget() const;

  // How far reservations and foreign use together go beyond what may be in use: what others have
  // taken of the reserve. Negative while there is room.
  Bytes overrun(PoolId pool) const;
  // What is meant to stay free: the reserve.
  Bytes kept_free(PoolId pool) const;

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
    PoolSample seen;  // with its release
    Bytes reserved;   // releasing included
    Bytes releasing;
  };

  const Pool& at(PoolId pool) const;
  Pool& at(PoolId pool);
  static Bytes unowned(const PoolSample& sample) {
    return sample.orphaned.value_or(sample.foreign);
  }
  static Bytes not_returned(const Pool& pool);
  static void end_release(Pool& pool);

  std::vector<Pool> pools_;
  std::map<Generation, LedgerEntry> charges_;
  std::map<FileId, ChargedFile> files_;
  Bytes weights_;  // sum over files_
};

}  // namespace tonnage
