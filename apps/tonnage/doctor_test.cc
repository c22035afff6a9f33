#include "tonnage/doctor.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "daemon/spin_keeper.h"

namespace tonnage {
namespace {

TEST(Doctor, APortInUseIsAFailureUnlessItIsOurs) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(socket, 1), 0);
  ASSERT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const Listen taken{"127.0.0.1", ntohs(address.sin_port)};
  EXPECT_EQ(diagnose_port(taken, false).health, Health::fail);
  EXPECT_FALSE(diagnose_port(taken, false).remedy.empty());
  EXPECT_EQ(diagnose_port(taken, true).health, Health::ok);
  ::close(socket);
  EXPECT_EQ(diagnose_port({"127.0.0.1", 0}, false).health, Health::ok);
  EXPECT_EQ(diagnose_port({"192.0.2.1", 0}, false).health, Health::fail);
}

TEST(Doctor, ARuntimeFolderMustBeAFolderThatCanBe) {
  EXPECT_EQ(diagnose_runtime_dir("/dev/null").health, Health::fail);
  EXPECT_EQ(diagnose_runtime_dir("/dev/null/tonnage").health, Health::fail);
  const Diagnosis missing = diagnose_runtime_dir(testing::TempDir() + "tonnage-not-there");
  EXPECT_EQ(missing.health, Health::ok);
  EXPECT_NE(missing.finding.find("not made yet"), std::string::npos);
}

TEST(Doctor, AMissingEngineIsAFailureWithARemedy) {
  Config config;
  config.llama_server = "/nonexistent/llama-server";
  const auto parts = diagnose_engine(config, {});
  ASSERT_FALSE(parts.empty());
  EXPECT_EQ(parts[0].health, Health::fail);
  EXPECT_FALSE(parts[0].remedy.empty());
  EXPECT_TRUE(any_failed(parts));
}

TEST(Doctor, HowLongThreadsSpinIsConfiguredMeasuredOrNotKnownYet) {
  Config config;
  config.state_dir = testing::TempDir() + "tonnage-doctor-spin";
  std::filesystem::remove_all(config.state_dir);
  EXPECT_NE(diagnose_spin(config).finding.find("until"), std::string::npos);
  const std::size_t cores = usable_cores().size();
  const SpinCosts costs{.look_ps = 24'600, .sleep_ns = 14'800, .wake_ns = 0};
  ASSERT_TRUE(write_spin_record(spin_file(config.state_dir),
                                {.machine = describe_machine(cores), .costs = costs}));
  const int threads = static_cast<int>(cores);
  EXPECT_EQ(diagnose_spin(config).finding, spin_text(costs, threads) + ", as measured");
  config.spin_count = 77;
  EXPECT_EQ(diagnose_spin(config).finding, "77 turns, as configured");
  std::filesystem::remove_all(config.state_dir);
}

TEST(Doctor, TheBudgetIsJudged) {
  Config config;
  config.policy.pools = {PoolPolicy{.name = "host", .limit = 1_MiB}};
  const auto parts = diagnose_memory(config);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].health, Health::ok);
  EXPECT_EQ(parts[1].health, Health::fail);
}

TEST(Doctor, NoDaemonIsNoFailureButASickOneIs) {
  const CommandResult<Answer> none =
      std::unexpected(CommandError{ExitCode::unreachable, "no daemon"});
  EXPECT_FALSE(any_failed(diagnose_daemon(none)));
  const CommandResult<Answer> denied = std::unexpected(CommandError{ExitCode::failed, "a key"});
  EXPECT_TRUE(any_failed(diagnose_daemon(denied)));
  const CommandResult<Answer> sick =
      Answer{200, Json::parse(R"({"daemon": {}, "problems": [{"text": "a load stalls"}],
                           "models": [{"id": "a", "state": "failed", "failure": "corrupt"}]})")};
  const auto parts = diagnose_daemon(sick);
  EXPECT_TRUE(any_failed(parts));
  EXPECT_EQ(parts.back().health, Health::warn);
  EXPECT_EQ(parts.back().finding, "a: corrupt");
}

DeviceSurvey one_gpu() {
  DeviceSample sample;
  sample.id = "GPU-1";
  sample.name = "A card";
  sample.total = 8_GiB;
  sample.used = 2_GiB;
  sample.free = 6_GiB;
  sample.source = "nvidia-smi";
  return {.devices = {{sample, {{"nvml", "cannot open it"}}}}, .failed = {}, .lost = {}};
}

using EngineDevices = Result<std::vector<LlamaDevice>>;

TEST(Doctor, AGpuIsNamedWithItsNumbersAndWhyBetterSourcesFailed) {
  const auto parts = diagnose_gpus(one_gpu(), std::nullopt);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].finding,
            "A card (GPU-1): 2.00 GiB of 8.00 GiB used, 6.00 GiB free, from nvidia-smi; "
            "nvml: cannot open it");
  EXPECT_EQ(parts[0].health, Health::ok);
  const Json json = gpus_json(one_gpu());
  EXPECT_EQ(json["devices"][0]["used_bytes"], (2_GiB).count);
  EXPECT_TRUE(json["devices"][0]["reserved_bytes"].is_null());
  EXPECT_TRUE(json["devices"][0]["processes"].is_null());
  EXPECT_EQ(json["devices"][0]["failed"][0]["source"], "nvml");
}

TEST(Doctor, WithoutAGpuNothingIsInvented) {
  const auto parts = diagnose_gpus({.devices = {}, .failed = {{"nvml", "no"}}, .lost = {}}, {});
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].health, Health::ok);
  EXPECT_EQ(parts[0].finding, "none found, models run in host memory; nvml: no");
}

TEST(Doctor, AGpuThatNothingMeasuresIsAWarning) {
  DeviceSurvey survey = one_gpu();
  survey.devices[0].sample.used.reset();
  survey.devices[0].sample.free.reset();
  const auto parts = diagnose_gpus(survey, std::nullopt);
  EXPECT_EQ(parts[0].health, Health::warn);
  EXPECT_NE(parts[0].finding.find("nothing tells its use"), std::string::npos);
}

TEST(Doctor, AGpuThatTheEngineCannotUseIsAFailureWithARemedy) {
  EXPECT_FALSE(any_failed(diagnose_gpus(one_gpu(), std::vector<LlamaDevice>{{"CUDA0", ""}})));
  const auto parts = diagnose_gpus(one_gpu(), EngineDevices(std::vector<LlamaDevice>{}));
  EXPECT_TRUE(any_failed(parts));
  EXPECT_NE(parts.back().remedy.find("llama-server"), std::string::npos);
  const auto unknown = diagnose_gpus(one_gpu(), EngineDevices(fail("it printed none")));
  EXPECT_EQ(unknown.back().health, Health::warn);
}

TEST(Doctor, EachPartIsALineWithItsRemedyBelow) {
  EXPECT_EQ(doctor_view({{"engine", Health::ok, "found", "unused"},
                         {"port", Health::fail, "in use", "listen elsewhere"}},
                        {}),
            "ok    engine    found\n"
            "fail  port      in use\n"
            "                listen elsewhere\n");
  EXPECT_EQ(doctor_json({{"port", Health::warn, "x", "y"}}).dump(),
            R"({"ok":true,"parts":[{"part":"port","health":"warn","finding":"x","remedy":"y"}]})");
}

}  // namespace
}  // namespace tonnage
