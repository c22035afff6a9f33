#include "tonnage-demo-models/demo_model.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/check.h"
#include "footprint/gguf.h"
#include "tonnage-demo-models/decoder.h"
#include "tonnage-demo-models/embedder.h"

namespace tonnage {
namespace {

// Part of the recipe: raised whenever the same request would give other bytes.
constexpr int kRecipeVersion = 1;

constexpr std::size_t kIdLengthMax = 128;
constexpr std::int32_t kContextMin = 256;
constexpr std::int32_t kContextMax = 131'072;

// Fine enough for the wanted size, and a multiple of every quantised type's smallest block.
constexpr std::int64_t kHiddenUnit = 32;

// Metadata, vocabulary and tensor names: about 16 KiB of every file.
constexpr std::int64_t kHeaderBytes = 16 * 1024;

// Numbers of one layer without and with the feed-forward part.
std::int64_t attention_numbers(DemoKind kind, std::int64_t width) {
  return kind == DemoKind::decoder ? 2 * width * width + 2 * width * kHeadWidth : 4 * width * width;
}
std::int64_t feed_forward_matrices(DemoKind kind) {
  return kind == DemoKind::decoder ? 3 : 2;
}

std::int64_t rounded(std::int64_t n, std::int64_t unit) {
  return (n + unit / 2) / unit * unit;
}

}  // namespace

DemoShape choose_shape(const DemoModel& model, std::int64_t tokens) {
  const std::int64_t numbers = (model.size.count - kHeaderBytes) / element_bytes(model.element);
  // With hidden = 4 x width and width / 64 layers a model has about 14 x width^3 / 64 numbers.
  std::int64_t width = kHeadWidth;
  while (14 * (width + kHeadWidth) * (width + kHeadWidth) * (width + kHeadWidth) / 64 < numbers) {
    width += kHeadWidth;
  }
  // Input and output rows; or input rows and positions, which are in single precision.
  const std::int64_t rows = model.kind == DemoKind::decoder
                                ? 2 * tokens
                                : tokens + model.context * 4 / element_bytes(model.element);
  const std::int64_t body = std::max<std::int64_t>(numbers - rows * width, 1);
  const std::int64_t matrices = feed_forward_matrices(model.kind);
  const std::int64_t attention = attention_numbers(model.kind, width);
  const std::int64_t typical = attention + matrices * width * 4 * width;
  const std::int64_t layers = std::max<std::int64_t>(2, rounded(body, typical) / typical);
  const std::int64_t hidden = (body / layers - attention) / (matrices * width);
  return {width, layers, std::max(kHiddenUnit, rounded(hidden, kHiddenUnit))};
}

std::string recipe(const DemoModel& model) {
  return "v" + std::to_string(kRecipeVersion) +
         (model.kind == DemoKind::decoder ? " decoder" : " embedding") + " id=" + model.id +
         " size=" + std::to_string(model.size.count) + " seed=" + std::to_string(model.seed) +
         " eos_after=" + std::to_string(model.eos_after) +
         " context=" + std::to_string(model.context) +
         (model.element == ElementType::f16 ? " f16" : " f32");
}

Result<void> validate(const DemoModel& model) {
  const auto bad = [&](std::string why, std::string remedy) {
    return fail("cannot make demo model", model.id, std::move(why), std::move(remedy));
  };
  if (model.id.empty() || model.id.size() > kIdLengthMax) {
    return bad("an id has 1 to " + std::to_string(kIdLengthMax) + " bytes", "choose another --id");
  }
  if (model.size < kDemoSizeMin || model.size > kDemoSizeMax) {
    return bad("its size of " + to_text(model.size) + " is out of range",
               "choose a --size from 2MB to 8GB");
  }
  if (model.eos_after < 0 || model.eos_after > kEosAfterMax) {
    return bad("it cannot end a turn after " + std::to_string(model.eos_after) + " tokens",
               "choose --eos-after 0 to " + std::to_string(kEosAfterMax));
  }
  if (model.context < kContextMin || model.context > kContextMax) {
    return bad("its context of " + std::to_string(model.context) + " tokens is out of range",
               "choose --context 256 to 131072");
  }
  return {};
}

GgufWriter build(const DemoModel& model) {
  TONNAGE_CHECK(validate(model).has_value(), "validate() comes before build()");
  return model.kind == DemoKind::decoder ? build_decoder(model) : build_embedder(model);
}

std::string file_name(const DemoModel& model) {
  std::string name;
  for (const char c : model.id) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || (c == '.' && !name.empty());
    name += plain ? c : '_';
  }
  return name + ".gguf";
}

Result<DemoOutcome> ensure(const DemoModel& model, const std::string& directory) {
  if (auto valid = validate(model); !valid)
    return std::unexpected(valid.error());
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return fail("cannot make folder", directory, error.message());

  const GgufWriter file = build(model);
  DemoOutcome outcome{std::filesystem::path(directory) / file_name(model), file.file_size()};
  const auto present = read_gguf(outcome.path);
  if (present && present->file_size == outcome.size && present->text(kRecipeKey) == recipe(model)) {
    return outcome;
  }
  if (auto done = file.write(outcome.path); !done)
    return std::unexpected(done.error());
  outcome.written = true;
  return outcome;
}

}  // namespace tonnage
