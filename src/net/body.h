// Body: a complete request body, in memory or in an unlinked file, kept for replay.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tonnage::net {

// Bytes of all bodies in memory and in files, against Limits::bodies_memory_max and
// Limits::bodies_file_max. Shared by a server and the bodies that may outlive it; atomic, because a
// worker thread may let go of a body.
struct BodyBudget {
  std::int64_t max_bytes = 0;
  std::atomic<std::int64_t> used_bytes{0};
  std::int64_t file_max_bytes = 0;
  std::atomic<std::int64_t> file_used_bytes{0};
};

// Immutable once a handler sees it. Any thread may read view() and may release its pointer.
class Body {
 public:
  ~Body();
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;

  std::uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool in_file() const { return mapping_ != nullptr; }

  // The whole body; valid while this object lives. A file-backed body is mapped, so reading it may
  // wait for the disk: leave the loop for large ones.
  std::string_view view() const;

  static std::shared_ptr<const Body> none();
  // A body from text, outside any budget: for tests and for requests that tonnage rewrites.
  static std::shared_ptr<const Body> from(std::string text);

 private:
  friend class BodyBuilder;
  Body() = default;

  std::string text_;
  void* mapping_ = nullptr;
  std::uint64_t size_ = 0;
  std::shared_ptr<BodyBudget> budget_;
  std::int64_t charged_bytes_ = 0;
  std::int64_t file_charged_bytes_ = 0;
};

// Collects one body while it arrives.
class BodyBuilder {
 public:
  // `spill_folder` may be empty: then there is no file to go to. Otherwise it is made when it is
  // first needed, and again when somebody removed it.
  BodyBuilder(std::shared_ptr<BodyBudget> budget, std::string spill_folder);
  ~BodyBuilder();
  BodyBuilder(const BodyBuilder&) = delete;
  BodyBuilder& operator=(const BodyBuilder&) = delete;

  // An announced length, so that memory grows once. Only a hint: nothing is charged for it.
  void expect(std::uint64_t bytes);
  // Fails when the budget is used up and no file can take the body; the error's `what` is a
  // sentence for the client.
  Result<void> append(std::string_view piece);
  std::uint64_t size() const { return size_; }
  // The finished body; the builder is empty afterwards.
  Result<std::shared_ptr<const Body>> finish();

 private:
  Result<void> move_to_file(std::string_view piece);
  Result<void> open_file();
  Result<void> write_file(std::string_view piece);
  void reset();

  std::shared_ptr<BodyBudget> budget_;
  std::string spill_folder_;
  std::string text_;
  int file_ = -1;
  std::uint64_t size_ = 0;
  std::int64_t charged_bytes_ = 0;
  std::int64_t file_charged_bytes_ = 0;
};

}  // namespace tonnage::net
