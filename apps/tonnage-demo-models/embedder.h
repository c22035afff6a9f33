// build_embedder: a BERT-family model that maps text to vectors.
#pragma once

#include "tonnage-demo-models/demo_model.h"

namespace tonnage {

// Random weights of ordinary size. The mean over the tokens keeps the bytes of the text visible:
// the same text gives the same vector, a similar text a near one, another text a farther one.
GgufWriter build_embedder(const DemoModel& model);

}  // namespace tonnage
