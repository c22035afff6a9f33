#include "engine/llama/model_looks.h"

#include <sys/stat.h>

#include <fstream>

#include "process/loop_fixture.h"

namespace tonnage {
namespace {

GgufInfo example_header(std::uint64_t file) {
  GgufInfo info;
  info.version = 3;
  info.tensor_count = 7;
  info.tensor_bytes = 12_MiB;
  info.weights = {.blocks = {1_MiB, 2_MiB}, .output = 3_MiB, .input = 4_MiB};
  info.header_bytes = 100_KiB;
  info.file_size = 13_MiB;
  info.file = FileId(file);
  info.keys = {{"general.architecture", std::string("llama\nwith \"more\"")},
               {"llama.block_count", std::uint64_t{2}},
               {"below.zero", std::int64_t{-4}},
               {"llama.rope.freq_base", 1e6},
               {"yes", true},
               {"tokenizer.ggml.tokens", GgufArray{128'256}}};
  return info;
}

ModelLook example() {
  ModelLook look;
  look.key = "[\"/models/a b.gguf\"]";
  look.files = FileId(0xffff'ffff'ffff'fff0U);
  look.changed_s = 1'700'000'000;
  look.facts.emplace();
  look.facts->files.files = {{FileRole::model, "/models/a b.gguf", FileId(5), 13_MiB, 1},
                             {FileRole::draft, "/models/d.gguf", FileId(6), 3_MiB, 2}};
  look.facts->gguf = example_header(5);
  look.facts->companions = {.draft = example_header(6), .projectors = 2_MiB, .adapters = 1_MiB};
  look.facts->trained_context = 2048;
  return look;
}

TEST(ModelLookTest, ArrivesAsItWasSent) {
  const ModelLook whole = example();
  ModelLook missing;
  missing.key = "/gone";
  missing.error = "there is no such file";
  const auto looks = decode_looks(encode(whole) + encode(missing));
  ASSERT_EQ(looks.size(), 2U);
  EXPECT_EQ(encode(looks[0]), encode(whole));
  EXPECT_EQ(encode(looks[1]), encode(missing));
  EXPECT_EQ(looks[0].files, whole.files);
  ASSERT_TRUE(looks[0].facts);
  const ModelFacts& facts = *looks[0].facts;
  EXPECT_EQ(facts.files, whole.facts->files);
  EXPECT_EQ(facts.gguf.keys, whole.facts->gguf.keys);
  EXPECT_EQ(facts.gguf.weights, whole.facts->gguf.weights);
  EXPECT_EQ(facts.gguf.file, FileId(5));
  EXPECT_EQ(facts.gguf.file_size, 13_MiB);
  ASSERT_TRUE(facts.companions.draft);
  EXPECT_EQ(facts.companions.draft->file, FileId(6));
  EXPECT_EQ(facts.companions.projectors, 2_MiB);
  EXPECT_EQ(facts.companions.adapters, 1_MiB);
  EXPECT_EQ(facts.trained_context, 2048);
  EXPECT_FALSE(looks[1].facts);
  EXPECT_EQ(looks[1].files, FileId{});
  EXPECT_EQ(looks[1].error, missing.error);
}

TEST(ModelLookTest, WhatWasCutOffIsLeftOut) {
  const std::string one = encode(example());
  const std::string two = one + one;
  for (std::size_t size = 0; size < two.size(); ++size)
    EXPECT_EQ(decode_looks(std::string_view(two).substr(0, size)).size(), size / one.size());
  EXPECT_TRUE(decode_looks("17\nno such record at all").empty());
  EXPECT_TRUE(decode_looks("99999999999999999999\n").empty());
}

TEST(ModelLookTest, SaysWhyAFileCannotBeRead) {
  LlamaModel model;
  model.gguf = "/does/not/exist.gguf";
  model.adapters = {"/an adapter"};
  const std::string key = look_key(model);
  EXPECT_EQ(file_of_key(key), "/does/not/exist.gguf");
  const ModelLook look = look_at_model(key, LookDepth::facts);
  EXPECT_EQ(look.files, FileId{});
  EXPECT_FALSE(look.facts);
  EXPECT_NE(look.error.find("/does/not/exist.gguf"), std::string::npos) << look.error;
}

// A program in the place of the one that looks: it answers, except about files named "hangs".
class ModelLooksTest : public LoopFixture {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "starts programs by sharing its memory, which TSan cannot follow";
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    GTEST_SKIP() << "starts programs by sharing its memory, which TSan cannot follow";
#endif
#endif
    ModelLook look;
    look.key = "x";
    look.files = FileId(9);
    std::ofstream(scratch_.path() / "answer") << encode(look);
    const auto program = scratch_.path() / "look";
    std::ofstream(program) << "#!/bin/sh\necho \"$3\" >> " << (scratch_.path() / "asked").string()
                           << "\ncase \"$3\" in *hangs) exec sleep 1000;; esac\nexec cat "
                           << (scratch_.path() / "answer").string() << "\n";
    ::chmod(program.c_str(), 0755);
    files_.emplace(loop_, runner_, program.string());
  }

  ProcessRunner runner_{loop_};
  std::optional<ModelLooks> files_;
};

TEST_F(ModelLooksTest, OneThatHangsHoldsUpNoOther) {
  int hung = 0;
  for (int i = 0; i < 3; ++i)
    files_->look("hangs", LookDepth::facts, [&hung](const auto&) { ++hung; });
  int answered = 0;
  for (int i = 0; i < 30; ++i) {
    files_->look("x", LookDepth::identity, [&answered](const Result<ModelLook>& look) {
      ASSERT_TRUE(look) << look.error().text();
      EXPECT_EQ(look->files, FileId(9));
      ++answered;
    });
  }
  EXPECT_EQ(answered, 0) << "never from within";
  EXPECT_TRUE(run_until([&] { return answered == 30; }));
  EXPECT_EQ(hung, 0);
  EXPECT_EQ(runner_.running().size(), 1U) << "one process at a time for a file";
}

TEST_F(ModelLooksTest, RemembersWhatWasSeen) {
  EXPECT_EQ(files_->known("x"), nullptr);
  bool answered = false;
  files_->look("x", LookDepth::identity, [&answered](const auto&) { answered = true; });
  EXPECT_TRUE(run_until([&] { return answered; }));
  ASSERT_NE(files_->known("x"), nullptr);
  EXPECT_EQ(files_->known("x")->files, FileId(9));
}

TEST_F(ModelLooksTest, TheStartWaitsForWhatAnswersOnly) {
  const std::string program = (scratch_.path() / "look").string();
  EXPECT_EQ(look_at_all({"x"}, LookDepth::identity, 10s, program).size(), 1U);
  EXPECT_TRUE(look_at_all({"hangs"}, LookDepth::identity, 50ms, program).empty());
  EXPECT_TRUE(look_at_all({}, LookDepth::identity, 10s, program).empty());
}

}  // namespace
}  // namespace tonnage
