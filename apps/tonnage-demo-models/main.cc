// tonnage-demo-models: writes generated GGUF models for demonstrations, tests and benchmarks.

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/bytes.h"
#include "tonnage-demo-models/demo_model.h"
#include "tonnage-demo-models/presets.h"

namespace {

using tonnage::DemoKind;
using tonnage::DemoModel;
using tonnage::ElementType;
using tonnage::Result;

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct Options {
  std::string directory;
  std::string preset;
  std::string size;
  std::string id;
  std::uint64_t seed = 0;
  std::int32_t eos_after = 0;
  std::int32_t context = 0;
  bool embedding = false;
  bool f16 = false;
};

std::string footer() {
  std::string text = "Presets:\n";
  for (const tonnage::Preset& preset : tonnage::presets()) {
    text += "  " + std::string(preset.name) + ": " + std::string(preset.what_for) + "\n   ";
    for (const DemoModel& model : preset.models) {
      text += " " + model.id + " (" + std::to_string(model.size.count / 1'000'000) + " MB)";
    }
    text += "\n";
  }
  return text +
         "\nThe models are real GGUF files with random weights, and they speak nonsense. Whatever\n"
         "the prompt, every answer of a decoder begins with one token whose text is its id and a\n"
         "colon, so that one can see which model answered. A byte is a token. Files that are\n"
         "there already, of the same recipe and size, are kept.\n"
         "\nExit status: 0 all models are there, 1 one could not be written, 2 wrong usage.";
}

void declare(CLI::App& app, Options& options) {
  app.footer(footer());
  app.add_option("directory", options.directory, "Folder for the model files; made if missing")
      ->required();
  auto* preset = app.add_option("--preset", options.preset, "A set of models, see below");
  auto* size = app.add_option("--size", options.size,
                              "One model of this file size: 2MB to 8GB, kept within 2 %");
  auto* id = app.add_option("--id", options.id,
                            "Its id: the file name and a decoder's signature (default demo-SIZE)");
  auto* embedding =
      app.add_flag("--embedding", options.embedding, "Make an embedding model (BERT family)");
  auto* eos = app.add_option("--eos-after", options.eos_after,
                             "End each answer after so many tokens (default 0: only max_tokens)");
  auto* context = app.add_option("--context", options.context,
                                 "Longest context (default 16384; embedding models 2048)");
  auto* f16 = app.add_flag("--f16", options.f16, "Half precision weights instead of single");
  app.add_option("--seed", options.seed,
                 "Same seed, same bytes (default 1; with --preset it is added to each model's)");
  eos->excludes(embedding);
  preset->excludes(size);
  for (CLI::Option* of_one_model : {id, embedding, eos, context, f16})
    of_one_model->needs(size);
}

Result<std::vector<DemoModel>> chosen(const Options& options) {
  if (!options.preset.empty())
    return tonnage::preset_models(options.preset, options.seed);
  if (options.size.empty())
    return tonnage::preset_models("demo", options.seed);
  const auto size = tonnage::parse_bytes(options.size);
  if (!size)
    return std::unexpected(size.error());
  DemoModel model;
  model.id = options.id.empty() ? "demo-" + options.size : options.id;
  model.kind = options.embedding ? DemoKind::embedding : DemoKind::decoder;
  model.size = *size;
  model.seed = options.seed == 0 ? 1 : options.seed;
  model.eos_after = options.eos_after;
  model.context = options.context != 0 ? options.context : options.embedding ? 2048 : 16384;
  model.element = options.f16 ? ElementType::f16 : ElementType::f32;
  return std::vector{model};
}

int run(const Options& options) {
  const auto models = chosen(options);
  if (!models) {
    std::fprintf(stderr, "tonnage-demo-models: %s\n", models.error().text().c_str());
    return kExitUsage;
  }
  for (const DemoModel& model : *models) {
    const auto begin = std::chrono::steady_clock::now();
    const auto outcome = tonnage::ensure(model, options.directory);
    if (!outcome) {
      std::fprintf(stderr, "tonnage-demo-models: %s\n", outcome.error().text().c_str());
      return kExitFailed;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const std::string how = outcome->written
                                ? "written in " + std::to_string(took.count()).substr(0, 4) + " s"
                                : "was there";
    std::printf("%-14s %10s  %s  %s\n", model.id.c_str(), tonnage::to_text(outcome->size).c_str(),
                outcome->path.c_str(), how.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Writes GGUF models with random weights for demonstrations, tests and benchmarks."};
  Options options;
  declare(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return run(options);
}
