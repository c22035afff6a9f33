#include "journal/sqlite.h"

#include <cstring>
#include <utility>

#include <sqlite3.h>

namespace tonnage {
namespace {

// Another process, such as `tonnage history` on the file, holds it for milliseconds.
constexpr int kBusyTimeoutMs = 2000;

}  // namespace

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const {
  ::sqlite3_finalize(statement);
}

Statement& Statement::bind(int place, std::int64_t value) {
  ::sqlite3_bind_int64(statement_.get(), place, value);
  return *this;
}

Statement& Statement::bind(int place, std::string_view text) {
  ::sqlite3_bind_text(statement_.get(), place, text.data(), static_cast<int>(text.size()),
                      SQLITE_TRANSIENT);
  return *this;
}

int Statement::run() {
  int code = SQLITE_ROW;
  while (code == SQLITE_ROW)
    code = ::sqlite3_step(statement_.get());
  reset();
  return code;
}

int Statement::step() {
  return ::sqlite3_step(statement_.get());
}

void Statement::reset() {
  ::sqlite3_reset(statement_.get());
  ::sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::number(int column) const {
  return ::sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* text = ::sqlite3_column_text(statement_.get(), column);
  const int size = ::sqlite3_column_bytes(statement_.get(), column);
  return text == nullptr
             ? std::string()
             : std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
}

void Database::Closer::operator()(sqlite3* handle) const {
  ::sqlite3_close_v2(handle);
}

Result<Database> Database::open(const std::filesystem::path& file, OpenFor use) {
  const int flags =
      use == OpenFor::writing ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  sqlite3* handle = nullptr;
  const int code = ::sqlite3_open_v2(file.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database(handle, file);  // there is a handle even after a failure, to be closed
  if (code != SQLITE_OK)
    return database.error("open");
  ::sqlite3_extended_result_codes(handle, 1);
  ::sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  return database;
}

std::unexpected<Error> Database::error(std::string doing) const {
  std::string why = handle_ ? ::sqlite3_errmsg(handle_.get()) : "out of memory";
  if (handle_) {
    // What the system said is worth more than "disk I/O error".
    if (const int number = ::sqlite3_system_errno(handle_.get());
        number != 0 && code() != SQLITE_BUSY) {
      why += ", ";
      why += ::strerror(number);
    }
  }
  return fail("cannot " + std::move(doing), file_.string(), std::move(why));
}

int Database::code() const {
  return handle_ ? ::sqlite3_errcode(handle_.get()) & 0xFF : SQLITE_NOMEM;
}

bool Database::is_corrupt() const {
  return code() == SQLITE_CORRUPT || code() == SQLITE_NOTADB;
}

Result<void> Database::execute(const char* sql, std::string_view doing) {
  if (::sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return error(std::string(doing));
  return {};
}

Result<Statement> Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code =
      ::sqlite3_prepare_v3(handle_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK)
    return error("read");
  return Statement(statement);
}

Result<std::int64_t> Database::number(const char* sql) {
  auto statement = prepare(sql);
  if (!statement)
    return std::unexpected(statement.error());
  if (statement->step() != SQLITE_ROW)
    return error("read");
  return statement->number(0);
}

Result<std::string> Database::text(const char* sql) {
  auto statement = prepare(sql);
  if (!statement)
    return std::unexpected(statement.error());
  if (statement->step() != SQLITE_ROW)
    return error("read");
  return statement->text(0);
}

void Database::roll_back() {
  if (::sqlite3_get_autocommit(handle_.get()) == 0)
    ::sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

bool Database::has_moved() const {
  int moved = 0;
  const int code = ::sqlite3_file_control(handle_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return code == SQLITE_OK && moved != 0;
}

}  // namespace tonnage
