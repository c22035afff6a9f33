#include "net/body.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tonnage::net {

Body::~Body() {
  if (mapping_ != nullptr)
    ::munmap(mapping_, size_);
  if (!budget_)
    return;
  budget_->used_bytes.fetch_sub(charged_bytes_, std::memory_order_relaxed);
  budget_->file_used_bytes.fetch_sub(file_charged_bytes_, std::memory_order_relaxed);
}

std::string_view Body::view() const {
  if (mapping_ != nullptr)
    return {static_cast<const char*>(mapping_), size_};
  return text_;
}

std::shared_ptr<const Body> Body::none() {
  static const std::shared_ptr<const Body> empty(new Body());
  return empty;
}

std::shared_ptr<const Body> Body::from(std::string text) {
  std::shared_ptr<Body> body(new Body());
  body->size_ = text.size();
  body->text_ = std::move(text);
  return body;
}

BodyBuilder::BodyBuilder(std::shared_ptr<BodyBudget> budget, std::string spill_folder)
    : budget_(std::move(budget)), spill_folder_(std::move(spill_folder)) {}

BodyBuilder::~BodyBuilder() {
  reset();
}

void BodyBuilder::reset() {
  if (file_ >= 0)
    ::close(file_);
  file_ = -1;
  budget_->used_bytes.fetch_sub(charged_bytes_, std::memory_order_relaxed);
  budget_->file_used_bytes.fetch_sub(file_charged_bytes_, std::memory_order_relaxed);
  charged_bytes_ = 0;
  file_charged_bytes_ = 0;
  size_ = 0;
  text_ = {};
}

void BodyBuilder::expect(std::uint64_t bytes) {
  // A client that announces much and sends little must not cost much.
  constexpr std::uint64_t kTrusted = std::uint64_t{1} << 20;
  text_.reserve(bytes < kTrusted ? bytes : kTrusted);
}

Result<void> BodyBuilder::append(std::string_view piece) {
  const auto bytes = static_cast<std::int64_t>(piece.size());
  if (file_ < 0) {
    const std::int64_t used = budget_->used_bytes.load(std::memory_order_relaxed);
    if (used + bytes > budget_->max_bytes)
      return move_to_file(piece);
    budget_->used_bytes.fetch_add(bytes, std::memory_order_relaxed);
    charged_bytes_ += bytes;
    text_.append(piece);
    size_ += piece.size();
    return {};
  }
  return write_file(piece);
}

Result<void> BodyBuilder::open_file() {
  const auto open = [this] {
    file_ = ::open(spill_folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file_ >= 0 || errno == ENOENT)
      return;
    // Some file systems have no unnamed files.
    std::string name = spill_folder_ + "/body-XXXXXX";
    file_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (file_ >= 0)
      ::unlink(name.c_str());
  };
  open();
  if (file_ < 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(spill_folder_, error);
    open();
  }
  if (file_ < 0)
    return fail("the request body cannot be kept on disk", spill_folder_, std::strerror(errno));
  return {};
}

Result<void> BodyBuilder::move_to_file(std::string_view piece) {
  if (spill_folder_.empty()) {
    return fail("limit of memory for request bodies reached; retry later", "");
  }
  if (auto opened = open_file(); !opened)
    return opened;
  const std::string held = std::exchange(text_, {});
  size_ = 0;
  budget_->used_bytes.fetch_sub(std::exchange(charged_bytes_, 0), std::memory_order_relaxed);
  if (auto written = write_file(held); !written)
    return written;
  return write_file(piece);
}

Result<void> BodyBuilder::write_file(std::string_view piece) {
  const auto bytes = static_cast<std::int64_t>(piece.size());
  const std::int64_t used = budget_->file_used_bytes.load(std::memory_order_relaxed);
  if (used + bytes > budget_->file_max_bytes)
    return fail("limit of disk space for request bodies reached; retry later", spill_folder_);
  budget_->file_used_bytes.fetch_add(bytes, std::memory_order_relaxed);
  file_charged_bytes_ += bytes;
  while (!piece.empty()) {
    const ssize_t n = ::write(file_, piece.data(), piece.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail("the request body cannot be kept on disk", spill_folder_, std::strerror(errno));
    size_ += static_cast<std::uint64_t>(n);
    piece.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::shared_ptr<const Body>> BodyBuilder::finish() {
  if (size_ == 0) {
    reset();
    return Body::none();
  }
  std::shared_ptr<Body> body(new Body());
  body->size_ = size_;
  body->budget_ = budget_;
  if (file_ >= 0) {
    // The file has no name, so nobody can shorten it under the mapping.
    void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_, 0);
    if (mapping == MAP_FAILED) {
      body->size_ = 0;
      return fail("cannot map the request body", "", std::strerror(errno));
    }
    body->mapping_ = mapping;
    body->file_charged_bytes_ = std::exchange(file_charged_bytes_, 0);
  } else {
    body->text_ = std::move(text_);
    body->charged_bytes_ = std::exchange(charged_bytes_, 0);
  }
  reset();
  return body;
}

}  // namespace tonnage::net
