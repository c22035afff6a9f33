// GgufWriter: collects metadata and tensors and writes them as one GGUF file of version 3.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tonnage-demo-models/weights.h"

namespace tonnage {

// Keys and tensors are written in the order in which they were added. Holds the metadata and each
// tensor's pattern in memory, never the tensors' full contents.
class GgufWriter {
 public:
  void add_u32(std::string_view key, std::uint32_t value);
  void add_u64(std::string_view key, std::uint64_t value);
  void add_bool(std::string_view key, bool value);
  // The IEEE bits of the value, so that no conversion can differ between machines.
  void add_f32_bits(std::string_view key, std::uint32_t bits);
  void add_string(std::string_view key, std::string_view value);
  void add_strings(std::string_view key, const std::vector<std::string>& values);
  void add_i32s(std::string_view key, const std::vector<std::int32_t>& values);

  // A tensor whose bytes are `pattern`, repeated from byte `start` on (a multiple of the number
  // size) until the tensor is full. `dims` is innermost first, as GGUF stores it.
  void add_tensor(std::string_view name, std::vector<std::int64_t> dims, ElementType type,
                  std::shared_ptr<const std::string> pattern, std::int64_t start = 0);

  // Where the next tensor's noise should start, so that tensors differ from one another.
  std::int64_t tensor_count() const { return static_cast<std::int64_t>(tensors_.size()); }

  // Size of the file that write() makes.
  Bytes file_size() const;

  // Writes a temporary file beside `path` and renames it, so that a half-written model never has
  // the final name.
  Result<void> write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> dims;
    ElementType type;
    std::shared_ptr<const std::string> pattern;
    std::int64_t start = 0;
    std::int64_t size_bytes = 0;
  };

  void add_key(std::string_view key, std::uint32_t value_type);
  std::string header() const;

  std::string keys_;
  std::uint64_t key_count_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace tonnage
