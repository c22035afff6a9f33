"""An APU whose firmware carved memory out of the host's: each byte is counted once.

The daemon runs in a mount namespace of its own, where /sys/class and /proc/meminfo are fixtures:
those of a machine of 128 GiB with an amdgpu of which there is no second one here.
"""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import Daemon
from gpu_rig import GIB, MIB, Card, GpuRig

MACHINE = 128 * GIB
UNSHARE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
MOUNT = ('mount --bind "$1" /sys/class && mount --bind "$2" /proc/meminfo && shift 2 && '
         'exec "$@"')
IN_USE = 3 * GIB  # of the host, by others


class ApuDaemon(Daemon):
    def __init__(self, config, fixtures, **more):
        super().__init__(config, **more)
        self.fixtures = fixtures

    def command_line(self):
        return [*UNSHARE, "sh", "-c", MOUNT, "sh", str(self.fixtures / "class"),
                str(self.fixtures / "meminfo"), *super().command_line()]


def write_fixtures(folder, carve_out, gtt):
    """/sys/class and /proc/meminfo of an APU."""
    device = folder / "class/drm/card0/device"
    device.mkdir(parents=True)
    (device / "uevent").write_text("DRIVER=amdgpu\nPCI_SLOT_NAME=0000:c5:00.0\n", "ascii")
    (device / "driver").symlink_to("../../../bus/pci/drivers/amdgpu")
    (device / "gpu_metrics").write_bytes(b"\x88\x00\x03\x04")
    (device / "product_name").write_text("apu\n", "ascii")
    for name, size in {"vram_total": carve_out, "vram_used": 256 * MIB, "gtt_total": gtt,
                       "gtt_used": 0}.items():
        (device / f"mem_info_{name}").write_text(f"{size}\n", "ascii")
    total = MACHINE - carve_out
    (folder / "meminfo").write_text(
        f"MemTotal: {total >> 10} kB\nMemFree: {(total - IN_USE) >> 10} kB\n"
        f"MemAvailable: {(total - IN_USE) >> 10} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n", "ascii")


class Apu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tried = subprocess.run([*UNSHARE, "mount", "--bind", "/tmp", "/sys/class"],
                               capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            raise unittest.SkipTest(f"needs a mount namespace: {tried.stderr.strip()}")

    def daemon(self, carve_out, gtt, card, model_gib):
        folder = Path(tempfile.mkdtemp(prefix="tonnage-test-apu-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        write_fixtures(folder, carve_out, gtt)
        rig = GpuRig(card, drivers="none")
        self.addCleanup(rig.__exit__, None, None, None)
        rig.__enter__().behave(vulkan=True)
        model = {"gguf": str(rig.model("large", model_gib)), "context": 2048, "slots": 2}
        return rig, ApuDaemon({"models": {"large": model}, "pressure": "balanced"}, folder,
                              env=rig.environment())

    def pools(self, daemon):
        return {pool["pool"]: pool for pool in daemon.get_json("/api/memory/status")["pools"]}

    def check_serves(self, daemon):
        status, _, text = daemon.chat("large")
        self.assertEqual((status, text.split(":")[0]), (200, "large"), text)
        self.assertGreater(daemon.models()["large"]["placement"]["gpu_layers"], 32)

    def check_host_is_calm(self, host):
        self.assertLess(abs(host["foreign_bytes"] - IN_USE), GIB)
        self.assertIn(host["level"], (None, "normal"))

    def test_a_large_carve_out_is_a_pool_beside_the_host(self):
        rig, daemon = self.daemon(96 * GIB, 15 * GIB, Card("apu", 96 * 1024, 0), 60)
        with daemon:
            self.assertEqual({name: pool["capacity_bytes"] // GIB
                              for name, pool in self.pools(daemon).items()},
                             {"host": 32, "gpu0": 96})
            self.check_serves(daemon)  # 60 GiB, where the host has 32
            pools = self.pools(daemon)
            self.assertGreater(pools["gpu0"]["reserved_bytes"], 59 * GIB)
            self.assertLess(pools["host"]["reserved_bytes"], 4 * GIB)
            self.check_host_is_calm(pools["host"])
            self.assertGreater(rig.used_mib(), 59 * 1024)

    def test_a_small_carve_out_is_left_out_and_the_host_counted_once(self):
        card = Card("apu", 110 * 1024, 0, unified=True)
        _, daemon = self.daemon(512 * MIB, 110 * GIB, card, 60)
        with daemon:
            (host,) = self.pools(daemon).values()
            self.assertTrue(host["unified"])
            self.assertEqual(host["capacity_bytes"], MACHINE - 512 * MIB)
            self.check_host_is_calm(host)
            self.check_serves(daemon)
            host = self.pools(daemon)["host"]
            self.assertGreater(host["reserved_bytes"], 59 * GIB)
            self.assertLess(host["reserved_bytes"], 64 * GIB)
            self.assertIn(host["level"], (None, "normal"))


if __name__ == "__main__":
    unittest.main()
