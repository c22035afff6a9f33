// Database and Statement: SQLite's C interface as values that clean up after themselves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tonnage {

// A prepared statement. After a run it is reset and its arguments are forgotten; of use as long as
// its Database.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  // Arguments count from 1; texts are copied.
  Statement& bind(int place, std::int64_t value);
  Statement& bind(int place, std::string_view text);

  // For one that gives no rows. The result is SQLite's code.
  int run();
  // The next row: SQLITE_ROW, SQLITE_DONE or an error. At its end the caller resets.
  int step();
  void reset();

  std::int64_t number(int column) const;
  std::string text(int column) const;

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

enum class OpenFor : std::uint8_t { writing, reading };

// One connection; one thread at a time.
class Database {
 public:
  // For writing, the file is created where there is none.
  static Result<Database> open(const std::filesystem::path& file, OpenFor use);

  const std::filesystem::path& file() const { return file_; }

  // The error says what SQLite said, about `file`, after "cannot DO".
  std::unexpected<Error> error(std::string doing) const;
  // SQLite's code of the latest failure, without its extension.
  int code() const;
  // Whether that failure says that the file is damaged, or was never a database.
  bool is_corrupt() const;

  Result<void> execute(const char* sql, std::string_view doing);
  Result<Statement> prepare(const char* sql);
  // The first column of the first row.
  Result<std::int64_t> number(const char* sql);
  Result<std::string> text(const char* sql);

  // Undoes a transaction that is open.
  void roll_back();
  // Whether the file was deleted, moved or replaced while it is open here.
  bool has_moved() const;

 private:
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  Database(sqlite3* handle, std::filesystem::path file) : handle_(handle), file_(std::move(file)) {}

  std::unique_ptr<sqlite3, Closer> handle_;
  std::filesystem::path file_;
};

}  // namespace tonnage
