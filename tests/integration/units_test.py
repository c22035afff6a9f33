"""The systemd units: what they start exists, and they say what the daemon needs them to say."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from daemon import TONNAGE

UNITS = Path(__file__).parents[2] / "packaging/systemd"
SYSTEM, USER = UNITS / "tonnage.service", UNITS / "user/tonnage.service"


def parsed(path):
    """{section: {key: [values]}}; systemd allows a key more than once."""
    sections, section = {}, None
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
            continue
        key, value = line.split("=", 1)
        section.setdefault(key, []).append(value)
    return sections


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(us|ms|s|m|min|h)?", text).groups()
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600}
    return int(number) * scale[unit or "s"]


class Units(unittest.TestCase):
    def setUp(self):
        self.units = {path: parsed(path)["Service"] for path in (SYSTEM, USER)}

    def only(self, service, key):
        values = service.get(key, [])
        self.assertEqual(len(values), 1, f"{key} is there {len(values)} times")
        return values[0]

    def test_what_they_start_exists(self):
        for path, service in self.units.items():
            for key in ("ExecStart", "ExecReload"):
                with self.subTest(unit=path.name, key=key):
                    program, subcommand, *options = self.only(service, key).split()
                    self.assertEqual(Path(program).name, "tonnage")
                    self.assertTrue(program.startswith(("/", "%h/")))
                    shown = subprocess.run([TONNAGE, subcommand, "--help"], capture_output=True,
                                           text=True, check=False)
                    self.assertEqual(shown.returncode, 0, shown.stderr)
                    self.assertIn(f"Usage: tonnage {subcommand}", shown.stdout)
                    for option in (word for word in options if word.startswith("--")):
                        self.assertIn(f"{option} ", shown.stdout)

    def test_readiness_and_watchdog(self):
        for path, service in self.units.items():
            with self.subTest(unit=path):
                self.assertEqual(self.only(service, "Type"), "notify")
                self.assertEqual(self.only(service, "NotifyAccess"), "main")
                self.assertGreater(seconds(self.only(service, "WatchdogSec")), 5)
                self.assertEqual(self.only(service, "Restart"), "on-failure")

    def test_a_wrong_configuration_is_not_tried_again(self):
        wrong = subprocess.run([TONNAGE, "serve", "--config", "/nonexistent"], capture_output=True,
                               check=False)
        for service in self.units.values():
            self.assertEqual(self.only(service, "RestartPreventExitStatus"), str(wrong.returncode))

    def test_requests_may_drain(self):
        schema = json.loads(subprocess.check_output([TONNAGE, "check", "--schema"]))
        drain = schema["properties"]["load"]["properties"]["drain_timeout"]["default"]
        for service in self.units.values():
            self.assertGreater(seconds(self.only(service, "TimeoutStopSec")), seconds(drain))
            # control-group would end the model servers under their requests.
            self.assertEqual(self.only(service, "KillMode"), "mixed")

    def test_a_killed_model_server_ends_no_service(self):
        for service in self.units.values():
            self.assertEqual(self.only(service, "OOMPolicy"), "continue")
        # Servers get 500 more than the daemon, and must stay the kernel's first choice.
        self.assertGreater(int(self.only(self.units[SYSTEM], "OOMScoreAdjust")) + 500, 0)

    def test_there_are_files_enough(self):
        schema = json.loads(subprocess.check_output([TONNAGE, "check", "--schema"]))
        limits = schema["properties"]["limits"]["properties"]
        connections = int(limits["connections_max"]["default"])
        for service in self.units.values():
            self.assertGreater(int(self.only(service, "LimitNOFILE")), 2 * connections + 1024)

    def test_folders_are_where_the_daemon_looks(self):
        service = self.units[SYSTEM]
        variables = dict(value.split("=", 1) for value in service["Environment"])
        self.assertEqual(variables, {"TONNAGE_RUNTIME_DIR": "/run/tonnage",
                                     "TONNAGE_STATE_DIR": "/var/lib/tonnage",
                                     "TONNAGE_CACHE_DIR": "/var/cache/tonnage"})
        for key in ("RuntimeDirectory", "StateDirectory", "CacheDirectory"):
            self.assertEqual(self.only(service, key), "tonnage")
        # Sockets in a folder that others may enter are refused by the daemon.
        self.assertEqual(self.only(service, "RuntimeDirectoryMode"), "0700")
        self.assertEqual(self.only(service, "ProtectHome"), "read-only")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed here")
    def test_systemd_understands_every_line(self):
        for path in self.units:
            with self.subTest(unit=path), tempfile.TemporaryDirectory() as folder:
                # The programs are where an installation would put them, not here.
                text = re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", path.read_text(encoding="utf-8"),
                              flags=re.MULTILINE)
                copy = Path(folder) / path.name
                copy.write_text(text, encoding="utf-8")
                scope = ["--user"] if path == USER else []
                verified = subprocess.run(
                    ["systemd-analyze", *scope, "verify", "--man=no", str(copy)],
                    env={**os.environ, "XDG_RUNTIME_DIR": folder}, capture_output=True, text=True,
                    check=False)
                said = [line for line in verified.stderr.splitlines() if path.name in line]
                self.assertEqual((verified.returncode, said), (0, []), verified.stderr)


if __name__ == "__main__":
    unittest.main()
