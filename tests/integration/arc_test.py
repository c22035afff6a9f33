"""ZFS keeps half of a machine's memory as its cache, which the kernel counts as use. Faked by a
library around open(2): no ZFS is needed."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from daemon import Daemon, demo_models

GIB = 1 << 30
TOTAL = 24 * GIB
AVAILABLE = 3 * GIB // 2
ARC = 19 * GIB
ARC_MIN = 3 * GIB // 4

LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
static const char* moved(const char* path) {
  const char* to = !strcmp(path, "/proc/meminfo") ? getenv("FAKE_MEMINFO")
                 : !strcmp(path, "/proc/self/cgroup") ? "/dev/null"
                 : !strcmp(path, "/proc/spl/kstat/zfs/arcstats") ? getenv("FAKE_ARC") : NULL;
  return to ? to : path;
}
static int real(const char* path, int flags, int mode) {
  return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, "open"))(moved(path), flags, mode);
}
int open(const char* path, int flags, ...) {
  va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
  return real(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
  return real(path, flags, mode);
}
int __open_2(const char* path, int flags) { return real(path, flags, 0); }
int access(const char* path, int mode) {
  return ((int (*)(const char*, int))dlsym(RTLD_NEXT, "access"))(moved(path), mode);
}
"""


def arcstats(size, c_min):
    return ("13 1 0x01 147 39984 0 0\nname                            type data\n"
            "hits                            4    100\n"
            f"c_min                           4    {c_min}\n"
            f"c_max                           4    {ARC}\n"
            f"size                            4    {size}\n")


class Arc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        compiler = shutil.which("cc") or shutil.which("g++")
        if compiler is None:
            message = "SKIPPED: no C compiler for the library that fakes ZFS"
            print(message, file=sys.stderr)
            raise unittest.SkipTest(message)
        cls.folder = Path(tempfile.mkdtemp(prefix="tonnage-test-arc-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        source = cls.folder / "fake.c"
        source.write_text(LIBRARY, encoding="ascii")
        subprocess.run([compiler, "-x", "c", "-shared", "-fPIC", "-O1", "-o",
                        str(cls.folder / "fake.so"), str(source), "-ldl"], check=True)
        numbers = {"MemTotal": TOTAL, "MemFree": GIB, "MemAvailable": AVAILABLE, "Buffers": 0,
                   "Cached": GIB // 4, "SwapTotal": 0, "SwapFree": 0}
        (cls.folder / "meminfo").write_text(
            "".join(f"{name}: {size >> 10} kB\n" for name, size in numbers.items()), "ascii")
        (cls.folder / "arc").write_text(arcstats(ARC, ARC_MIN), "ascii")
        (cls.folder / "at-its-least").write_text(arcstats(ARC, ARC), "ascii")
        (cls.folder / "garbled").write_text("size 4 nonsense\nc_min 4\n", "ascii")
        model = demo_models("demo") / "demo-large.gguf"
        cls.config = {"models": {"demo-large": {"gguf": str(model), "context": 1024}},
                      "log": {"format": "text"}}

    def daemon(self, arc, timeout="1s"):
        env = {"LD_PRELOAD": str(self.folder / "fake.so"),
               "FAKE_MEMINFO": str(self.folder / "meminfo")}
        if arc:
            env["FAKE_ARC"] = str(self.folder / arc)
        return Daemon({**self.config, "queue": {"queue_timeout": timeout}}, env=env)

    def host(self, daemon):
        return daemon.get_json("/api/memory/status")["pools"][0]

    def check_foreign(self, daemon, wanted):
        # A dry run may be at work, whose memory is ours.
        self.assertAlmostEqual(self.host(daemon)["foreign_bytes"], wanted, delta=GIB // 4)

    def test_what_zfs_gives_back_is_not_in_use(self):
        with self.daemon("arc", timeout="60s") as daemon:
            self.check_foreign(daemon, TOTAL - AVAILABLE - (ARC - ARC_MIN))
            status, _, text = daemon.chat("demo-large")
            self.assertEqual(status, 200, text)
            self.assertIsNone(self.host(daemon)["level"])
            source = daemon.get_json("/api/memory/status")["daemon"]["memory_source"]
            self.assertIn("ZFS ARC 19.00 GiB of which 18.25 GiB can be reclaimed", source)
            self.assertIn("ZFS ARC 19.00 GiB", " ".join(daemon.command("doctor").stdout.split()))

    def check_refused(self, arc):
        with self.daemon(arc) as daemon:
            self.check_foreign(daemon, TOTAL - AVAILABLE)
            status, _, text = daemon.chat("demo-large")
            self.assertEqual(status, 503, text)
            for _ in range(5):  # each of them looks at memory
                self.host(daemon)
            source = daemon.get_json("/api/memory/status")["daemon"]["memory_source"]
        return source, daemon.log

    def test_without_zfs_it_is_as_before(self):
        source, log = self.check_refused(None)
        self.assertNotIn("ARC", source + log)

    def test_an_arc_that_cannot_shrink_is_in_use(self):
        source, _ = self.check_refused("at-its-least")
        self.assertIn("ZFS ARC 19.00 GiB of which 0 B can be reclaimed", source)

    def test_a_garbled_file_changes_nothing_and_is_said_once(self):
        source, log = self.check_refused("garbled")
        self.assertIn("left out: cannot use /proc/spl/kstat/zfs/arcstats", source)
        self.assertEqual(log.count("arcstats"), 1, log)

    def test_a_file_that_vanishes_is_said_once(self):
        shutil.copy(self.folder / "arc", self.folder / "vanishes")
        with self.daemon("vanishes") as daemon:
            os.unlink(self.folder / "vanishes")
            for _ in range(5):
                self.check_foreign(daemon, TOTAL - AVAILABLE)
        self.assertEqual(daemon.log.count("the ARC of ZFS, which is no longer reported"), 1,
                         daemon.log)


if __name__ == "__main__":
    unittest.main()
