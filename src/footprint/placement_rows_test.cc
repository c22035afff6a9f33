#include "footprint/placement_rows.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "footprint/device_footprint.h"

namespace tonnage {
namespace {

using testing::ElementsAre;

// `layers` blocks of 10 MiB, 20 MiB of output, 30 MiB of token embeddings.
GgufInfo model_of(std::size_t layers) {
  GgufInfo model;
  model.file = FileId(7);
  model.keys["general.architecture"] = std::string("llama");
  model.keys["llama.embedding_length"] = std::uint64_t{1024};
  model.keys["llama.feed_forward_length"] = std::uint64_t{4096};
  model.keys["llama.block_count"] = std::uint64_t{layers};
  model.keys["llama.attention.head_count"] = std::uint64_t{16};
  model.keys["llama.attention.head_count_kv"] = std::uint64_t{1};
  model.weights = {std::vector<Bytes>(layers, 10_MiB), 20_MiB, 30_MiB};
  model.tensor_bytes = model.weights.total();
  model.file_size = model.tensor_bytes + 1_MiB;
  return model;
}

ServerSettings settings_of(std::int32_t context = 2048, std::int32_t slots = 2) {
  ServerSettings settings;
  settings.placement = {.context = context, .slots = slots};
  return settings;
}

DryRun run_of(std::vector<DryRunRow> devices, DryRunRow host) {
  return {.devices = std::move(devices), .host = std::move(host)};
}

// Layers and devices of each placement, "33x1".
std::vector<std::string> shapes(const std::vector<ProfiledPlacement>& placements) {
  std::vector<std::string> words;
  for (const ProfiledPlacement& p : placements) {
    words.push_back(std::to_string(p.settings.placement.gpu_layers) + "x" +
                    std::to_string(p.devices) + (p.derived ? " derived" : ""));
  }
  return words;
}

const DeviceSpace kOneCard = {.capacities = {8_GiB}, .context = kCudaContext};
const DeviceSpace kTwoCards = {.capacities = {24_GiB, 8_GiB}, .context = kCudaContext};

TEST(Placements, WithoutDevicesThereIsTheProcessor) {
  EXPECT_THAT(shapes(placements_of(model_of(36), settings_of(), {}, {})), ElementsAre("0x0"));
}

TEST(Placements, AllLayersThenSplitThenFewerThenNone) {
  EXPECT_THAT(shapes(placements_of(model_of(36), settings_of(), kTwoCards, {})),
              ElementsAre("37x1", "37x2", "32x1", "20x1 derived", "12x1 derived", "4x1", "0x0"));
  EXPECT_THAT(shapes(placements_of(model_of(32), settings_of(), kOneCard, {})),
              ElementsAre("33x1", "20x1", "12x1 derived", "4x1", "0x0"));
  EXPECT_THAT(shapes(placements_of(model_of(4), settings_of(), kOneCard, {})),
              ElementsAre("5x1", "0x0"));
}

TEST(Placements, TheUsersNumberIsTheOnlyOne) {
  EXPECT_THAT(shapes(placements_of(model_of(36), settings_of(), kTwoCards, 99)),
              ElementsAre("37x1", "37x2"));
  EXPECT_THAT(shapes(placements_of(model_of(36), settings_of(), kOneCard, 10)),
              ElementsAre("10x1"));
  EXPECT_THAT(shapes(placements_of(model_of(36), settings_of(), kOneCard, 0)), ElementsAre("0x0"));
}

TEST(PlacementRows, OfAWholeModelOnADeviceLittleStaysInTheHost) {
  const GgufInfo model = model_of(36);
  auto placements = placements_of(model, settings_of(), kOneCard, 37);
  placements[0].dry_run =
      run_of({{"CUDA0", 380_MiB, 40_MiB, 60_MiB}}, {"Host", 30_MiB, 0_MiB, 8_MiB});
  const auto rows = profile_rows(model, placements, kOneCard);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].source, FootprintSource::dry_run);
  EXPECT_EQ(rows[0].device_bytes, std::vector{380_MiB + 40_MiB + 60_MiB + 3_MiB + kCudaContext});
  EXPECT_EQ(size_of(rows[0].weights), 0_B);
  EXPECT_GT(rows[0].host_anon, 30_MiB + 8_MiB);
  EXPECT_LT(rows[0].host_anon, 300_MiB);
  EXPECT_EQ(rows[0].speed_permille, 1000);
}

TEST(PlacementRows, OnTheProcessorTheFileIsMapped) {
  const GgufInfo model = model_of(36);
  auto placements = placements_of(model, settings_of(), {}, {});
  placements[0].dry_run = run_of({}, {"Host", 410_MiB, 40_MiB, 8_MiB});
  const auto rows = profile_rows(model, placements, {});
  EXPECT_TRUE(rows[0].device_bytes.empty());
  EXPECT_EQ(rows[0].weights[0].file, FileId(7));
  EXPECT_EQ(size_of(rows[0].weights), model.file_size);
  EXPECT_LT(rows[0].host_anon, 100_MiB);
  EXPECT_EQ(rows[0].speed_permille, 1000);
}

TEST(PlacementRows, ADraftIsASecondFileWithACacheOfItsOwn) {
  const GgufInfo model = model_of(36);
  Companions companions{.draft = model_of(4), .projectors = 50_MiB, .adapters = 10_MiB};
  companions.draft->file = FileId(8);
  auto placements = placements_of(model, settings_of(), {}, {});
  placements[0].dry_run = run_of({}, {"Host", 410_MiB, 40_MiB, 8_MiB});
  const Bytes alone = profile_rows(model, placements, {})[0].host_anon;
  placements[0].draft_dry_run = run_of({}, {"Host", 90_MiB, 12_MiB, 6_MiB});
  auto row = profile_rows(model, placements, {}, companions)[0];
  EXPECT_EQ(row.source, FootprintSource::dry_run);
  EXPECT_EQ(row.weights[1], (WeightFile{FileId(8), companions.draft->file_size}));
  EXPECT_GE(row.host_anon - alone, 60_MiB + 12_MiB + 6_MiB);
  EXPECT_LE(row.host_anon - alone, 60_MiB + 12_MiB + 6_MiB + 10_MiB);
  companions.draft->file = model.file;
  EXPECT_EQ(profile_rows(model, placements, {}, companions)[0].weights[1].size, 0_B)
      << "one file is mapped once";
  placements[0].draft_dry_run.reset();
  row = profile_rows(model, placements, {}, companions)[0];
  EXPECT_EQ(row.source, FootprintSource::analytic) << "the margin covers what was not dry-run";
}

TEST(PlacementRows, CompanionsGoToTheDevicesOfTheirModel) {
  const GgufInfo model = model_of(36);
  const Companions companions{.draft = model_of(4), .projectors = 50_MiB, .adapters = 10_MiB};
  auto placements = placements_of(model, settings_of(), kTwoCards, 37);
  ASSERT_EQ(placements[1].devices, 2U);
  const DryRun run = run_of({{"CUDA0", 300_MiB, 40_MiB, 60_MiB}, {"CUDA1", 80_MiB, 8_MiB, 60_MiB}},
                            {"Host", 30_MiB, 0_MiB, 8_MiB});
  placements[1].dry_run = run;
  const auto alone = profile_rows(model, placements, kTwoCards)[1];
  placements[1].draft_dry_run =
      run_of({{"CUDA0", 50_MiB, 4_MiB, 6_MiB}, {"CUDA1", 40_MiB, 2_MiB, 6_MiB}},
             {"Host", 30_MiB, 0_MiB, 2_MiB});
  const auto row = profile_rows(model, placements, kTwoCards, companions)[1];
  EXPECT_EQ(row.device_bytes[0] - alone.device_bytes[0], 60_MiB + 3_MiB + 50_MiB + 5_MiB);
  EXPECT_EQ(row.device_bytes[1] - alone.device_bytes[1], 48_MiB + 3_MiB + 5_MiB);
  EXPECT_GT(row.host_anon, alone.host_anon + 30_MiB);
}

TEST(PlacementRows, BetweenTwoDryRunsAPlacementIsInterpolatedByItsLayers) {
  GgufInfo model = model_of(36);
  auto placements = placements_of(model, settings_of(), kOneCard, {});
  ASSERT_THAT(shapes(placements),
              ElementsAre("37x1", "32x1", "20x1 derived", "12x1 derived", "4x1", "0x0"));
  placements[0].dry_run =
      run_of({{"CUDA0", 380_MiB, 72_MiB, 60_MiB}}, {"Host", 30_MiB, 0_MiB, 8_MiB});
  placements[1].dry_run =
      run_of({{"CUDA0", 320_MiB, 64_MiB, 20_MiB}}, {"Host", 90_MiB, 8_MiB, 70_MiB});
  placements[4].dry_run =
      run_of({{"CUDA0", 40_MiB, 8_MiB, 22_MiB}}, {"Host", 370_MiB, 64_MiB, 60_MiB});
  derive_dry_runs(model, placements);
  ASSERT_TRUE(placements[2].dry_run);
  EXPECT_EQ(placements[2].dry_run->devices.front(), (DryRunRow{"CUDA0", 200_MiB, 40_MiB, 22_MiB}));
  EXPECT_EQ(placements[2].dry_run->host, (DryRunRow{"Host", 210_MiB, 32_MiB, 70_MiB}));
  EXPECT_EQ(placements[3].dry_run->devices.front().weights, 120_MiB);
  // The last layers are larger: the file says so, and a straight line would be too low.
  for (std::size_t i = 24; i < 36; ++i)
    model.weights.blocks[i] = 20_MiB;
  placements[3].dry_run.reset();
  derive_dry_runs(model, placements);
  EXPECT_EQ(placements[3].dry_run->devices.front().weights, 40_MiB + 160_MiB);
}

TEST(PlacementRows, ADryRunOfOtherDevicesThanAskedForIsNotBelieved) {
  const GgufInfo model = model_of(36);
  auto placements = placements_of(model, settings_of(), kTwoCards, 37);
  placements[1].dry_run =
      run_of({{"CUDA0", 380_MiB, 40_MiB, 60_MiB}}, {"Host", 30_MiB, 0_MiB, 8_MiB});
  const auto rows = profile_rows(model, placements, kTwoCards);
  EXPECT_EQ(rows[1].source, FootprintSource::analytic);
  ASSERT_EQ(rows[1].device_bytes.size(), 2U);
  EXPECT_GT(rows[1].device_bytes[0], rows[1].device_bytes[1]);
}

TEST(PlacementRows, SpeedFallsWithTheLayersOnTheProcessor) {
  const GgufInfo model = model_of(36);
  const auto rows =
      profile_rows(model, placements_of(model, settings_of(), kTwoCards, {}), kTwoCards);
  std::vector<std::int32_t> speeds;
  for (const PlacementRow& row : rows)
    speeds.push_back(row.speed_permille);
  EXPECT_THAT(speeds, ElementsAre(1000, 900, 513, 237, 174, 138, 125));
}

TEST(DeviceFootprint, CountsTheLastLayersAndTheOutput) {
  const GgufInfo model = model_of(36);
  EXPECT_EQ(device_weights(model, 0), 0_B);
  // Token embeddings are as large as the output could be: they stand for it.
  EXPECT_EQ(device_weights(model, 4), 70_MiB);
  EXPECT_EQ(device_weights(model, 37), 390_MiB);
  EXPECT_EQ(device_weights(model, 1000), 390_MiB);
  GgufInfo unknown = model;
  unknown.weights = {};
  EXPECT_EQ(device_weights(unknown, 37), unknown.tensor_bytes);
}

TEST(DeviceFootprint, AHostileHeaderDoesNotOverflow) {
  GgufInfo model = model_of(1);
  model.keys["llama.block_count"] = ~std::uint64_t{0} >> 1;
  model.keys["llama.embedding_length"] = ~std::uint64_t{0} >> 1;
  model.keys["llama.feed_forward_length"] = ~std::uint64_t{0} >> 1;
  model.keys["llama.vocab_size"] = ~std::uint64_t{0} >> 1;
  const ServerSettings settings = settings_of(1 << 30, 1 << 10);
  for (const ProfiledPlacement& placement : placements_of(model, settings, kTwoCards, {})) {
    const auto rows = profile_rows(model, std::span(&placement, 1), kTwoCards);
    EXPECT_GT(rows[0].host_anon, 0_B);
    for (const Bytes bytes : rows[0].device_bytes)
      EXPECT_GT(bytes, 0_B);
  }
}

}  // namespace
}  // namespace tonnage
