#include "tonnage-demo-models/presets.h"

namespace tonnage {
namespace {

constexpr Bytes megabytes(std::int64_t n) {
  return Bytes(n * 1'000'000);
}

DemoModel decoder(std::string id, Bytes size, std::uint64_t seed) {
  return {.id = std::move(id), .size = size, .seed = seed};
}

std::vector<Preset> make_presets() {
  std::vector<Preset> all;
  all.push_back({"demo",
                 "three small decoders for `make serve`",
                 {decoder("demo-small", megabytes(48), 1), decoder("demo-medium", megabytes(96), 2),
                  decoder("demo-large", megabytes(160), 3)}});
  all.push_back({"five",
                 "the five-model job: 0.2, 0.2, 0.8, 1.4 and 3.3 GB",
                 {decoder("job-a", megabytes(200), 1), decoder("job-b", megabytes(200), 2),
                  decoder("job-c", megabytes(800), 3), decoder("job-d", megabytes(1400), 4),
                  decoder("job-e", megabytes(3300), 5)}});
  all.push_back({"test",
                 "tiny ones for tests: three decoders and one embedding model",
                 {decoder("test-a", megabytes(5), 1),
                  decoder("test-b", megabytes(12), 2),
                  decoder("test-c", megabytes(30), 3),
                  {.id = "test-embed",
                   .kind = DemoKind::embedding,
                   .size = megabytes(8),
                   .seed = 4,
                   .context = 2048}}});
  Preset sizes{"sizes", "decoders from 5 MB to 4 GB", {}};
  std::uint64_t seed = 0;
  for (const std::int64_t mb : {5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000}) {
    sizes.models.push_back(decoder("size-" + std::to_string(mb) + "mb", megabytes(mb), ++seed));
  }
  all.push_back(std::move(sizes));
  return all;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = make_presets();
  return all;
}

Result<std::vector<DemoModel>> preset_models(std::string_view name, std::uint64_t seed) {
  std::string known;
  for (const Preset& preset : presets()) {
    if (preset.name == name) {
      std::vector<DemoModel> models = preset.models;
      for (DemoModel& model : models)
        model.seed += seed;
      return models;
    }
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  }
  return fail("unknown preset", std::string(name), {}, "known: " + known);
}

}  // namespace tonnage
