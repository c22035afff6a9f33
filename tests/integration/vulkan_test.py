"""The real engine on a GPU that Mesa draws in software: layers on Vulkan0, in part and all of them.

Needs the engine's Vulkan plug-in (fetched with npm) and Mesa's software driver: Debian's packages
libvulkan1 and mesa-vulkan-drivers, installed, or to be had from `apt-get download`. The driver has
no memory of its own and no bound, so the card's size is what a file of devices says; what it holds
is anonymous memory of the server, and can be measured there.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import CACHE, Daemon, demo_models, wait_until

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
PACKAGES = ("libvulkan1", "mesa-vulkan-drivers")
SYSTEM_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
OUTPUT_LINES = ["-lv", "4"]  # the engine then says what it put where


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          check=False, timeout=300, **more)


def software_driver():
    """(folder of libvulkan.so.1, the driver's description), from the system or from packages that
    are unpacked into the cache."""
    installed = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
    if installed and (SYSTEM_LIBRARIES / "libvulkan.so.1").exists():
        return SYSTEM_LIBRARIES, installed[0]
    folder = CACHE / "software-vulkan"
    libraries = folder / "usr/lib/x86_64-linux-gnu"
    description = folder / "lvp.json"
    if not description.exists():
        new = Path(tempfile.mkdtemp(dir=CACHE))
        try:
            fetched = run("apt-get", "download", *PACKAGES, cwd=new)
            if fetched.returncode != 0:
                raise unittest.SkipTest(f"needs {' and '.join(PACKAGES)}: {fetched.stderr[-300:]}")
            for package in new.glob("*.deb"):
                run("dpkg-deb", "-x", package, new)
            (new / "lvp.json").write_text(json.dumps({
                "file_format_version": "1.0.0",
                "ICD": {"api_version": "1.1.230",
                        "library_path": str(libraries / "libvulkan_lvp.so")}}), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return libraries, description


def engine_with_vulkan(folder):
    """A copy of the built engine with the plug-in beside it."""
    built = Path(run(ROOT / "tools/engine", "path").stdout.strip())
    if not (built / "llama-server").exists():
        raise unittest.SkipTest("needs the built engine: tools/engine build")
    shutil.copytree(built, folder, symlinks=True)
    fetched = run(ROOT / "tools/engine", "vulkan", folder)
    if fetched.returncode != 0:
        raise unittest.SkipTest(f"needs the engine's Vulkan plug-in: {fetched.stderr[-300:]}")


class Vulkan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="tonnage-vulkan-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.engine = cls.folder / "engine"
        engine_with_vulkan(cls.engine)
        libraries, description = software_driver()
        cls.env = {"GGML_VK_VISIBLE_DEVICES": "0", "VK_DRIVER_FILES": str(description),
                   "VK_ICD_FILENAMES": str(description), "LD_LIBRARY_PATH": str(libraries)}
        listed = run(cls.engine / "llama-server", "--list-devices", env={**os.environ, **cls.env})
        if "Vulkan0: " not in listed.stdout + listed.stderr:
            raise unittest.SkipTest("the software driver does not work here: it needs the "
                                    f"libraries of {PACKAGES[1]}\n{listed.stderr[-500:]}")
        cls.model = demo_models("demo") / "demo-small.gguf"

    def daemon(self, card_mib, args=(), **model):
        file = self.folder / "devices.json"
        file.write_text(json.dumps({"devices": [
            {"id": "software", "name": "a card", "total_bytes": card_mib * MIB, "used_bytes": 0}]}),
            encoding="utf-8")
        return Daemon({"models": {"small": {"gguf": str(self.model), "context": 512, "slots": 1,
                                            "args": OUTPUT_LINES, **model}},
                       "engine": {"llama_server": str(self.engine)},
                       "probe": {"devices_file": str(file)}}, env=self.env, arguments=args)

    def ask(self, daemon):
        status, _, text = daemon.chat("small", max_tokens=2)
        self.assertEqual((status, text.split(":")[0]), (200, "demo-small"), text)
        return daemon.models()["small"]

    def offloaded(self, daemon):
        """Layers on the device, by the engine's own word."""
        log = daemon.request("GET", "/logs/small")[2]
        found = re.search(r"offloaded (\d+)/(\d+) layers to GPU", log)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def held(self, daemon):
        """Anonymous memory of the server: its own, and what the driver holds for it."""
        status = Path(f"/proc/{daemon.server_pid('small')}/status").read_text(encoding="ascii")
        return sum(int(kib) << 10 for kib in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", status))

    def pool(self, daemon, name):
        pools = daemon.get_json("/api/memory/status")["pools"]
        return next(pool for pool in pools if pool["pool"] == name)

    def check_books(self, daemon, model):
        """What is charged is what was predicted, and no less than what is held."""
        (device,) = model["devices"]
        self.assertEqual(model["source"], "dry_run")
        self.assertEqual(device["pool"], "gpu0")
        self.assertGreaterEqual(device["reserved_bytes"], device["predicted_bytes"])
        self.assertEqual(self.pool(daemon, "gpu0")["reserved_bytes"], device["reserved_bytes"])
        self.assertLessEqual(device["reserved_bytes"], self.pool(daemon, "gpu0")["budget_bytes"])
        self.assertLessEqual(self.held(daemon),
                             model["predicted_bytes"] + device["reserved_bytes"])

    def test_all_layers_where_they_fit(self):
        with self.daemon(1024) as daemon:
            model = self.ask(daemon)
            layers, most = self.offloaded(daemon)
            self.assertEqual((model["tier"], model["placement"]["gpu_layers"]), ("gpu", most))
            self.assertEqual(layers, most)
            self.check_books(daemon, model)
            # The weights are there, and not only said to be.
            self.assertGreater(self.held(daemon), self.model.stat().st_size)
            self.assertEqual(model["weights_bytes"], 0)

            self.assertEqual(daemon.request("POST", "/api/memory/models/small/unload")[0], 200)
            wait_until(lambda: self.pool(daemon, "gpu0")["reserved_bytes"] == 0, 20,
                       "the card is free again")

    def test_some_layers_on_a_smaller_card(self):
        with self.daemon(165) as daemon:
            model = self.ask(daemon)
            layers, most = self.offloaded(daemon)
            self.assertEqual(layers, model["placement"]["gpu_layers"])
            self.assertTrue(0 < layers < most, f"{layers} of {most}")
            self.check_books(daemon, model)
            command = Path(f"/proc/{daemon.server_pid('small')}/cmdline").read_bytes().decode()
            self.assertIn("--device\0Vulkan0\0", command)

    def test_none_on_a_card_without_room_and_none_with_cpu(self):
        for card_mib, args in ((40, ()), (1024, ("--cpu",))):
            with self.daemon(card_mib, args) as daemon:
                model = self.ask(daemon)
                self.assertEqual((model["tier"], model["placement"]["gpu_layers"]), ("host", 0))
                self.assertEqual(self.offloaded(daemon)[0], 0)
                self.assertGreater(model["weights_bytes"], 0)


if __name__ == "__main__":
    unittest.main()
