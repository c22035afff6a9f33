#include "probe/gpu/device_probe.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "probe/fixture_tree.h"

namespace tonnage {
namespace {

using testing::HasSubstr;
using Readings = Result<std::vector<DeviceReading>>;

// A source that says what the test wants.
class Scripted final : public DeviceSource {
 public:
  Scripted(std::string name, std::function<Readings()> script)
      : name_(std::move(name)), script_(std::move(script)) {}
  std::string_view name() const override { return name_; }
  Readings read() override { return script_(); }

 private:
  std::string name_;
  std::function<Readings()> script_;
};

DeviceReading reading(std::string source, std::string id, std::optional<Bytes> total,
                      std::optional<Bytes> used) {
  DeviceReading out;
  out.sample.id = std::move(id);
  out.sample.source = std::move(source);
  out.sample.total = total;
  out.sample.used = used;
  if (total && used)
    out.sample.free = *total - *used;
  return out;
}

struct Script {
  std::string name;
  std::function<Readings()> read;
};

SourceFamily family(std::vector<Script> scripts, bool wins = false) {
  SourceFamily out;
  out.wins = wins;
  for (Script& script : scripts)
    out.sources.push_back(
        std::make_unique<Scripted>(std::move(script.name), std::move(script.read)));
  return out;
}

std::vector<SourceFamily> families(SourceFamily first) {
  std::vector<SourceFamily> all;
  all.push_back(std::move(first));
  return all;
}

FixtureTree& host(FixtureTree& tree) {
  return tree.file("/proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 4194304 kB\n");
}

TEST(DeviceProbe, AWorseSourceIsNotAskedWhileABetterOneWorks) {
  bool asked = false;
  DeviceProbe probe(
      families(family({{"a", [] { return Readings{{reading("a", "X", 8_GiB, 1_GiB)}}; }},
                       {"b", [&] {
                          asked = true;
                          return Readings{std::vector<DeviceReading>{}};
                        }}})));
  EXPECT_EQ(probe.survey().devices.size(), 1U);
  EXPECT_FALSE(asked);
}

TEST(DeviceProbe, NumbersThatCannotBeAreNamedAndTheNextSourceIsTaken) {
  const std::pair<DeviceReading, const char*> cases[] = {
      {reading("a", "X", 0_B, 0_B), "total of 0 B"},
      {reading("a", "X", 8_GiB, 9_GiB), "9.00 GiB used of 8.00 GiB"},
      {reading("a", "X", -8_GiB, 0_B), "total of -8"},
      {reading("a", "X", 8_GiB, -1_GiB), "used of 8.00 GiB"}};
  for (const auto& [wrong, words] : cases) {
    DeviceProbe probe(
        families(family({{"a", [&] { return Readings{{wrong}}; }},
                         {"b", [] { return Readings{{reading("b", "X", 8_GiB, 1_GiB)}}; }}})));
    const auto survey = probe.survey();
    ASSERT_EQ(survey.devices.size(), 1U) << words;
    EXPECT_EQ(survey.devices[0].sample.source, "b") << words;
    ASSERT_EQ(survey.devices[0].failed.size(), 1U) << words;
    EXPECT_THAT(survey.devices[0].failed[0].why, HasSubstr(words));
  }
}

TEST(DeviceProbe, PartsThatAddUpToMoreThanAllAreNonsense) {
  DeviceSample sample = reading("a", "X", 8_GiB, 4_GiB).sample;
  EXPECT_EQ(nonsense_in(sample), "");
  sample.reserved = 4_GiB;
  EXPECT_THAT(nonsense_in(sample), HasSubstr("add up"));
}

TEST(DeviceProbe, ATotalThatChangesIsBelievedTheSecondTime) {
  Bytes total = 8_GiB;
  DeviceProbe probe(
      families(family({{"a", [&] { return Readings{{reading("a", "X", total, 1_GiB)}}; }}})));
  EXPECT_EQ(probe.survey().devices[0].sample.total, 8_GiB);
  total = 4_GiB;
  auto survey = probe.survey();
  EXPECT_EQ(survey.devices[0].sample.total, std::nullopt);
  ASSERT_EQ(survey.devices[0].failed.size(), 1U);
  EXPECT_THAT(survey.devices[0].failed[0].why, HasSubstr("from 8.00 GiB to 4.00 GiB"));
  EXPECT_EQ(probe.survey().devices[0].sample.total, 4_GiB);
  total = 8_GiB;
  EXPECT_EQ(probe.survey().devices[0].sample.total, std::nullopt);
  total = 4_GiB;
  EXPECT_EQ(probe.survey().devices[0].sample.total, 4_GiB);
}

TEST(DeviceProbe, ADeviceThatDisappearsIsLostUntilItIsBack) {
  bool here = true;
  DeviceProbe probe(families(family({{"a", [&] {
                                        std::vector<DeviceReading> list;
                                        if (here)
                                          list.push_back(reading("a", "X", 8_GiB, 1_GiB));
                                        return Readings{list};
                                      }}})));
  EXPECT_TRUE(probe.survey().lost.empty());
  here = false;
  for (int i = 0; i < 2; ++i) {
    const auto survey = probe.survey();
    EXPECT_TRUE(survey.devices.empty());
    ASSERT_EQ(survey.lost.size(), 1U);
    EXPECT_EQ(survey.lost[0], (LostDevice{"X", "", "", "a"}));
  }
  here = true;
  EXPECT_TRUE(probe.survey().lost.empty());
}

TEST(DeviceProbe, TheBytesOfAProcessBeyondTheTotalAreUnknown) {
  DeviceReading wrong = reading("a", "X", 8_GiB, 1_GiB);
  wrong.sample.processes = {{7, 9_GiB}, {8, 1_GiB}};
  wrong.sample.processes_known = true;
  DeviceProbe probe(families(family({{"a", [&] { return Readings{{wrong}}; }}})));
  const DeviceSample sample = probe.survey().devices[0].sample;
  EXPECT_EQ(sample.processes, (std::vector<DeviceProcess>{{7, std::nullopt}, {8, 1_GiB}}));
  ASSERT_EQ(sample.notes.size(), 1U);
  EXPECT_THAT(sample.notes[0], HasSubstr("process 7"));
}

TEST(DeviceProbe, ADriverWithoutMemoryToTellAndATotalLikeTheMachinesIsUnifiedMemory) {
  FixtureTree tree;
  host(tree);
  DeviceReading none = reading("a", "X", std::nullopt, std::nullopt);
  none.problem = "not supported";
  none.memory_not_supported = true;
  Bytes total = 16_GiB - 256_MiB;
  const auto survey_of = [&] {
    return DeviceProbe(
               families(family(
                   {{"a", [&] { return Readings{{none}}; }},
                    {"b", [&] { return Readings{{reading("b", "X", total, std::nullopt)}}; }}})),
               tree.root())
        .survey();
  };
  const DeviceSample sample = survey_of().devices[0].sample;
  EXPECT_TRUE(sample.unified);
  EXPECT_EQ(sample.total, 16_GiB);
  EXPECT_EQ(sample.free, 4_GiB);
  EXPECT_EQ(sample.used, 12_GiB);
  total = 8_GiB;
  EXPECT_FALSE(survey_of().devices[0].sample.unified);
  EXPECT_FALSE(survey_of().devices[0].sample.complete());
}

// A card of 16 GiB in a machine of 16 GiB is no unified memory.
TEST(DeviceProbe, AnEqualTotalAloneIsNotUnifiedMemory) {
  FixtureTree tree;
  host(tree);
  DeviceProbe probe(
      families(family({{"a", [] { return Readings{{reading("a", "X", 16_GiB, 1_GiB)}}; }}})),
      tree.root());
  EXPECT_FALSE(probe.survey().devices[0].sample.unified);
}

TEST(DeviceProbe, AFamilyThatWinsIsAllThereIsUnlessItFails) {
  Readings injected = std::vector<DeviceReading>{reading("i", "I", 1_GiB, 0_B)};
  std::vector<SourceFamily> all = families(family({{"i", [&] { return injected; }}}, true));
  all.push_back(family({{"a", [] { return Readings{{reading("a", "X", 8_GiB, 1_GiB)}}; }}}));
  DeviceProbe probe(std::move(all));
  auto survey = probe.survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  EXPECT_EQ(survey.devices[0].sample.id, "I");
  injected = fail("cannot open", "file");
  survey = probe.survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  EXPECT_EQ(survey.devices[0].sample.id, "X");
  EXPECT_EQ(survey.failed[0], (SourceProblem{"i", "cannot open file"}));
}

TEST(DeviceProbe, OneCardThatTwoFamiliesKnowIsOneDevice) {
  DeviceReading first = reading("a", "GPU-a", 8_GiB, 1_GiB);
  first.sample.pci = "0000:08:00.0";
  DeviceReading second = reading("b", "0000:08:00.0", 8_GiB, 2_GiB);
  second.sample.pci = "0000:08:00.0";
  std::vector<SourceFamily> all = families(family({{"a", [&] { return Readings{{first}}; }}}));
  all.push_back(family({{"b", [&] { return Readings{{second}}; }}}));
  const auto survey = DeviceProbe(std::move(all)).survey();
  ASSERT_EQ(survey.devices.size(), 1U);
  EXPECT_EQ(survey.devices[0].sample.id, "GPU-a");
}

TEST(DeviceProbe, WithoutAnySourceNothingIsFound) {
  EXPECT_EQ(DeviceProbe({}).survey(), DeviceSurvey{});
}

TEST(DeviceProbe, TheLastResortIsAskedOnlyForWhatIsOpen) {
  int asked = 0;
  bool with_numbers = true;
  SourceFamily first = family({{"drm", [&]() -> Readings {
                                  auto card =
                                      reading("drm", "0000:08:00.0", 8_GiB,
                                              with_numbers ? std::optional(1_GiB) : std::nullopt);
                                  card.sample.pci = card.sample.id;
                                  return std::vector{card};
                                }}});
  SourceFamily last = family({{"vulkan", [&]() -> Readings {
                                 ++asked;
                                 auto same = reading("vulkan", "GPU-1", 7_GiB, 2_GiB);
                                 same.sample.pci = "0000:08:00.0";
                                 return std::vector{same};
                               }}});
  last.last_resort = true;
  auto all = families(std::move(first));
  all.push_back(std::move(last));
  FixtureTree tree;
  DeviceProbe probe(std::move(all), tree.root());
  EXPECT_EQ(probe.survey().devices.at(0).sample.source, "drm");
  EXPECT_EQ(asked, 0);
  with_numbers = false;
  const DeviceSurvey survey = probe.survey();
  EXPECT_EQ(asked, 1);
  ASSERT_EQ(survey.devices.size(), 1U);
  // The device keeps its name; only the numbers are filled in.
  const DeviceSample& sample = survey.devices[0].sample;
  EXPECT_EQ(sample.id, "0000:08:00.0");
  EXPECT_EQ(sample.source, "vulkan");
  EXPECT_EQ(sample.total, 7_GiB);
  EXPECT_EQ(sample.used, 2_GiB);
}

TEST(DeviceProbe, TheLastResortIsAskedWhereNobodyFoundADevice) {
  SourceFamily last = family({{"vulkan", []() -> Readings {
                                 return std::vector{reading("vulkan", "GPU-1", 7_GiB, 2_GiB)};
                               }}});
  last.last_resort = true;
  FixtureTree tree;
  DeviceProbe probe(families(std::move(last)), tree.root());
  EXPECT_EQ(probe.survey().devices.size(), 1U);
}

}  // namespace
}  // namespace tonnage
