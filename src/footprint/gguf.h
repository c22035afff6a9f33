// GgufInfo: what the header of a GGUF model file says, read with bounds and checked against the
// file's size.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "core/types.h"

namespace tonnage {

// A metadata value. Arrays are counted, not kept: a vocabulary has hundreds of thousands of
// entries and nothing here needs one of them.
struct GgufArray {
  std::uint64_t count = 0;

  friend bool operator==(const GgufArray&, const GgufArray&) = default;
};
// Where the bytes of the weights are. Empty in a file with tensors of a type that is not known
// here.
struct GgufWeights {
  std::vector<Bytes> blocks;  // by layer
  Bytes output;               // what follows the last layer: norm, output matrix, classifier
  Bytes input;                // token embeddings; the engine leaves them to the processor

  void add(std::string_view tensor, Bytes size);
  GgufWeights& operator+=(const GgufWeights& other);
  Bytes total() const;

  friend bool operator==(const GgufWeights&, const GgufWeights&) = default;
};
using GgufValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, GgufArray>;

struct GgufInfo {
  std::uint32_t version = 0;
  std::uint64_t tensor_count = 0;
  Bytes tensor_bytes;  // from the first tensor's first byte to the last one's last
  GgufWeights weights;
  Bytes header_bytes;  // metadata and tensor infos: nearly all of it is the vocabulary
  Bytes file_size;
  FileId file;                            // identity of the content; zero when parsed from memory
  std::map<std::string, GgufValue> keys;  // without strings longer than kKeptTextMax

  // Empty when the key is missing or has another type.
  std::optional<std::int64_t> integer(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const;

  std::string architecture() const;  // "llama"; never empty in a file that was read
  std::string name() const;          // empty when the file does not say
  // `key` of this architecture: of("block_count") is llama.block_count.
  std::optional<std::int64_t> of(const std::string& key) const;
  std::optional<std::int64_t> vocabulary_size() const;
  std::int64_t split_count() const;  // files that make up the model; 1 for a model in one file
  // A model that maps text to vectors: an encoder, or one that names a pooling for its output.
  bool is_embedding() const;
  // A model that scores pairs of texts: its pooling is `rank`.
  bool is_reranker() const;
};

// Longer texts (chat templates) are skipped, so that the header of a hostile file stays small here.
inline constexpr std::size_t kKeptTextMax = 4096;

// Reads `size` bytes at `offset` into `out`, and says how many came; fewer only at an error.
using ReadAt = std::function<std::size_t(std::uint64_t offset, char* out, std::size_t size)>;

// The parser, without a file. `object` names the source in errors, which say the byte offset.
Result<GgufInfo> parse_gguf(const std::string& object, std::uint64_t file_size,
                            const ReadAt& read_at);

// Blocks on the disk: not for the loop. Reads one file of a model.
Result<GgufInfo> read_gguf(const std::string& path);

// A model of one file, or of several ("x-00001-of-00003.gguf", named by its first): the first
// file's header, with tensor_bytes, tensor_count, file_size and file covering all of them.
Result<GgufInfo> read_gguf_model(const std::string& path);

}  // namespace tonnage
