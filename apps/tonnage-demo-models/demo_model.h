// DemoModel: what a generated model should be, and the GGUF file that is it.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tonnage-demo-models/gguf_writer.h"
#include "tonnage-demo-models/weights.h"

namespace tonnage {

enum class DemoKind : std::uint8_t { decoder, embedding };

struct DemoModel {
  std::string id;  // a decoder's every answer begins with "<id>:"
  DemoKind kind = DemoKind::decoder;
  Bytes size;                    // wanted file size; the file is within 2 % of it
  std::uint64_t seed = 1;        // the same seed gives the same file, byte for byte
  std::int32_t eos_after = 0;    // end the turn after so many tokens; 0: never
  std::int32_t context = 16384;  // the longest context that the model says it was trained for
  // At one file size single precision halves the arithmetic per token. Measured with 3.3 GB on two
  // cores with AVX-512: 13 ms per prompt token against 32 ms, 130 ms per generated one against 174.
  ElementType element = ElementType::f32;
};

inline constexpr Bytes kDemoSizeMin{std::int64_t{2} * 1000 * 1000};
inline constexpr Bytes kDemoSizeMax{std::int64_t{8} * 1000 * 1000 * 1000};

// Width and depth of a transformer.
struct DemoShape {
  std::int64_t width = 0;  // a multiple of kHeadWidth
  std::int64_t layers = 0;
  std::int64_t hidden = 0;  // of the feed-forward part
};

inline constexpr std::int64_t kHeadWidth = 64;

// A shape whose tensors fill `model.size` when the vocabulary has `tokens` entries.
DemoShape choose_shape(const DemoModel& model, std::int64_t tokens);

// Everything about the model that decides its bytes, as one line of text; stored in the file under
// kRecipeKey, so that an existing file can be recognised.
std::string recipe(const DemoModel& model);

inline constexpr const char* kRecipeKey = "tonnage.demo.recipe";
inline constexpr const char* kSeedKey = "tonnage.demo.seed";

// What is wrong with the request, if anything.
Result<void> validate(const DemoModel& model);

// The whole file, ready to be written.
GgufWriter build(const DemoModel& model);

// "<id>.gguf", with everything that is awkward in a file name replaced by '_'.
std::string file_name(const DemoModel& model);

struct DemoOutcome {
  std::string path;
  Bytes size;
  bool written = false;  // false: a file of this recipe and size was there
};

// Makes the model's file in `directory` unless it is there already.
Result<DemoOutcome> ensure(const DemoModel& model, const std::string& directory);

}  // namespace tonnage
