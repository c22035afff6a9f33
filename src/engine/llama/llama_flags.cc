#include "engine/llama/llama_flags.h"

#include <algorithm>
#include <array>
#include <charconv>

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
constexpr auto kDraftPlace = std::to_array<std::string_view>(
    {"-ngld", "--spec-draft-ngl", "--gpu-layers-draft", "--n-gpu-layers-draft", "-devd",
     "--spec-draft-device", "--device-draft"});
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
    {"tonnage places a draft where its model is", kDraftPlace},
    {"tonnage needs the server's words to say why it failed", kSilent},
});

// What a flag's value is to tonnage.
enum class Use : std::uint8_t {
  file,         // a path
  files,        // paths with commas between them
  scaled,       // the same, each with ":SCALE" behind it
  memory,       // passed to the dry runs of the model and of its draft
  model_only,   // passed to the dry run of the model
  draft_only,   // passed to that of the draft, as `as`
  flash,        // memory, and worth a look
  position,     // memory, and about positions beyond the trained ones
  override_kv,  // memory, and may set what the header says
  proposed,     // tokens that a draft proposes
  spec_type,
};

struct FlagUse {
  std::string_view flag;
  Use use;
  int values = 1;
  FileRole role = FileRole::other;
  std::string_view as = {};
};

constexpr FlagUse kUses[] = {
    {"--mmproj", Use::file, 1, FileRole::projector},
    {"-mm", Use::file, 1, FileRole::projector},
    {"--spec-draft-model", Use::file, 1, FileRole::draft},
    {"--model-draft", Use::file, 1, FileRole::draft},
    {"-md", Use::file, 1, FileRole::draft},
    {"--lora", Use::files, 1, FileRole::adapter},
    {"--lora-scaled", Use::scaled, 1, FileRole::adapter},
    {"--control-vector", Use::files, 1, FileRole::control_vector},
    {"--control-vector-scaled", Use::scaled, 1, FileRole::control_vector},
    {"--lookup-cache-static", Use::file},
    {"-lcs", Use::file},
    {"--chat-template-file", Use::file},
    {"--grammar-file", Use::file},
    {"--json-schema-file", Use::file},
    {"-jf", Use::file},
    {"--ui-config-file", Use::file},
    {"--webui-config-file", Use::file},
    {"--mcp-servers-config", Use::file},
    {"--flash-attn", Use::flash},
    {"-fa", Use::flash},
    {"--swa-full", Use::memory, 0},
    {"--kv-offload", Use::memory, 0},
    {"-kvo", Use::memory, 0},
    {"--no-kv-offload", Use::memory, 0},
    {"-nkvo", Use::memory, 0},
    {"--repack", Use::memory, 0},
    {"--no-repack", Use::memory, 0},
    {"-nr", Use::memory, 0},
    {"--no-host", Use::memory, 0},
    {"--op-offload", Use::memory, 0},
    {"--no-op-offload", Use::memory, 0},
    {"--lazy-mode", Use::memory},
    {"-lzm", Use::memory},
    {"--rpc", Use::memory},
    {"--override-kv", Use::override_kv},
    {"--rope-scaling", Use::position},
    {"--rope-scale", Use::position},
    {"--rope-freq-base", Use::position},
    {"--rope-freq-scale", Use::position},
    {"--yarn-orig-ctx", Use::position},
    {"--yarn-ext-factor", Use::position},
    {"--yarn-attn-factor", Use::position},
    {"--yarn-beta-slow", Use::position},
    {"--yarn-beta-fast", Use::position},
    {"--override-tensor", Use::model_only},
    {"-ot", Use::model_only},
    {"--cpu-moe", Use::model_only, 0},
    {"-cmoe", Use::model_only, 0},
    {"--n-cpu-moe", Use::model_only},
    {"-ncmoe", Use::model_only},
    {"--n-cpu-ffn", Use::model_only},
    {"-ncffn", Use::model_only},
    {"--spec-draft-override-tensor", Use::draft_only, 1, FileRole::other, "--override-tensor"},
    {"--override-tensor-draft", Use::draft_only, 1, FileRole::other, "--override-tensor"},
    {"-otd", Use::draft_only, 1, FileRole::other, "--override-tensor"},
    {"--spec-draft-cpu-moe", Use::draft_only, 0, FileRole::other, "--cpu-moe"},
    {"--cpu-moe-draft", Use::draft_only, 0, FileRole::other, "--cpu-moe"},
    {"-cmoed", Use::draft_only, 0, FileRole::other, "--cpu-moe"},
    {"--spec-draft-n-cpu-moe", Use::draft_only, 1, FileRole::other, "--n-cpu-moe"},
    {"--spec-draft-ncmoe", Use::draft_only, 1, FileRole::other, "--n-cpu-moe"},
    {"--n-cpu-moe-draft", Use::draft_only, 1, FileRole::other, "--n-cpu-moe"},
    {"-ncmoed", Use::draft_only, 1, FileRole::other, "--n-cpu-moe"},
    {"--spec-draft-type-k", Use::draft_only, 1, FileRole::other, "--cache-type-k"},
    {"--cache-type-k-draft", Use::draft_only, 1, FileRole::other, "--cache-type-k"},
    {"-ctkd", Use::draft_only, 1, FileRole::other, "--cache-type-k"},
    {"--spec-draft-type-v", Use::draft_only, 1, FileRole::other, "--cache-type-v"},
    {"--cache-type-v-draft", Use::draft_only, 1, FileRole::other, "--cache-type-v"},
    {"-ctvd", Use::draft_only, 1, FileRole::other, "--cache-type-v"},
    {"--spec-draft-n-max", Use::proposed},
    {"--spec-type", Use::spec_type},
};

// Tokens that the engine proposes per step where nobody says: by a draft (common.h, n_max), and at
// most by looking for repetitions (n_max of its ngram methods).
constexpr std::int32_t kProposedByDraft = 3;
constexpr std::int32_t kProposedByRepetition = 64;

// The engine's own spelling of a flag. Values are left as they are.
std::string spelled(std::string_view arg) {
  std::string name(arg);
  if (name.starts_with("--"))
    std::ranges::replace(name, '_', '-');
  return name;
}

// As the engine's parse_csv_row does it.
std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && quoted && i + 1 < text.size() && text[i + 1] == '"') {
      items.back() += text[++i];
    } else if (c == '"' && (quoted || items.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      items.emplace_back();
    } else {
      items.back() += c;
    }
  }
  return items;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

class ArgsReader {
 public:
  explicit ArgsReader(std::span<const std::string> args) : args_(args) {}

  LlamaArgs read() {
    while (at_ < args_.size())
      read_one();
    const bool draft = std::ranges::any_of(
        out_.files, [](const NamedFile& file) { return file.role == FileRole::draft; });
    if (draft || proposed_)
      out_.tokens_proposed = std::max(out_.tokens_proposed, proposed_.value_or(kProposedByDraft));
    return std::move(out_);
  }

 private:
  void read_one() {
    const std::string& arg = args_[at_++];
    const std::string flag = spelled(arg);
    if (const auto why = governed_flag(flag)) {
      out_.problems.push_back("'" + arg + "' cannot be passed: " + *why);
      return;
    }
    const std::string name = flag.substr(0, flag.find('='));
    const auto use = std::ranges::find(kUses, std::string_view(name), &FlagUse::flag);
    if (use == std::end(kUses))
      return;
    if (name.size() != flag.size()) {
      out_.problems.push_back(
          "'" + arg + "' cannot be passed: llama-server takes the value as an " +
          "argument of its own; write '" + name + "', '" + flag.substr(name.size() + 1) + "'");
      return;
    }
    if (use->values == 1 && at_ == args_.size()) {
      out_.problems.push_back("'" + arg + "' has no value");
      return;
    }
    take(*use, use->values == 1 ? args_[at_++] : std::string());
  }

  void take(const FlagUse& use, const std::string& value) {
    switch (use.use) {
      case Use::file:
        return add_file(use, value);
      case Use::files:
        for (const std::string& path : split_list(value))
          add_file(use, path);
        return;
      case Use::scaled:
        for (const std::string& item : split_list(value))
          add_scaled(use, item);
        return;
      case Use::proposed:
        proposed_ = static_cast<std::int32_t>(
            std::clamp<std::int64_t>(whole_number(value).value_or(kProposedByDraft), 0, 4096));
        return;
      case Use::spec_type:
        if (value.find("ngram") != std::string::npos)
          out_.tokens_proposed = kProposedByRepetition;
        else if (value != "none" && !proposed_)
          proposed_ = kProposedByDraft;
        return;
      case Use::draft_only:
        return pass(out_.draft, use.as, use, value);
      case Use::model_only:
        return pass(out_.shared, use.flag, use, value);
      case Use::flash:
        out_.flash_attention_off = value == "off" || value == "0" || value == "false";
        break;
      case Use::position:
        out_.scaled_positions = true;
        break;
      case Use::override_kv:
        add_overrides(value);
        break;
      case Use::memory:
        break;
    }
    pass(out_.shared, use.flag, use, value);
    pass(out_.draft, use.flag, use, value);
  }

  static void pass(std::vector<std::string>& to, std::string_view flag, const FlagUse& use,
                   const std::string& value) {
    to.emplace_back(flag);
    if (use.values == 1)
      to.push_back(value);
  }

  void add_file(const FlagUse& use, const std::string& path) {
    if (path.empty()) {
      out_.problems.push_back("'" + std::string(use.flag) + "' names no file");
      return;
    }
    out_.files.push_back({use.role, path, "args: " + std::string(use.flag)});
  }

  void add_scaled(const FlagUse& use, const std::string& item) {
    const std::size_t colon = item.find(':');
    if (colon == std::string::npos || item.find(':', colon + 1) != std::string::npos) {
      out_.problems.push_back("'" + std::string(use.flag) + "' takes FILE:SCALE, not '" + item +
                              "'");
      return;
    }
    add_file(use, item.substr(0, colon));
  }

  // "llama.context_length=int:8192,tokenizer.ggml.add_bos_token=bool:false"
  void add_overrides(const std::string& value) {
    for (const std::string& item : split_list(value)) {
      const std::size_t at = item.find("=int:");
      if (at == std::string::npos)
        continue;
      if (const auto number = whole_number(std::string_view(item).substr(at + 5)))
        out_.overrides[item.substr(0, at)] = *number;
    }
  }

  std::span<const std::string> args_;
  std::size_t at_ = 0;
  std::optional<std::int32_t> proposed_;
  LlamaArgs out_;
};

}  // namespace

LlamaArgs read_llama_args(std::span<const std::string> args) {
  return ArgsReader(args).read();
}

std::optional<std::string> governed_flag(std::string_view arg) {
  const std::string name = spelled(arg.substr(0, arg.find('=')));
  for (const auto& rule : kRules) {
    if (std::ranges::find(rule.flags, name) != rule.flags.end())
      return std::string(rule.reason);
  }
  return std::nullopt;
}

std::optional<std::string> governed_variable(std::string_view name) {
  if (!name.starts_with("LLAMA_ARG_"))
    return std::nullopt;
  return "it sets a flag of llama-server where nobody checks it; write the flag in `args`, or use "
         "the model's own key";
}

std::string comma_list(std::span<const std::string> paths) {
  std::string list;
  for (const std::string& path : paths) {
    list += list.empty() ? "" : ",";
    if (path.find_first_of(",\"") == std::string::npos) {
      list += path;
      continue;
    }
    list += '"';
    for (const char c : path)
      list += c == '"' ? std::string("\"\"") : std::string(1, c);
    list += '"';
  }
  return list;
}

}  // namespace tonnage
