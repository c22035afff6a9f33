#include "footprint/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <limits>
#include <utility>
#include <vector>

#include "footprint/gguf_cursor.h"

namespace tonnage {
namespace {

constexpr std::uint64_t kKeyBytesMax = 65'535;       // the format's own limit
constexpr std::uint64_t kTensorNameBytesMax = 1024;  // the engine refuses more than 64
constexpr std::uint64_t kKeysKeptMax = 4096;         // real files have fewer than 100
constexpr std::uint64_t kKeptKeyBytesMax = 256;
constexpr std::uint32_t kDimsMax = 4;
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kAlignmentMax = 1 << 20;

// The smallest possible entries: an empty key with a one-byte value, a nameless scalar tensor.
constexpr std::uint64_t kKeyEntryBytesMin = 8 + 4 + 1;
constexpr std::uint64_t kTensorEntryBytesMin = 8 + 4 + 4 + 8;

enum class ValueType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

std::uint64_t fixed_size(ValueType type) {
  constexpr std::array<std::uint8_t, 13> sizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return sizes[static_cast<std::size_t>(type)];
}

// Numbers per block and bytes per block of a tensor type; zeros for one that is not known here.
struct TensorType {
  std::uint16_t block = 0;
  std::uint16_t bytes = 0;
};

// By ggml's type number (ggml.h, enum ggml_type; block sizes in ggml-common.h).
TensorType tensor_type(std::uint32_t type) {
  switch (type) {
    case 0:
      return {1, 4};  // F32
    case 1:
      return {1, 2};  // F16
    case 2:
      return {32, 18};  // Q4_0
    case 3:
      return {32, 20};  // Q4_1
    case 6:
      return {32, 22};  // Q5_0
    case 7:
      return {32, 24};  // Q5_1
    case 8:
      return {32, 34};  // Q8_0
    case 9:
      return {32, 36};  // Q8_1
    case 10:
      return {256, 84};  // Q2_K
    case 11:
      return {256, 110};  // Q3_K
    case 12:
      return {256, 144};  // Q4_K
    case 13:
      return {256, 176};  // Q5_K
    case 14:
      return {256, 210};  // Q6_K
    case 15:
      return {256, 292};  // Q8_K
    case 16:
      return {256, 66};  // IQ2_XXS
    case 17:
      return {256, 74};  // IQ2_XS
    case 18:
      return {256, 98};  // IQ3_XXS
    case 19:
      return {256, 50};  // IQ1_S
    case 20:
      return {32, 18};  // IQ4_NL
    case 21:
      return {256, 110};  // IQ3_S
    case 22:
      return {256, 82};  // IQ2_S
    case 23:
      return {256, 136};  // IQ4_XS
    case 24:
      return {1, 1};  // I8
    case 25:
      return {1, 2};  // I16
    case 26:
      return {1, 4};  // I32
    case 27:
      return {1, 8};  // I64
    case 28:
      return {1, 8};  // F64
    case 29:
      return {256, 56};  // IQ1_M
    case 30:
      return {1, 2};  // BF16
    case 34:
      return {256, 54};  // TQ1_0
    case 35:
      return {256, 66};  // TQ2_0
    case 39:
      return {32, 17};  // MXFP4
    case 40:
      return {64, 36};  // NVFP4
    case 41:
      return {128, 18};  // Q1_0
    case 42:
      return {64, 18};  // Q2_0
    default:
      return {};
  }
}

ValueType read_type(GgufCursor& cursor) {
  const std::uint64_t at = cursor.at();
  const auto type = cursor.number<std::uint32_t>("a value type");
  if (type > static_cast<std::uint32_t>(ValueType::f64)) {
    cursor.reject_at(at, "unknown value type " + std::to_string(type));
    return ValueType::u8;
  }
  return static_cast<ValueType>(type);
}

GgufArray skip_array(GgufCursor& cursor) {
  const std::uint64_t at = cursor.at();
  const ValueType type = read_type(cursor);
  const auto count = cursor.number<std::uint64_t>("an array's length");
  if (!cursor.ok())
    return {};
  if (type == ValueType::array) {
    cursor.reject_at(at, "an array of arrays");
    return {};
  }
  const std::uint64_t smallest = type == ValueType::string ? 8 : fixed_size(type);
  if (count > cursor.left() / smallest) {
    cursor.reject_at(at, "an array of " + std::to_string(count) + " entries in the last " +
                             std::to_string(cursor.left()) + " bytes of the file");
    return {};
  }
  if (type != ValueType::string) {
    cursor.skip(count * smallest, "an array");
    return {count};
  }
  for (std::uint64_t i = 0; i < count && cursor.ok(); ++i) {
    cursor.skip(cursor.number<std::uint64_t>("a text's length"), "a text");
  }
  return {count};
}

// Empty for a text that is too long to be kept.
std::optional<GgufValue> read_value(GgufCursor& cursor, ValueType type) {
  switch (type) {
    case ValueType::u8:
      return std::uint64_t{cursor.number<std::uint8_t>("a value")};
    case ValueType::i8:
      return std::int64_t{cursor.number<std::int8_t>("a value")};
    case ValueType::u16:
      return std::uint64_t{cursor.number<std::uint16_t>("a value")};
    case ValueType::i16:
      return std::int64_t{cursor.number<std::int16_t>("a value")};
    case ValueType::u32:
      return std::uint64_t{cursor.number<std::uint32_t>("a value")};
    case ValueType::i32:
      return std::int64_t{cursor.number<std::int32_t>("a value")};
    case ValueType::u64:
      return cursor.number<std::uint64_t>("a value");
    case ValueType::i64:
      return cursor.number<std::int64_t>("a value");
    case ValueType::f32:
      return double{cursor.number<float>("a value")};
    case ValueType::f64:
      return cursor.number<double>("a value");
    case ValueType::boolean:
      return cursor.number<std::uint8_t>("a value") != 0;
    case ValueType::array:
      return skip_array(cursor);
    case ValueType::string:
      break;
  }
  const auto size = cursor.number<std::uint64_t>("a text's length");
  if (size > kKeptTextMax) {
    cursor.skip(size, "a text");
    return std::nullopt;
  }
  return cursor.text(size, "a text");
}

void read_keys(GgufCursor& cursor, std::uint64_t count, GgufInfo& info) {
  for (std::uint64_t i = 0; i < count && cursor.ok(); ++i) {
    const std::uint64_t at = cursor.at();
    const auto key_size = cursor.number<std::uint64_t>("a key's length");
    if (key_size > kKeyBytesMax && cursor.ok()) {
      cursor.reject_at(at, "a key of " + std::to_string(key_size) + " bytes");
    }
    std::string key = cursor.text(cursor.ok() ? key_size : 0, "a key");
    std::optional<GgufValue> value = read_value(cursor, read_type(cursor));
    if (!cursor.ok())
      return;
    if (!value || key.size() > kKeptKeyBytesMax || info.keys.size() >= kKeysKeptMax)
      continue;
    if (!info.keys.emplace(std::move(key), std::move(*value)).second) {
      cursor.reject_at(at, "a key that was there before");
    }
  }
}

struct TensorEnd {
  std::uint64_t offset = 0;  // of the first byte behind the tensor, in the data section
  std::string name;
  bool all_known = true;
  GgufWeights weights;
  std::uint64_t sum = 0;  // of the weights; beyond the file's size they make no sense
  bool sum_known = true;
};

// Size in bytes, or nothing for a type that is not known here.
std::optional<std::uint64_t> tensor_size(GgufCursor& cursor, std::uint64_t at, std::uint32_t type,
                                         const std::vector<std::uint64_t>& dims) {
  // No file can hold more, and every product below stays far from overflow.
  constexpr std::uint64_t numbers_max = std::uint64_t{1} << 50;
  std::uint64_t numbers = 1;
  for (const std::uint64_t dim : dims) {
    if (dim != 0 && numbers > numbers_max / dim) {
      cursor.reject_at(at, "a tensor of absurd size");
      return std::nullopt;
    }
    numbers *= dim;
  }
  const TensorType known = tensor_type(type);
  if (known.block == 0)
    return std::nullopt;
  if (!dims.empty() && dims.front() % known.block != 0) {
    cursor.reject_at(at, "a tensor row of " + std::to_string(dims.front()) +
                             " numbers, which is no multiple of its type's block of " +
                             std::to_string(known.block));
    return std::nullopt;
  }
  return numbers / known.block * known.bytes;
}

TensorEnd read_tensors(GgufCursor& cursor, std::uint64_t count, std::uint64_t alignment) {
  TensorEnd end;
  for (std::uint64_t i = 0; i < count && cursor.ok(); ++i) {
    const std::uint64_t at = cursor.at();
    const auto name_size = cursor.number<std::uint64_t>("a tensor name's length");
    if (name_size > kTensorNameBytesMax && cursor.ok()) {
      cursor.reject_at(at, "a tensor name of " + std::to_string(name_size) + " bytes");
    }
    std::string name = cursor.text(cursor.ok() ? name_size : 0, "a tensor name");
    const auto n_dims = cursor.number<std::uint32_t>("a tensor's number of dimensions");
    if (n_dims > kDimsMax && cursor.ok()) {
      cursor.reject_at(at, "a tensor of " + std::to_string(n_dims) + " dimensions");
    }
    std::vector<std::uint64_t> dims(cursor.ok() ? n_dims : 0);
    for (std::uint64_t& dim : dims)
      dim = cursor.number<std::uint64_t>("a tensor's dimension");
    const auto type = cursor.number<std::uint32_t>("a tensor's type");
    const auto offset = cursor.number<std::uint64_t>("a tensor's offset");
    if (!cursor.ok())
      return end;
    if (offset % alignment != 0) {
      cursor.reject_at(at, "a tensor offset of " + std::to_string(offset) +
                               ", which is no multiple of the alignment " +
                               std::to_string(alignment));
      return end;
    }
    const std::optional<std::uint64_t> size = tensor_size(cursor, at, type, dims);
    if (!size)
      end.all_known = false;
    if (size && offset > std::numeric_limits<std::uint64_t>::max() - *size) {
      cursor.reject_at(at, "a tensor offset of " + std::to_string(offset));
      return end;
    }
    if (size && *size <= cursor.at() + cursor.left() - end.sum) {
      end.sum += *size;
      end.weights.add(name, Bytes(static_cast<std::int64_t>(*size)));
    } else {
      end.sum_known = false;
    }
    if (offset + size.value_or(0) >= end.offset) {
      end.offset = offset + size.value_or(0);
      end.name = std::move(name);
    }
  }
  return end;
}

// What is most often found in place of a model.
std::string what_was_fetched(std::string_view magic) {
  if (magic == "vers")
    return ", like a pointer of Git LFS; fetch the file itself (git lfs pull)";
  if (magic == "<!DO" || magic == "<htm")
    return ", like a web page; download the file itself";
  return {};
}

// Magic and version; explains the usual mistakes.
std::uint32_t read_version(GgufCursor& cursor) {
  const std::string magic = cursor.text(std::min<std::uint64_t>(4, cursor.left()), "the magic");
  if (cursor.ok() && magic.empty())
    cursor.reject("it is empty");
  if (cursor.ok() && !std::string_view("GGUF").starts_with(magic)) {
    std::string shown;
    for (const char c : magic) {
      char hex[4];
      std::snprintf(hex, sizeof(hex), "%02x ",
                    static_cast<unsigned>(static_cast<unsigned char>(c)));
      shown += hex;
    }
    cursor.reject("it is not a GGUF file: it begins with the bytes " + shown + "instead of GGUF" +
                  what_was_fetched(magic));
  }
  cursor.skip(4 - magic.size(), "the magic");
  const auto version = cursor.number<std::uint32_t>("the version");
  if (!cursor.ok() || version == 2 || version == 3)
    return version;
  if ((version & 0xffffU) == 0) {
    cursor.reject_at(4, "it is a big-endian GGUF file, which the engine cannot map");
  } else {
    cursor.reject_at(4, "GGUF version " + std::to_string(version) + "; 2 and 3 are known");
  }
  return version;
}

void check_count(GgufCursor& cursor, std::uint64_t at, const char* what, std::uint64_t count,
                 std::uint64_t entry_bytes_min) {
  if (!cursor.ok() || count <= cursor.left() / entry_bytes_min)
    return;
  cursor.reject_at(at, "it claims " + std::to_string(count) + " " + what + ", which cannot be in " +
                           std::to_string(cursor.left()) + " bytes");
}

std::uint64_t read_alignment(GgufCursor& cursor, const GgufInfo& info) {
  if (!info.keys.contains("general.alignment"))
    return kDefaultAlignment;
  const std::optional<std::int64_t> value = info.integer("general.alignment");
  const auto alignment = static_cast<std::uint64_t>(value.value_or(0));
  if (alignment == 0 || alignment > kAlignmentMax || !std::has_single_bit(alignment)) {
    cursor.reject("general.alignment is no sensible power of two");
    return kDefaultAlignment;
  }
  return alignment;
}

}  // namespace

Result<GgufInfo> parse_gguf(const std::string& object, std::uint64_t file_size,
                            const ReadAt& read_at) {
  GgufCursor cursor(object, file_size, read_at);
  GgufInfo info;
  info.file_size = Bytes(static_cast<std::int64_t>(file_size));
  info.version = read_version(cursor);
  info.tensor_count = cursor.number<std::uint64_t>("the number of tensors");
  const auto key_count = cursor.number<std::uint64_t>("the number of keys");
  check_count(cursor, 8, "tensors", info.tensor_count, kTensorEntryBytesMin);
  check_count(cursor, 16, "keys", key_count, kKeyEntryBytesMin);
  if (cursor.ok())
    read_keys(cursor, key_count, info);
  const std::uint64_t alignment = read_alignment(cursor, info);
  const TensorEnd end = read_tensors(cursor, cursor.ok() ? info.tensor_count : 0, alignment);
  if (cursor.ok() && info.architecture().empty() && info.split_count() == 1) {
    cursor.reject("it does not name its architecture (general.architecture)");
  }
  if (!cursor.ok())
    return std::unexpected(cursor.error());
  info.header_bytes = Bytes(static_cast<std::int64_t>(cursor.at()));
  if (info.tensor_count == 0)
    return info;

  const std::uint64_t data_at = (cursor.at() + alignment - 1) / alignment * alignment;
  const std::uint64_t room = file_size > data_at ? file_size - data_at : 0;
  if (end.offset > room) {
    cursor.reject("it is truncated: " + std::to_string(end.offset - room) +
                  " bytes are missing at the end, in tensor " + end.name);
    return std::unexpected(cursor.error());
  }
  info.tensor_bytes = Bytes(static_cast<std::int64_t>(end.all_known ? end.offset : room));
  if (end.sum_known)
    info.weights = end.weights;
  return info;
}

}  // namespace tonnage
