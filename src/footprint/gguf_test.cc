#include "footprint/gguf.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tonnage {
namespace {

// Builds GGUF files byte by byte, wrong ones too.
class File {
 public:
  explicit File(std::uint32_t version = 3) {
    bytes = "GGUF";
    put(version);
    put<std::uint64_t>(0).put<std::uint64_t>(0);
  }

  template <typename T>
  File& put(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes.append(raw, sizeof(T));
    return *this;
  }
  File& text(std::string_view value) {
    put<std::uint64_t>(value.size());
    bytes.append(value);
    return *this;
  }
  File& key(std::string_view name, std::uint32_t type) {
    set_count(16, ++keys_);
    return text(name).put(type);
  }
  File& text_key(std::string_view name, std::string_view value) { return key(name, 8).text(value); }
  File& u32_key(std::string_view name, std::uint32_t value) { return key(name, 4).put(value); }
  File& tensor(std::string_view name, std::vector<std::uint64_t> dims, std::uint32_t type,
               std::uint64_t offset) {
    set_count(8, ++tensors_);
    text(name).put(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims)
      put(dim);
    return put(type).put(offset);
  }
  File& data(std::size_t size, std::size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment + size, '\x5a');
    return *this;
  }
  void set_count(std::size_t at, std::uint64_t count) { std::memcpy(&bytes[at], &count, 8); }

  std::string bytes;

 private:
  std::uint64_t keys_ = 0;
  std::uint64_t tensors_ = 0;
};

Result<GgufInfo> parse(const std::string& bytes) {
  return parse_gguf("m.gguf", bytes.size(), [&](std::uint64_t at, char* out, std::size_t n) {
    EXPECT_LE(at + n, bytes.size());
    std::memcpy(out, bytes.data() + at, n);
    return n;
  });
}

std::string why(const std::string& bytes) {
  const auto info = parse(bytes);
  return info ? "it was accepted" : info.error().why;
}

// A header like a small real one, 64 bytes of vocabulary included.
File small_model() {
  File file;
  file.text_key("general.architecture", "llama").text_key("general.name", "tiny");
  file.u32_key("llama.block_count", 2).u32_key("llama.context_length", 4096);
  file.key("llama.rope.freq_base", 6).put(10000.0F);
  file.key("tokenizer.ggml.tokens", 9).put<std::uint32_t>(8).put<std::uint64_t>(2);
  file.text("a").text("bc");
  file.key("tokenizer.ggml.scores", 9).put<std::uint32_t>(6).put<std::uint64_t>(2);
  file.put(0.0F).put(1.0F);
  file.tensor("token_embd.weight", {8, 2}, 1, 0);  // 32 bytes of F16
  file.tensor("output.weight", {32, 2}, 8, 32);    // 68 bytes of Q8_0
  return file.data(32 + 68);
}

TEST(Gguf, ReadsWhatTheFootprintNeeds) {
  const auto info = parse(small_model().bytes);
  ASSERT_TRUE(info) << info.error().text();
  EXPECT_EQ(info->version, 3U);
  EXPECT_EQ(info->architecture(), "llama");
  EXPECT_EQ(info->name(), "tiny");
  EXPECT_EQ(info->of("block_count"), 2);
  EXPECT_EQ(info->of("context_length"), 4096);
  EXPECT_EQ(info->of("embedding_length"), std::nullopt);
  EXPECT_EQ(info->vocabulary_size(), 2);
  EXPECT_EQ(info->tensor_count, 2U);
  EXPECT_EQ(info->tensor_bytes, 100_B);
  EXPECT_EQ(info->weights, (GgufWeights{.blocks = {}, .output = 68_B, .input = 32_B}));
  EXPECT_EQ(info->split_count(), 1);
  EXPECT_FALSE(info->is_embedding());
}

TEST(Gguf, ReadsVersion2) {
  EXPECT_TRUE(parse(File(2).text_key("general.architecture", "x").bytes));
}

TEST(Gguf, TellsEmbeddingModelsAndRerankers) {
  const auto kind = [](std::string_view architecture, int pooling) {
    File file;
    file.text_key("general.architecture", architecture);
    if (pooling >= 0) {
      file.u32_key(std::string(architecture) + ".pooling_type",
                   static_cast<std::uint32_t>(pooling));
    }
    const auto info = parse(file.bytes);
    return std::pair(info->is_embedding(), info->is_reranker());
  };
  EXPECT_EQ(kind("llama", -1), std::pair(false, false));
  EXPECT_EQ(kind("llama", 0), std::pair(false, false));
  EXPECT_EQ(kind("qwen3", 3), std::pair(true, false));
  EXPECT_EQ(kind("bert", -1), std::pair(true, false));
  EXPECT_EQ(kind("nomic-bert-moe", -1), std::pair(true, false));
  EXPECT_EQ(kind("bert", 4), std::pair(false, true));
}

TEST(Gguf, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(why(""), "it is empty");
  EXPECT_EQ(why("PK\x03\x04 and more"),
            "it is not a GGUF file: it begins with the bytes 50 4b 03 04 instead of GGUF");
  EXPECT_THAT(why("version https://git-lfs.github.com/spec/v1\n"),
              testing::HasSubstr("git lfs pull"));
  EXPECT_THAT(why("<!DOCTYPE html>"), testing::HasSubstr("like a web page"));
  EXPECT_EQ(why("GG"), "it is truncated: the magic at byte 2 needs 2 bytes more than the file's 2");
  EXPECT_EQ(why(File(1).bytes), "at byte 4: GGUF version 1; 2 and 3 are known");
  EXPECT_EQ(why(File(0x03000000).bytes),
            "at byte 4: it is a big-endian GGUF file, which the engine cannot map");
  EXPECT_EQ(why(File().bytes), "it does not name its architecture (general.architecture)");

  EXPECT_EQ(why(File().u32_key("a", 1).u32_key("a", 2).bytes),
            "at byte 41: a key that was there before");
  EXPECT_EQ(why(File().key("a", 99).bytes), "at byte 33: unknown value type 99");
  EXPECT_EQ(why(File().key("a", 9).put<std::uint32_t>(9).put<std::uint64_t>(1).data(64).bytes),
            "at byte 37: an array of arrays");
  EXPECT_EQ(why(File().u32_key("general.alignment", 24).bytes),
            "general.alignment is no sensible power of two");
}

TEST(Gguf, RefusesAbsurdCounts) {
  File tensors = small_model();
  tensors.set_count(8, std::uint64_t{1} << 60);
  EXPECT_EQ(why(tensors.bytes).substr(0, 53),
            "at byte 8: it claims 1152921504606846976 tensors, whi");
  File keys = small_model();
  keys.set_count(16, 1'000'000);
  EXPECT_EQ(why(keys.bytes).substr(0, 36), "at byte 16: it claims 1000000 keys, ");
  const std::uint64_t huge = ~std::uint64_t{0};
  EXPECT_EQ(why(File().key("a", 9).put<std::uint32_t>(4).put(huge).data(64).bytes).substr(0, 33),
            "at byte 37: an array of 184467440");
  EXPECT_EQ(why(File().key("a", 8).put(huge).data(64).bytes).substr(0, 44),
            "it is truncated: a text at byte 45 needs 184");
}

TEST(Gguf, WeightsAreCountedByLayer) {
  GgufWeights weights;
  weights.add("blk.1.attn_q.weight", 10_B);
  weights.add("blk.0.attn_q.weight", 7_B);
  weights.add("blk.1.ffn_up.weight", 5_B);
  weights.add("output_norm.weight", 1_B);
  weights.add("token_embd.weight", 2_B);
  weights.add("blk.99999999.x", 4_B);
  weights.add("blk.x", 4_B);
  EXPECT_EQ(weights, (GgufWeights{.blocks = {7_B, 15_B}, .output = 1_B, .input = 10_B}));
  EXPECT_EQ(weights.total(), 33_B);
}

TEST(Gguf, RefusesTensorsThatMakeNoSense) {
  const auto with = [](std::vector<std::uint64_t> dims, std::uint32_t type, std::uint64_t offset) {
    File file;
    file.text_key("general.architecture", "llama").tensor("t", std::move(dims), type, offset);
    return why(file.data(64).bytes);
  };
  EXPECT_EQ(with({8}, 0, 0), "it was accepted");
  EXPECT_EQ(with({1, 1, 1, 1, 1}, 0, 0), "at byte 69: a tensor of 5 dimensions");
  EXPECT_EQ(with({std::uint64_t{1} << 40, 1 << 20}, 0, 0), "at byte 69: a tensor of absurd size");
  EXPECT_EQ(with({8}, 0, 7),
            "at byte 69: a tensor offset of 7, which is no multiple of the alignment 32");
  EXPECT_EQ(
      with({33}, 8, 0),
      "at byte 69: a tensor row of 33 numbers, which is no multiple of its type's block of 32");
  EXPECT_EQ(with({8}, 0, ~std::uint64_t{31}),
            "at byte 69: a tensor offset of 18446744073709551584");
  EXPECT_EQ(with({17}, 0, 0), "it is truncated: 4 bytes are missing at the end, in tensor t");
  EXPECT_EQ(with({1 << 20}, 777, 0), "it was accepted") << "a type of a later engine";
}

TEST(Gguf, EveryTruncationIsFoundAndSaysHowMuchIsMissing) {
  const std::string whole = small_model().bytes;
  ASSERT_TRUE(parse(whole));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const std::string reason = why(whole.substr(0, size));
    EXPECT_TRUE(reason.starts_with("it is truncated") ||
                reason.find("cannot be in") != reason.npos ||
                reason.find("entries in the last") != reason.npos)
        << "cut to " << size << " bytes: " << reason;
  }
  EXPECT_EQ(why(whole.substr(0, whole.size() - 5)),
            "it is truncated: 5 bytes are missing at the end, in tensor output.weight");
}

TEST(Gguf, NoFlippedBitCrashesOrTakesMemory) {
  const std::string whole = small_model().bytes;
  int accepted = 0;
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const auto info = parse(bytes);
    if (!info)
      continue;
    ++accepted;
    EXPECT_LE(info->tensor_bytes, info->file_size);
    EXPECT_LE(info->keys.size(), 7U);
  }
  EXPECT_GT(accepted, 0) << "a flipped bit in a name or a weight is no error of the format";
}

TEST(Gguf, LongTextsAndKeysAreSkipped) {
  File file;
  file.text_key("general.architecture", "llama");
  file.text_key("tokenizer.chat_template", std::string(200'000, 'x'));
  file.u32_key(std::string(300, 'k'), 1).u32_key("llama.block_count", 3);
  const auto info = parse(file.bytes);
  ASSERT_TRUE(info) << info.error().text();
  EXPECT_EQ(info->of("block_count"), 3);
  EXPECT_EQ(info->keys.size(), 2U);
}

TEST(Gguf, AnArrayWhereANumberShouldBeIsNoNumber) {
  File file;
  file.text_key("general.architecture", "llama");
  file.key("llama.attention.head_count_kv", 9).put<std::uint32_t>(4).put<std::uint64_t>(1);
  file.put<std::uint32_t>(8);
  EXPECT_EQ(parse(file.bytes)->of("attention.head_count_kv"), std::nullopt);
}

class GgufFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/gguf_test_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  static std::string why_not(const std::string& path) {
    const auto info = read_gguf_model(path);
    return info ? "it was accepted" : info.error().why;
  }

  std::filesystem::path folder_;
};

TEST_F(GgufFile, NamesWhatIsThereInsteadOfAModel) {
  EXPECT_EQ(why_not(folder_ / "absent.gguf"), "there is no such file");
  EXPECT_EQ(why_not(folder_), "it is a directory");
  EXPECT_EQ(why_not(write("empty.gguf", "")), "it is empty");
  const std::string pipe = folder_ / "pipe.gguf";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(why_not(pipe), "it is not a regular file");
}

TEST_F(GgufFile, ContentHasAnIdentity) {
  const std::string path = write("a.gguf", small_model().bytes);
  const auto first = read_gguf(path);
  EXPECT_NE(first->file, FileId());
  EXPECT_EQ(read_gguf(path)->file, first->file);
  std::filesystem::create_hard_link(path, folder_ / "b.gguf");
  EXPECT_EQ(read_gguf(folder_ / "b.gguf")->file, first->file) << "one file, two names";
  EXPECT_NE(read_gguf(write("c.gguf", small_model().bytes))->file, first->file);
  std::filesystem::last_write_time(
      path, std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_NE(read_gguf(path)->file, first->file);
}

TEST_F(GgufFile, PartsOfOneModelAreAddedUp) {
  const auto part = [](std::uint32_t number, std::size_t weights) {
    File file;
    if (number == 0)
      file.text_key("general.architecture", "llama");
    file.key("split.no", 2).put(static_cast<std::uint16_t>(number));
    file.key("split.count", 2).put<std::uint16_t>(2);
    file.tensor("t", {weights}, 24, 0);
    return file.data(weights).bytes;
  };
  const std::string first = write("m-00001-of-00002.gguf", part(0, 100));
  EXPECT_EQ(why_not(first), "there is no such file") << "the second part is missing";
  const std::string second = write("m-00002-of-00002.gguf", part(1, 50));
  const auto model = read_gguf_model(first);
  ASSERT_TRUE(model) << model.error().text();
  EXPECT_EQ(model->tensor_bytes, 150_B);
  EXPECT_EQ(model->tensor_count, 2U);
  EXPECT_EQ(model->file_size.count,
            static_cast<std::int64_t>(part(0, 100).size() + part(1, 50).size()));
  EXPECT_EQ(why_not(second), "it is one of 2 parts of a model");
}

}  // namespace
}  // namespace tonnage
