#include "journal/history_store.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include <sqlite3.h>

namespace tonnage {
namespace {

// "vrmh": says whose file it is, to us and to file(1).
constexpr std::int64_t kApplicationId = 0x76726D68;
constexpr std::int64_t kSchemaVersion = 1;
constexpr int kPool = 0;
constexpr int kModel = 1;
// Each round takes away the oldest eighth.
constexpr int kBoundRoundsMax = 16;

// The write-ahead log lets `tonnage history` read while the daemon writes. NORMAL: a power cut may
// cost the last minutes, never the file.
constexpr const char* kSetUp =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"
    "PRAGMA journal_size_limit = 4194304;"
    "PRAGMA temp_store = MEMORY;";

constexpr const char* kSchema =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE subject (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL,"
    " UNIQUE (kind, name));"
    "CREATE TABLE pool_sample (at INTEGER NOT NULL, pool INTEGER NOT NULL, span INTEGER NOT NULL,"
    " capacity INTEGER NOT NULL, budget INTEGER NOT NULL,"
    " foreign_use INTEGER NOT NULL, foreign_max INTEGER NOT NULL,"
    " reserved INTEGER NOT NULL, reserved_max INTEGER NOT NULL,"
    " measured INTEGER NOT NULL, measured_max INTEGER NOT NULL,"
    " headroom INTEGER NOT NULL, headroom_min INTEGER NOT NULL,"
    " PRIMARY KEY (at, pool, span)) WITHOUT ROWID;"
    "CREATE TABLE model_sample (at INTEGER NOT NULL, model INTEGER NOT NULL, span INTEGER NOT NULL,"
    " weights INTEGER NOT NULL, reserved INTEGER NOT NULL, reserved_max INTEGER NOT NULL,"
    " measured INTEGER NOT NULL, measured_max INTEGER NOT NULL, leases_max INTEGER NOT NULL,"
    " PRIMARY KEY (at, model, span)) WITHOUT ROWID;"
    "PRAGMA application_id = 1987210600;"
    "PRAGMA user_version = 1;"
    "COMMIT;";
static_assert(kApplicationId == 1987210600 && kSchemaVersion == 1);

constexpr const char* kAddPool =
    "INSERT OR IGNORE INTO pool_sample VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?7, ?8, ?8, ?9, ?9)";
constexpr const char* kAddModel =
    "INSERT OR IGNORE INTO model_sample VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?6, ?7)";

// ?1: the coarse step, ?2: everything before this, which is a whole number of steps.
constexpr const char* kThinPools =
    "INSERT OR IGNORE INTO pool_sample SELECT at / ?1 * ?1, pool, ?1, max(capacity), max(budget),"
    " CAST(avg(foreign_use) AS INTEGER), max(foreign_max),"
    " CAST(avg(reserved) AS INTEGER), max(reserved_max),"
    " CAST(avg(measured) AS INTEGER), max(measured_max),"
    " CAST(avg(headroom) AS INTEGER), min(headroom_min)"
    " FROM pool_sample WHERE at < ?2 AND span < ?1 GROUP BY at / ?1, pool";
constexpr const char* kThinModels =
    "INSERT OR IGNORE INTO model_sample SELECT at / ?1 * ?1, model, ?1, max(weights),"
    " CAST(avg(reserved) AS INTEGER), max(reserved_max),"
    " CAST(avg(measured) AS INTEGER), max(measured_max), max(leases_max)"
    " FROM model_sample WHERE at < ?2 AND span < ?1 GROUP BY at / ?1, model";

// ?1: the step, ?2 and ?3: from and to. Means are weighted by the time that a row stands for; in
// floating point, because terabytes times days do not fit into 64 bits.
constexpr const char* kReadPools =
    "SELECT at / ?1 * ?1 AS step, s.name, max(capacity), max(budget),"
    " CAST(total(foreign_use * 1.0 * span) / total(span) AS INTEGER), max(foreign_max),"
    " CAST(total(reserved * 1.0 * span) / total(span) AS INTEGER), max(reserved_max),"
    " CAST(total(measured * 1.0 * span) / total(span) AS INTEGER), max(measured_max),"
    " CAST(total(headroom * 1.0 * span) / total(span) AS INTEGER), min(headroom_min)"
    " FROM pool_sample JOIN subject s ON s.id = pool WHERE at >= ?2 AND at < ?3"
    " GROUP BY step, pool ORDER BY step, pool";
// ?4: one model's id, or -1 for all.
constexpr const char* kReadModels =
    "SELECT at / ?1 * ?1 AS step, s.name, max(weights),"
    " CAST(total(reserved * 1.0 * span) / total(span) AS INTEGER), max(reserved_max),"
    " CAST(total(measured * 1.0 * span) / total(span) AS INTEGER), max(measured_max),"
    " max(leases_max)"
    " FROM model_sample JOIN subject s ON s.id = model WHERE at >= ?2 AND at < ?3"
    " AND (?4 = -1 OR model = ?4) GROUP BY step, model ORDER BY step, s.name";

std::int64_t seconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
}

// The point of a step, which is the last one or a new one: rows come in the order of their steps.
HistoryPoint& point_at(std::vector<HistoryPoint>& points, std::int64_t step) {
  const auto found = std::ranges::lower_bound(points, step, {}, &HistoryPoint::at_s);
  if (found != points.end() && found->at_s == step)
    return *found;
  return *points.insert(found, HistoryPoint{step, {}, {}});
}

PoolPoint pool_of(const Statement& row) {
  PoolPoint point;
  point.mean = {row.text(1),          Bytes(row.number(2)), Bytes(row.number(3)),
                Bytes(row.number(4)), Bytes(row.number(6)), Bytes(row.number(8)),
                Bytes(row.number(10))};
  point.foreign_max = Bytes(row.number(5));
  point.reserved_max = Bytes(row.number(7));
  point.measured_max = Bytes(row.number(9));
  point.headroom_min = Bytes(row.number(11));
  return point;
}

ModelPoint model_of(const Statement& row) {
  ModelPoint point;
  point.mean = {row.text(1), Bytes(row.number(2)), Bytes(row.number(3)), Bytes(row.number(5)), 0};
  point.reserved_max = Bytes(row.number(4));
  point.measured_max = Bytes(row.number(6));
  point.leases_max = row.number(7);
  return point;
}

std::unexpected<Error> unsuitable(const std::filesystem::path& file, std::string why) {
  return fail("cannot keep the history in", file.string(), std::move(why),
              "move it away, or set state_dir");
}

}  // namespace

HistoryError HistoryStore::error_of(Error error) const {
  return {std::move(error), damaged_ || database_.is_corrupt()};
}

std::expected<HistoryStore, HistoryError> HistoryStore::open(const std::filesystem::path& file,
                                                             const HistoryLimits& limits) {
  auto database = Database::open(file, OpenFor::writing);
  if (!database)
    return std::unexpected(HistoryError{database.error()});
  HistoryStore store(std::move(*database), limits);
  auto ready = store.check_file(true);
  if (ready)
    ready = store.prepare_file();
  if (!ready)
    return std::unexpected(store.error_of(ready.error()));
  return store;
}

std::expected<HistoryStore, HistoryError> HistoryStore::open_to_read(
    const std::filesystem::path& file, const HistoryLimits& limits) {
  auto database = Database::open(file, OpenFor::reading);
  if (!database)
    return std::unexpected(HistoryError{database.error()});
  HistoryStore store(std::move(*database), limits);
  if (const auto good = store.check_file(false); !good)
    return std::unexpected(store.error_of(good.error()));
  return store;
}

Result<void> HistoryStore::check_file(bool may_be_new) {
  const auto tables = database_.number("SELECT count(*) FROM sqlite_master");
  if (!tables)
    return std::unexpected(tables.error());
  if (*tables == 0) {
    if (may_be_new)
      return {};
    return unsuitable(database_.file(), "it is empty");
  }
  const auto owner = database_.number("PRAGMA application_id");
  if (!owner)
    return std::unexpected(owner.error());
  if (*owner != kApplicationId)
    return unsuitable(database_.file(), "it is another program's database");
  const auto version = database_.number("PRAGMA user_version");
  if (!version)
    return std::unexpected(version.error());
  if (*version != kSchemaVersion) {
    return unsuitable(database_.file(), "another version of tonnage wrote it (schema " +
                                            std::to_string(*version) + ", this one knows " +
                                            std::to_string(kSchemaVersion) + ")");
  }
  const auto sound = database_.text("PRAGMA quick_check(1)");
  if (!sound)
    return std::unexpected(sound.error());
  if (*sound != "ok") {
    damaged_ = true;
    return unsuitable(database_.file(), "it is damaged: " + *sound);
  }
  return {};
}

Result<void> HistoryStore::prepare_file() {
  if (auto done = database_.execute(kSetUp, "set up"); !done)
    return done;
  const auto tables = database_.number("SELECT count(*) FROM sqlite_master");
  if (!tables)
    return std::unexpected(tables.error());
  if (*tables == 0) {
    if (auto done = database_.execute(kSchema, "set up"); !done) {
      database_.roll_back();
      return done;
    }
  }
  // Names of models that have left the history; else they would only ever grow in number.
  if (auto done = database_.execute("DELETE FROM subject WHERE kind = 1 AND id NOT IN"
                                    " (SELECT DISTINCT model FROM model_sample)",
                                    "tidy");
      !done) {
    return done;
  }
  for (const auto& [statement, sql] :
       {std::pair{&add_pool_, kAddPool}, std::pair{&add_model_, kAddModel}}) {
    auto prepared = database_.prepare(sql);
    if (!prepared)
      return std::unexpected(prepared.error());
    *statement = std::move(*prepared);
  }
  return {};
}

template <typename Work>
std::expected<void, HistoryError> HistoryStore::transact(Work work) {
  Result<void> done = database_.execute("BEGIN IMMEDIATE", "write to");
  if (done)
    done = work();
  if (done)
    done = database_.execute("COMMIT", "write to");
  if (done)
    return {};
  const HistoryError error = error_of(done.error());
  database_.roll_back();
  // Rows of subjects went with the rest.
  subjects_.clear();
  return std::unexpected(error);
}

std::expected<void, HistoryError> HistoryStore::add(const HistorySample& sample) {
  if (!add_pool_)
    return std::unexpected(HistoryError{
        {"cannot write to", database_.file().string(), "it was opened for reading", {}}});
  return transact([&]() -> Result<void> {
    if (auto added = add_rows(sample); !added)
      return added;
    return keep_within_bytes();
  });
}

Result<void> HistoryStore::add_rows(const HistorySample& sample) {
  const auto ran = [this](Statement& statement) -> Result<void> {
    if (statement.run() != SQLITE_DONE)
      return database_.error("write to");
    return {};
  };
  for (const HistoryPool& p : sample.pools) {
    const auto id = subject(kPool, p.pool);
    if (!id)
      return std::unexpected(id.error());
    add_pool_->bind(1, sample.at_s).bind(2, *id).bind(3, sample.span_s);
    add_pool_->bind(4, p.capacity.count).bind(5, p.budget.count).bind(6, p.foreign.count);
    add_pool_->bind(7, p.reserved.count).bind(8, p.measured.count).bind(9, p.headroom.count);
    if (auto added = ran(*add_pool_); !added)
      return added;
  }
  for (const HistoryModel& m : sample.models) {
    const auto id = subject(kModel, m.model);
    if (!id)
      return std::unexpected(id.error());
    add_model_->bind(1, sample.at_s).bind(2, *id).bind(3, sample.span_s);
    add_model_->bind(4, m.weights.count).bind(5, m.reserved.count).bind(6, m.measured.count);
    add_model_->bind(7, m.leases);
    if (auto added = ran(*add_model_); !added)
      return added;
  }
  return {};
}

Result<std::optional<std::int64_t>> HistoryStore::find_subject(int kind, const std::string& name) {
  auto find = database_.prepare("SELECT id FROM subject WHERE kind = ?1 AND name = ?2");
  if (!find)
    return std::unexpected(find.error());
  const int code = find->bind(1, kind).bind(2, name).step();
  if (code == SQLITE_ROW)
    return find->number(0);
  if (code != SQLITE_DONE)
    return database_.error("read");
  return std::nullopt;
}

Result<std::int64_t> HistoryStore::subject(int kind, const std::string& name) {
  if (const auto known = subjects_.find({kind, name}); known != subjects_.end())
    return known->second;
  auto id = find_subject(kind, name);
  if (id && !*id) {
    auto add = database_.prepare("INSERT INTO subject (kind, name) VALUES (?1, ?2)");
    if (!add)
      return std::unexpected(add.error());
    if (add->bind(1, kind).bind(2, name).run() != SQLITE_DONE)
      return database_.error("write to");
    id = find_subject(kind, name);
  }
  if (!id)
    return std::unexpected(id.error());
  return subjects_[{kind, name}] = **id;
}

std::expected<void, HistoryError> HistoryStore::age(std::int64_t now_s) {
  return transact([&] { return age_rows(now_s); });
}

Result<void> HistoryStore::age_rows(std::int64_t now_s) {
  // Rows of the future stay: a clock that was wrong once may be wrong now.
  const std::int64_t step = std::max<std::int64_t>(1, seconds(limits_.coarse_step));
  const std::int64_t thin_before = (now_s - seconds(limits_.fine_keep)) / step * step;
  const std::int64_t keep_from = now_s - seconds(limits_.keep);
  const auto run = [this](const char* sql, std::int64_t first,
                          std::int64_t second) -> Result<void> {
    auto statement = database_.prepare(sql);
    if (!statement)
      return std::unexpected(statement.error());
    if (statement->bind(1, first).bind(2, second).run() != SQLITE_DONE)
      return database_.error("thin");
    return {};
  };
  for (const char* sql :
       {kThinPools, kThinModels, "DELETE FROM pool_sample WHERE at < ?2 AND span < ?1",
        "DELETE FROM model_sample WHERE at < ?2 AND span < ?1"}) {
    if (auto done = run(sql, step, thin_before); !done)
      return done;
  }
  for (const char* sql :
       {"DELETE FROM pool_sample WHERE at < ?2", "DELETE FROM model_sample WHERE at < ?2"}) {
    if (auto done = run(sql, 0, keep_from); !done)
      return done;
  }
  return keep_within_bytes();
}

Result<Bytes> HistoryStore::used() {
  std::array<std::int64_t, 3> numbers{};
  for (std::size_t i = 0;
       const char* sql : {"PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"}) {
    const auto number = database_.number(sql);
    if (!number)
      return std::unexpected(number.error());
    numbers[i++] = *number;
  }
  return Bytes((numbers[0] - numbers[1]) * numbers[2]);
}

Result<void> HistoryStore::keep_within_bytes() {
  for (int round = 0; round < kBoundRoundsMax; ++round) {
    const auto size = used();
    if (!size)
      return std::unexpected(size.error());
    if (*size <= limits_.bytes_max)
      return {};
    // By rank and not by time: one row of a wrong clock must not make an eighth of the time out of
    // all that there is.
    for (const char* sql :
         {"DELETE FROM pool_sample WHERE at <= (SELECT at FROM pool_sample"
          " ORDER BY at LIMIT 1 OFFSET (SELECT count(*) / 8 FROM pool_sample))",
          "DELETE FROM model_sample WHERE at <= (SELECT at FROM model_sample"
          " ORDER BY at LIMIT 1 OFFSET (SELECT count(*) / 8 FROM model_sample))"}) {
      if (auto done = database_.execute(sql, "thin"); !done)
        return done;
    }
  }
  return {};
}

std::expected<HistoryAnswer, HistoryError> HistoryStore::query(HistoryQuery query) {
  auto found = answer(std::move(query));
  if (!found)
    return std::unexpected(error_of(found.error()));
  return std::move(*found);
}

Result<HistoryAnswer> HistoryStore::answer(HistoryQuery query) {
  HistoryAnswer out;
  std::int64_t only = -1;
  if (query.model) {
    const auto id = find_subject(kModel, *query.model);
    if (!id)
      return std::unexpected(id.error());
    out.model_known = id->has_value();
    only = id->value_or(0);  // no subject has 0
  }
  const auto subjects = database_.number("SELECT count(*) FROM subject");
  if (!subjects)
    return std::unexpected(subjects.error());
  const std::int64_t range = std::max<std::int64_t>(0, query.until_s - query.since_s);
  const std::int64_t rows_per_step = query.model ? 2 : std::max<std::int64_t>(1, *subjects);
  const std::int64_t steps_max = std::max<std::int64_t>(1, limits_.answer_rows_max / rows_per_step);
  out.step_s = std::max({std::int64_t{1}, query.step_s, (range + steps_max - 1) / steps_max});
  for (const bool pools : {true, false}) {
    auto read = database_.prepare(pools ? kReadPools : kReadModels);
    if (!read)
      return std::unexpected(read.error());
    read->bind(1, out.step_s).bind(2, query.since_s).bind(3, query.until_s);
    if (!pools)
      read->bind(4, only);
    int code = SQLITE_ROW;
    while ((code = read->step()) == SQLITE_ROW) {
      HistoryPoint& point = point_at(out.points, read->number(0));
      if (pools) {
        point.pools.push_back(pool_of(*read));
      } else {
        point.models.push_back(model_of(*read));
      }
    }
    if (code != SQLITE_DONE)
      return database_.error("read");
  }
  return out;
}

Result<std::filesystem::path> set_aside(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::path to;
  for (int number = 1; number <= kCorruptKept; ++number) {
    to = file;
    to += ".corrupt-" + std::to_string(number);
    if (!std::filesystem::exists(to, error))
      break;
  }
  std::filesystem::rename(file, to, error);
  if (error)
    return fail("cannot move away", file.string(), error.message());
  // What was not yet written back belongs to the damaged file, and would damage the new one.
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::path from = file;
    from += suffix;
    std::filesystem::path beside = to;
    beside += suffix;
    std::filesystem::rename(from, beside, error);
  }
  return to;
}

}  // namespace tonnage
