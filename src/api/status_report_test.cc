#include "api/status_report.h"

#include "api/snapshot_fixture.h"

namespace tonnage::api {
namespace {

using StatusReport = SnapshotFixture;

TEST_F(StatusReport, ShowsPoolsModelsAndErrors) {
  EXPECT_EQ(status_report(snapshot_),
            R"(memory status (balanced): healthy, 1 request running, 2 waiting
  host  normal  37 % of 32.00 GiB used: ours 2.00 GiB, others 10.00 GiB, free 20.00 GiB; )"
            R"(reserved 3.00 GiB of 24.00 GiB
  gpu0  high    87 % of 8.00 GiB used: ours 5.00 GiB, others 2.00 GiB, free 1.00 GiB; )"
            R"(reserved 5.00 GiB of 7.00 GiB; high for 90s; 512 MiB not back yet; )"
            R"(256 MiB held by no process
  1 model on GPUs, 1 on the host; device memory failures: 2; 1 model kept off the GPU
  org/chat  ready on gpu0, 4.50 GiB there and 1.00 GiB in the host, in use by 1 request
  embed     ready on host, 200 MiB in the host, idle for 2m)");
}

TEST_F(StatusReport, ShowsWhatIsWrong) {
  snapshot_.pools[0].level = "moderate";  // since this moment
  snapshot_.pools[1].lost = true;
  snapshot_.pools[1].level = "";
  snapshot_.problems.push_back({"device_lost", "the device of pool gpu0 has gone"});
  snapshot_.models[2].state = ResidencyState::failed;
  snapshot_.models[0].leases = 0;
  snapshot_.models[0].waiting = 1;
  snapshot_.models[0].degraded = true;
  snapshot_.models[1].pinned = true;
  EXPECT_EQ(status_report(snapshot_),
            R"(memory status (balanced): not healthy, 1 request running, 2 waiting
  host  moderate  37 % of 32.00 GiB used: ours 2.00 GiB, others 10.00 GiB, free 20.00 GiB; )"
            R"(reserved 3.00 GiB of 24.00 GiB
  gpu0  lost      no longer visible
  1 model on GPUs, 1 on the host; device memory failures: 2; 1 model kept off the GPU; )"
            R"(1 model failed
  org/chat  ready on gpu0, 4.50 GiB there and 1.00 GiB in the host, 1 request waiting, degraded
  embed     ready on host, 200 MiB in the host, idle for 2m, pinned
  problem: the device of pool gpu0 has gone)");
}

TEST(StatusReportOfNothing, IsOneLineAndTheCounts) {
  EXPECT_EQ(status_report({}), R"(memory status: healthy, 0 requests running, 0 waiting
  0 models on GPUs, 0 on the host; device memory failures: 0)");
}

}  // namespace
}  // namespace tonnage::api
