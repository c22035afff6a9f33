#include "tonnage-demo-models/demo_model.h"

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "footprint/gguf.h"
#include "tonnage-demo-models/presets.h"
#include "tonnage-demo-models/vocabulary.h"

namespace tonnage {
namespace {

constexpr Bytes megabytes(std::int64_t n) {
  return Bytes(n * 1'000'000);
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class DemoModelFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/demo_model_test_XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST(DemoModel, EverySizeIsKeptWithinTwoPercent) {
  for (const DemoKind kind : {DemoKind::decoder, DemoKind::embedding}) {
    for (const ElementType element : {ElementType::f32, ElementType::f16}) {
      for (const std::int64_t mb : {5, 12, 48, 200, 1400, 4000}) {
        if (kind == DemoKind::embedding && mb > 1400)
          continue;
        DemoModel model{.id = "m", .kind = kind, .size = megabytes(mb), .element = element};
        if (kind == DemoKind::embedding)
          model.context = 512;
        const std::int64_t difference = std::abs(build(model).file_size().count - model.size.count);
        EXPECT_LE(difference * 50, model.size.count) << recipe(model);
      }
    }
  }
}

TEST_F(DemoModelFile, IsAModelThatTheReaderAccepts) {
  const auto models = preset_models("test", 0);
  ASSERT_TRUE(models);
  for (const DemoModel& model : *models) {
    const auto outcome = ensure(model, folder_);
    ASSERT_TRUE(outcome) << outcome.error().text();
    const auto info = read_gguf(outcome->path);
    ASSERT_TRUE(info) << info.error().text();
    EXPECT_EQ(info->file_size, outcome->size);
    EXPECT_EQ(info->name(), model.id);
    EXPECT_EQ(info->is_embedding(), model.kind == DemoKind::embedding);
    EXPECT_EQ(info->integer(kSeedKey), static_cast<std::int64_t>(model.seed));
    EXPECT_EQ(info->of("context_length"), model.context);
  }
}

TEST_F(DemoModelFile, TheSameSeedGivesTheSameBytes) {
  const DemoModel model{.id = "m", .size = megabytes(5), .seed = 9};
  const std::string first = contents(ensure(model, folder_ + "/1")->path);
  EXPECT_EQ(contents(ensure(model, folder_ + "/2")->path), first);
  DemoModel other = model;
  other.seed = 10;
  EXPECT_NE(contents(ensure(other, folder_ + "/3")->path), first);
}

TEST_F(DemoModelFile, IsKeptUnlessItIsAnother) {
  DemoModel model{.id = "m", .size = megabytes(5)};
  EXPECT_TRUE(ensure(model, folder_)->written);
  EXPECT_FALSE(ensure(model, folder_)->written);
  model.seed = 2;
  EXPECT_TRUE(ensure(model, folder_)->written) << "another seed";
  std::filesystem::resize_file(folder_ + "/m.gguf", 1000);
  EXPECT_TRUE(ensure(model, folder_)->written) << "a cut file";
  EXPECT_FALSE(ensure(model, folder_)->written);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/m.gguf.part"));
}

TEST_F(DemoModelFile, WhatCannotBeWrittenIsAnError) {
  std::ofstream(folder_ + "/file") << "x";
  const DemoModel model{.id = "m", .size = megabytes(5)};
  EXPECT_FALSE(ensure(model, folder_ + "/file"));
  std::filesystem::create_directory(folder_ + "/m.gguf.part");
  EXPECT_EQ(ensure(model, folder_).error().why, "Is a directory");
}

// Reads one tensor of single precision rows straight from the file: offset and width are known
// from how decoders are laid out, embedding first, then the norm, then the output rows.
struct Ends {
  std::vector<float> embedding, output;
  std::int64_t width = 0;
};

Ends read_ends(const std::string& path, std::int64_t tokens) {
  const auto info = read_gguf(path);
  const std::string bytes = contents(path);
  Ends ends;
  ends.width = *info->of("embedding_length");
  const auto count = static_cast<std::size_t>(ends.width * tokens);
  const std::size_t data = (static_cast<std::size_t>(info->header_bytes.count) + 31) / 32 * 32;
  ends.embedding.resize(count);
  ends.output.resize(count);
  std::memcpy(ends.embedding.data(), bytes.data() + data, count * 4);
  std::memcpy(ends.output.data(),
              bytes.data() + data + count * 4 + static_cast<std::size_t>(ends.width) * 4,
              count * 4);
  return ends;
}

TEST_F(DemoModelFile, TheSuccessorHasByFarTheLargestLogit) {
  for (const std::int64_t mb : {2, 5, 30}) {
    const DemoModel model{.id = "m", .size = megabytes(mb), .seed = 3, .eos_after = 20};
    const Vocabulary vocabulary = decoder_vocabulary("m:", model.seed, model.eos_after);
    const std::size_t tokens = vocabulary.texts.size();
    const Ends ends = read_ends(ensure(model, folder_)->path, static_cast<std::int64_t>(tokens));
    const auto width = static_cast<std::size_t>(ends.width);
    for (std::size_t t = 0; t < tokens; ++t) {
      const float* in = &ends.embedding[t * width];
      double square = 0;
      for (std::size_t i = 0; i < width; ++i)
        square += double{in[i]} * double{in[i]};
      const double norm = std::sqrt(square / static_cast<double>(width));
      const auto logit = [&](std::size_t of) {
        double sum = 0;
        for (std::size_t i = 0; i < width; ++i)
          sum += double{in[i]} * double{ends.output[of * width + i]};
        return sum / norm;
      };
      const auto right = static_cast<std::size_t>(vocabulary.successor[t]);
      const double best = logit(right);
      for (std::size_t other = 0; other < tokens; ++other) {
        if (other == right)
          continue;
        ASSERT_GT(best - logit(other), 20.0) << mb << " MB, token " << t;
      }
    }
  }
}

TEST(DemoModel, ItsFileNameIsTame) {
  const auto name = [](std::string id) { return file_name({.id = std::move(id)}); };
  EXPECT_EQ(name("demo-a"), "demo-a.gguf");
  EXPECT_EQ(name("../org/model:7b q4"), "_._org_model_7b_q4.gguf");
}

TEST(DemoModel, RefusesWhatItCannotMake) {
  const auto why = [](DemoModel model) {
    const auto valid = validate(model);
    return valid ? "it was accepted" : valid.error().text();
  };
  EXPECT_EQ(why({.id = "a", .size = megabytes(5)}), "it was accepted");
  EXPECT_EQ(why({.id = "", .size = megabytes(5)}),
            "cannot make demo model: an id has 1 to 128 bytes (choose another --id)");
  EXPECT_NE(why({.id = "a", .size = 1_MiB}), "it was accepted");
  EXPECT_NE(why({.id = "a", .size = 100_GiB}), "it was accepted");
  EXPECT_NE(why({.id = "a", .size = megabytes(5), .eos_after = 513}), "it was accepted");
  EXPECT_NE(why({.id = "a", .size = megabytes(5), .context = 1}), "it was accepted");
}

TEST(Presets, AreValidAndKnownByName) {
  for (const Preset& preset : presets()) {
    const auto models = preset_models(preset.name, 100);
    ASSERT_TRUE(models);
    for (std::size_t i = 0; i < models->size(); ++i) {
      EXPECT_TRUE(validate((*models)[i])) << (*models)[i].id;
      EXPECT_EQ((*models)[i].seed, preset.models[i].seed + 100);
    }
  }
  EXPECT_EQ(preset_models("nine", 0).error().text(),
            "unknown preset nine (known: demo, five, test, sizes)");
}

}  // namespace
}  // namespace tonnage
