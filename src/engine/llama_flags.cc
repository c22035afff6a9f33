#include "engine/llama_flags.h"

#include <algorithm>
#include <array>
#include <span>

namespace tonnage {
namespace {

struct Rule {
  std::string_view reason;
  std::span<const std::string_view> flags;
};

constexpr auto kListening = std::to_array<std::string_view>(
    {"--host", "--port", "--reuse-port", "--api-prefix", "--api-key", "--api-key-file",
     "--ssl-key-file", "--ssl-cert-file", "--no-slots"});
constexpr auto kModel = std::to_array<std::string_view>({"-m", "--model", "-a", "--alias"});
constexpr auto kDownload = std::to_array<std::string_view>({"-mu",
                                                            "--model-url",
                                                            "-dr",
                                                            "--docker-repo",
                                                            "-hf",
                                                            "-hfr",
                                                            "--hf-repo",
                                                            "-hff",
                                                            "--hf-file",
                                                            "-mmu",
                                                            "--mmproj-url",
                                                            "-hfd",
                                                            "-hfrd",
                                                            "--hf-repo-draft",
                                                            "--spec-draft-hf",
                                                            "--embd-gemma-default",
                                                            "--fim-qwen-1.5b-default",
                                                            "--fim-qwen-3b-default",
                                                            "--fim-qwen-7b-default",
                                                            "--fim-qwen-7b-spec",
                                                            "--fim-qwen-14b-spec",
                                                            "--fim-qwen-30b-default",
                                                            "--gpt-oss-20b-default",
                                                            "--gpt-oss-120b-default",
                                                            "--vision-gemma-4b-default",
                                                            "--vision-gemma-12b-default"});
constexpr auto kRouter =
    std::to_array<std::string_view>({"--models-dir", "--models-preset", "--models-max",
                                     "--models-autoload", "--no-models-autoload"});
constexpr auto kContext = std::to_array<std::string_view>({"-c", "--ctx-size"});
constexpr auto kSlots =
    std::to_array<std::string_view>({"-np", "--parallel", "-kvu", "--kv-unified", "-no-kvu",
                                     "--no-kv-unified", "--kv-unified-per-slot"});
constexpr auto kBatch =
    std::to_array<std::string_view>({"-b", "--batch-size", "-ub", "--ubatch-size"});
constexpr auto kKvType =
    std::to_array<std::string_view>({"-ctk", "--cache-type-k", "-ctv", "--cache-type-v"});
constexpr auto kCaches = std::to_array<std::string_view>(
    {"-cram", "--cache-ram", "-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"});
constexpr auto kFit = std::to_array<std::string_view>(
    {"-fit", "--fit", "-fitt", "--fit-target", "-fitc", "--fit-ctx"});
constexpr auto kDevices = std::to_array<std::string_view>(
    {"-ngl", "--gpu-layers", "--n-gpu-layers", "-dev", "--device", "-sm", "--split-mode", "-ts",
     "--tensor-split", "-mg", "--main-gpu"});
constexpr auto kLoading =
    std::to_array<std::string_view>({"-lm", "--load-mode", "--mlock", "--mmap", "--no-mmap", "-dio",
                                     "--direct-io", "-ndio", "--no-direct-io"});
constexpr auto kKind =
    std::to_array<std::string_view>({"--embedding", "--embeddings", "--rerank", "--reranking"});
constexpr auto kSleep = std::to_array<std::string_view>({"--sleep-idle-seconds"});
constexpr auto kState = std::to_array<std::string_view>({"--slot-save-path"});
constexpr auto kEnds =
    std::to_array<std::string_view>({"-h", "--help", "--usage", "--version", "-cl", "--cache-list",
                                     "--completion-bash", "--list-devices"});
constexpr auto kSilent = std::to_array<std::string_view>({"--log-disable"});

constexpr auto kRules = std::to_array<Rule>({
    {"tonnage decides where the server listens and who reaches it", kListening},
    {"the server's model and name are the model's own keys", kModel},
    {"servers run offline; name a file on disk", kDownload},
    {"one server runs one model; tonnage is the router", kRouter},
    {"its memory is predicted from the model's `context` key", kContext},
    {"its memory is predicted from the model's `slots` key", kSlots},
    {"the size of the compute buffers is part of the prediction", kBatch},
    {"the type of the KV cache is part of the placement", kKvType},
    {"the size of host caches is part of the prediction", kCaches},
    {"tonnage fits models into memory; two of that kind would fight", kFit},
    {"tonnage places models on devices", kDevices},
    {"how weights are loaded decides how they are counted", kLoading},
    {"it follows from the model's `type` key", kKind},
    {"tonnage decides when a model gives its memory back (`ttl`)", kSleep},
    {"tonnage decides where conversation state is kept", kState},
    {"the server would print something and end", kEnds},
    {"tonnage needs the server's words to say why it failed", kSilent},
});

}  // namespace

std::optional<std::string> governed_flag(std::string_view arg) {
  const std::string_view name = arg.substr(0, arg.find('='));
  for (const auto& rule : kRules) {
    if (std::ranges::find(rule.flags, name) != rule.flags.end())
      return std::string(rule.reason);
  }
  return std::nullopt;
}

}  // namespace tonnage
