// build_decoder: a llama-family model whose next token depends on the last token only.
#pragma once

#include "tonnage-demo-models/demo_model.h"
#include "tonnage-demo-models/vocabulary.h"

namespace tonnage {

inline constexpr std::uint32_t kOneF32 = 0x3f800000;  // 1.0

// How it is made to say its signature. Every token t has a successor s(t), and every token that is
// a successor has a random code of signs. The embedding of t has the signs of the code of s(t) and
// random sizes in [1, 2); the output row of a token is its code, scaled so that the right token's
// logit is 64 to 128. Between different codes a product is about sqrt(width) where the right one is
// width, which leaves a gap of more than 20 between the first and the second logit: the same answer
// at temperature 0 and at usual sampling. The layers have full-sized random weights, but the value,
// up and both output projections are scaled so that all layers together move the residual stream
// by a few percent only.
GgufWriter build_decoder(const DemoModel& model);

// Adds the tokenizer keys that decoders and embedding models share.
void add_tokenizer(GgufWriter& file, const Vocabulary& vocabulary);

}  // namespace tonnage
