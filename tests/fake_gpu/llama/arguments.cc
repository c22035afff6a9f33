#include "llama/arguments.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <sstream>
#include <string_view>

namespace fake_gpu {
namespace {

using Words = std::vector<std::string>;

struct Flag {
  std::vector<std::string_view> names;
  std::function<bool(Arguments&, const std::string&)> take;  // false: the value makes no sense
};

// Taken with a value that changes nothing here.
constexpr auto kIgnoredValues = std::to_array<std::string_view>({"--port",
                                                                 "-b",
                                                                 "--batch-size",
                                                                 "-t",
                                                                 "--threads",
                                                                 "-tb",
                                                                 "--threads-batch",
                                                                 "--threads-http",
                                                                 "-fa",
                                                                 "--flash-attn",
                                                                 "-ctxcp",
                                                                 "--ctx-checkpoints",
                                                                 "-sps",
                                                                 "--slot-prompt-similarity",
                                                                 "-cram",
                                                                 "--cache-ram",
                                                                 "-fit",
                                                                 "--fit",
                                                                 "-fitt",
                                                                 "--fit-target",
                                                                 "-fitp",
                                                                 "--fit-print",
                                                                 "-lm",
                                                                 "--load-mode",
                                                                 "-lv",
                                                                 "--log-verbosity",
                                                                 "--pooling",
                                                                 "--seed",
                                                                 "-n",
                                                                 "--predict",
                                                                 "--override-kv",
                                                                 "-ot",
                                                                 "--override-tensor",
                                                                 "-ncmoe",
                                                                 "--n-cpu-moe",
                                                                 "--chat-template",
                                                                 "--reasoning-format",
                                                                 "--reasoning-budget",
                                                                 "-to",
                                                                 "--timeout",
                                                                 "--sleep-idle-seconds",
                                                                 "--cache-reuse"});
constexpr auto kIgnored = std::to_array<std::string_view>({"--no-warmup",
                                                           "--warmup",
                                                           "--offline",
                                                           "--no-ui",
                                                           "--ui",
                                                           "--no-webui",
                                                           "-v",
                                                           "--verbose",
                                                           "--jinja",
                                                           "--no-jinja",
                                                           "--slots",
                                                           "--props",
                                                           "-kvu",
                                                           "--kv-unified",
                                                           "-no-kvu",
                                                           "--no-kv-unified",
                                                           "-nr",
                                                           "--no-repack",
                                                           "--context-shift",
                                                           "--no-context-shift",
                                                           "-cmoe",
                                                           "--cpu-moe",
                                                           "--no-mmap",
                                                           "--mmap",
                                                           "--mlock",
                                                           "--swa-full",
                                                           "--no-cache-prompt",
                                                           "--cache-prompt",
                                                           "--check-tensors"});

template <typename Number>
bool to_number(const std::string& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

Words split(const std::string& text, char at) {
  Words parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, at);)
    parts.push_back(part);
  return parts;
}

bool take_gpu_layers(Arguments& to, const std::string& value) {
  to.gpu_layers.reset();
  std::int64_t layers = 0;
  if (value == "all" || value == "auto")
    return true;
  if (!to_number(value, layers))
    return false;
  if (layers >= 0)
    to.gpu_layers = layers;
  return true;
}

bool take_devices(Arguments& to, const std::string& value) {
  to.devices = value == "none" ? Words{} : split(value, ',');
  return true;
}

bool take_split(Arguments& to, const std::string& value) {
  std::string separated = value;
  std::ranges::replace(separated, '/', ',');
  to.tensor_split.clear();
  for (const std::string& part : split(separated, ','))
    to.tensor_split.push_back(std::stod(part));
  return true;
}

bool take_mode(Arguments& to, const std::string& value) {
  to.split_mode = value;
  return value == "none" || value == "layer" || value == "row";
}

template <auto Member>
bool take_text(Arguments& to, const std::string& value) {
  to.*Member = value;
  return true;
}

template <auto Member>
bool take_number(Arguments& to, const std::string& value) {
  return to_number(value, to.*Member);
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {{"--host"}, take_text<&Arguments::host>},
      {{"-m", "--model"}, take_text<&Arguments::model>},
      {{"-a", "--alias"}, take_text<&Arguments::alias>},
      {{"-c", "--ctx-size"}, take_number<&Arguments::context>},
      {{"-np", "--parallel"}, take_number<&Arguments::slots>},
      {{"-ub", "--ubatch-size"}, take_number<&Arguments::ubatch>},
      {{"-ctk", "--cache-type-k"}, take_text<&Arguments::kv_keys>},
      {{"-ctv", "--cache-type-v"}, take_text<&Arguments::kv_values>},
      {{"-ngl", "--gpu-layers", "--n-gpu-layers"}, take_gpu_layers},
      {{"-dev", "--device"}, take_devices},
      {{"-sm", "--split-mode"}, take_mode},
      {{"-ts", "--tensor-split"}, take_split},
      {{"-mg", "--main-gpu"}, take_number<&Arguments::main_gpu>},
      {{"--slot-save-path"}, take_text<&Arguments::slot_save_path>},
  };
  return all;
}

// A switch without a value; false when `word` is none.
bool take_switch(Arguments& to, std::string_view word) {
  struct Switch {
    std::string_view name;
    bool Arguments::* member;
  };
  static constexpr auto switches = std::to_array<Switch>({
      {"--embedding", &Arguments::embeddings},
      {"--embeddings", &Arguments::embeddings},
      {"--rerank", &Arguments::reranking},
      {"--reranking", &Arguments::reranking},
      {"--metrics", &Arguments::metrics},
      {"--version", &Arguments::version},
      {"--list-devices", &Arguments::list_devices},
  });
  for (const Switch& one : switches) {
    if (one.name == word) {
      to.*one.member = true;
      return true;
    }
  }
  return std::ranges::find(kIgnored, word) != kIgnored.end();
}

}  // namespace

std::expected<Arguments, std::string> parse_arguments(const Words& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (take_switch(arguments, word))
      continue;
    const auto flag = std::ranges::find_if(flags(), [&](const Flag& one) {
      return std::ranges::find(one.names, word) != one.names.end();
    });
    const bool ignored = std::ranges::find(kIgnoredValues, word) != kIgnoredValues.end();
    if (flag == flags().end() && !ignored)
      return std::unexpected("error: invalid argument: " + word);
    if (++i == words.size()) {
      return std::unexpected("error while handling argument \"" + word +
                             "\": expected value for argument");
    }
    if (!ignored && !flag->take(arguments, words[i])) {
      return std::unexpected("error while handling argument \"" + word +
                             "\": invalid value: " + words[i]);
    }
  }
  return arguments;
}

}  // namespace fake_gpu
