"""A memory cgroup with a limit, of version 1 or 2, for tests that are about running out."""

import contextlib
import mmap
import os
import re
import threading
import time
from pathlib import Path

PAUSE = threading.Event()  # never set


class CannotMake(Exception):
    """No memory cgroup can be made here; says why."""


class MemoryCgroup:
    """Made below the cgroup of this process, and removed at the end of the `with` block."""

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes
        self.path = None
        self.version = 0

    def __enter__(self):
        problems = []
        for version, parent in self._parents():
            try:
                self._make(version, parent)
                return self
            except OSError as error:
                problems.append(f"version {version} in {parent}: {error}")
        raise CannotMake("; ".join(problems) or "no hierarchy with a memory controller is mounted")

    @staticmethod
    def _parents():
        """(version, folder) of the hierarchies in which this process is, version 1 first."""
        groups = dict(line.rstrip("\n").split(":", 2)[1:]
                      for line in Path("/proc/self/cgroup").read_text("ascii").splitlines())
        for line in Path("/proc/self/mountinfo").read_text("ascii").splitlines():
            mount, _, kind = line.partition(" - ")
            root, point = mount.split()[3:5]
            kind, _, options = kind.split()[:3]
            memory = next((path for names, path in groups.items() if "memory" in names.split(",")),
                          None)
            if kind == "cgroup" and "memory" in options.split(",") and memory:
                yield 1, Path(point + "/" + os.path.relpath(memory, root))
            elif kind == "cgroup2" and "" in groups:
                yield 2, Path(point + "/" + os.path.relpath(groups[""], root))

    def _make(self, version, parent):
        path = parent / f"tonnage-test-{os.getpid()}"
        if version == 2:
            # Fails with "busy" where processes sit in the parent, unless it is the root.
            (parent / "cgroup.subtree_control").write_text("+memory", "ascii")
        path.mkdir()
        self.path, self.version = path, version
        try:
            self._write("memory.limit_in_bytes" if version == 1 else "memory.max",
                        self.limit_bytes)
        except OSError:
            path.rmdir()
            raise
        # Beyond the limit nothing is to be left but reclaim and the OOM killer.
        with contextlib.suppress(OSError):
            if version == 1:
                self._write("memory.memsw.limit_in_bytes", self.limit_bytes)
            else:
                self._write("memory.swap.max", 0)

    def __exit__(self, *_):
        for pid in self._read("cgroup.procs").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        # The group can go once the kernel has buried them.
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.path.rmdir()
                return
            PAUSE.wait(0.01)

    def _write(self, name, value):
        (self.path / name).write_text(str(value), "ascii")

    def _read(self, name):
        return (self.path / name).read_text("ascii")

    def inside(self, command):
        """`command` as one that runs in the group from its first instruction on."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.path / "cgroup.procs"),
                *command]

    def _count(self, file, name):
        found = re.search(rf"^{name} (\d+)$", self._read(file), re.MULTILINE)
        return int(found[1]) if found else 0

    def oom_kills(self):
        """Processes of the group that the kernel killed for memory."""
        return self._count("memory.oom_control" if self.version == 1 else "memory.events",
                           "oom_kill")

    def major_faults(self):
        """How often a process of the group had to wait for a page from disk; one such wait brings
        many pages."""
        return self._count("memory.stat", "pgmajfault")

    def read_again_mib(self):
        """Pages of files that the kernel had taken away and that were wanted back. Linux 5.9."""
        return self._count("memory.stat", "workingset_refault_file") * mmap.PAGESIZE >> 20

    def used_bytes(self):
        return int(self._read("memory.usage_in_bytes" if self.version == 1 else "memory.current"))
