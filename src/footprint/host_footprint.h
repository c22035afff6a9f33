// Predicts what a `llama-server` takes in host memory of its own, beside the mapped file.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "core/types.h"
#include "footprint/dry_run.h"
#include "footprint/gguf.h"
#include "footprint/server_settings.h"

namespace tonnage {

// Anonymous memory at the server's peak, before any margin; an upper bound. The engine's own
// numbers from the dry run, plus what the dry run does not know: see process_overhead().
Bytes host_anon(const GgufInfo& model, const DryRun& dry_run, const ServerSettings& settings);

// The estimate without a dry run: a fifth of the file for computing, a key-value cache from the
// header, and the process itself. With the file that makes its size x 1.2 and a little more.
Bytes host_anon_analytic(const GgufInfo& model, const ServerSettings& settings);

// What a server holds beside caches and compute buffers: code and heap, vocabulary, book-keeping
// per token and per slot, and its prompt cache.
Bytes process_overhead(const GgufInfo& model, const ServerSettings& settings);

// The compute buffer in the host. The dry run assumes an output row for each token of a
// micro-batch where the server computes a few per slot; with a vocabulary of 262,000 tokens that is
// 512 MiB too much. For plain dense models, whose graph is known here, this is taken back.
Bytes host_compute(const GgufInfo& model, const DryRunRow& host, const ServerSettings& settings);

// What a draft adds beside its cache and compute buffer: vocabulary and book-keeping.
Bytes companion_overhead(const GgufInfo& model, const ServerSettings& settings);

// What a projector takes: its weights, which are copied and not mapped, and the buffers of its
// largest picture.
Bytes projector_bytes(const GgufInfo& projector);

// Weights that the engine rearranges for the processor (Q4_0, Q4_K, IQ4_NL and others, unless it
// is started with --no-repack) are copied into anonymous memory, and no row of the dry run has
// them. They are what is missing from the file's tensors. Measured: 161 MiB of Q4_0 and Q4_K
// tensors, 62 in the dry run, 99 MiB more anonymous memory than with --no-repack.
Bytes repacked_weights(const GgufInfo& model, const DryRun& dry_run);

// The key-value cache of every layer with full attention, at least what any model keeps: from the
// header alone.
Bytes key_value_cache(const GgufInfo& model, const ServerSettings& settings);

// A number of the header, within what any model has.
std::int64_t header_number(const GgufInfo& model, const char* key, std::int64_t otherwise);

}  // namespace tonnage
