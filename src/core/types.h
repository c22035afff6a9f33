// The words that every module shares with the core: ids, placements, footprints, failures.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/tick.h"

namespace tonnage {

// A model's index in Policy::models. Stable while the daemon runs.
using ModelId = Id<struct ModelTag, std::uint32_t>;
// One client request. Never reused while the daemon runs; larger means arrived later.
using RequestId = Id<struct RequestTag>;
// One incarnation of a model server. Unique over all models, larger means started later.
using Generation = Id<struct GenerationTag>;
// What a model's dry run is charged as; servers begin with 1 and never get so far.
inline constexpr std::uint64_t kDryRuns = std::uint64_t{1} << 52;  // exact in JSON
constexpr Generation dry_run_of(ModelId model) {
  return Generation(kDryRuns + model.value);
}
constexpr bool is_dry_run(Generation generation) {
  return generation.value >= kDryRuns;
}
// One operator command, answered by exactly one CommandDone.
using CommandId = Id<struct CommandTag>;
// Identity of a weight file's content (device, inode, size, modification time), so that two models
// that map one file are charged for it once.
using FileId = Id<struct FileTag>;
// A memory domain's index in Policy::pools.
using PoolId = Id<struct PoolTag, std::uint32_t>;

// The host pool always exists and comes first.
inline constexpr PoolId kHostPool{0};

enum class ModelType : std::uint8_t { llm, embedding, reranker, stt, vision, image, other };
enum class Priority : std::uint8_t { low, normal, high };
enum class KvType : std::uint8_t { f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl };
enum class FootprintSource : std::uint8_t { analytic, dry_run, learned, declared };

// One concrete way to run a model.
struct Placement {
  std::int32_t gpu_layers = 0;
  // Tokens that one request may use; slots multiply it. Zero: only the server knows.
  std::int32_t context = 0;
  std::int32_t slots = 1;  // requests that the server runs at once
  KvType kv = KvType::f16;

  friend auto operator<=>(const Placement&, const Placement&) = default;
};

// A file whose pages a server maps. Size zero: there is none.
struct WeightFile {
  FileId file;
  Bytes size;  // of the whole file

  friend bool operator==(const WeightFile&, const WeightFile&) = default;
};
// A model and the draft that runs beside it. The parts of a split model count as one file; other
// files (projectors, adapters) are copied into memory and not mapped.
inline constexpr std::size_t kWeightFilesMax = 2;
// Each names another file.
using WeightFiles = std::array<WeightFile, kWeightFilesMax>;

constexpr Bytes size_of(const WeightFiles& files) {
  Bytes sum;
  for (const WeightFile& weights : files)
    sum += weights.size;
  return sum;
}

// Whether `file` is among them.
constexpr bool names(const WeightFiles& files, FileId file) {
  for (const WeightFile& weights : files) {
    if (weights.size > Bytes{0} && weights.file == file)
      return true;
  }
  return false;
}

// One line of a model's ladder with its predicted footprint, before any margin.
struct PlacementRow {
  Placement placement;
  // Per logical device of the server; empty without a GPU. The core chooses which pools they are.
  std::vector<Bytes> device_bytes;
  Bytes host_anon;                     // memory in the host that only this server holds
  WeightFiles weights;                 // mapped files, each charged once for all servers
  std::int32_t speed_permille = 1000;  // estimated, of the first row's speed
  FootprintSource source = FootprintSource::analytic;

  friend bool operator==(const PlacementRow&, const PlacementRow&) = default;
};

// At most this many rows arrive in one ModelProfiled event: 8 device splits x 8 contexts.
inline constexpr std::size_t kPlacementRowsMax = 64;

// What went wrong with a model server or with a dry run.
enum class FailureKind : std::uint8_t {
  crashed,               // ended by a signal, cause unknown
  exited,                // ended by itself with an error status
  out_of_memory,         // of the host: its last words, its exit status or the kernel say so
  load_timeout,          // never became ready
  unresponsive,          // stopped answering health probes, or in state T
  bad_model,             // the file is missing, corrupt, truncated or of an unknown architecture
  bad_setup,             // missing library, bad flag, unwritable socket: not the model's fault
  spawn_failed,          // the process could not be started
  stale_profile,         // the file changed since it was profiled
  out_of_device_memory,  // a GPU had not enough; out_of_memory is the host's
  killed,                // somebody else's signal (SIGKILL, SIGTERM) ended it, and not for memory
};

// Of the host or of a device.
constexpr bool is_for_memory(FailureKind kind) {
  return kind == FailureKind::out_of_memory || kind == FailureKind::out_of_device_memory;
}

struct Failure {
  FailureKind kind = FailureKind::crashed;
  std::string text;  // for people: what the server said, or what the system call said

  friend bool operator==(const Failure&, const Failure&) = default;
};

// How a request that held a lease came to its end.
enum class RequestOutcome : std::uint8_t {
  answered,     // the server's answer was relayed to its end, whatever its status
  client_gone,  // the client left; the server's slot is idle again
  lost,         // no byte of a body was relayed: the connection to the server broke, or the server
                // had no memory for it (ServerOutOfMemory)
  broken,       // the connection to the server broke after the first byte was relayed
};

std::string_view to_text(ModelType type);
std::string_view to_text(Priority priority);
std::string_view to_text(KvType type);
std::string_view to_text(FootprintSource source);
std::string_view to_text(FailureKind kind);
std::string_view to_text(RequestOutcome outcome);

}  // namespace tonnage
