"""Memory over time: kept while the daemon runs, shown with and without it, and never in its way."""

import json
import re
import shutil
import unittest

from daemon import Daemon, demo_models, wait_until


def config(**more):
    folder = demo_models("test")
    return {"budgets": {"host": {"limit": "300MiB", "reserve": "0%"}},
            "history": {"every": "1s"},
            "models": {name: {"gguf": str(folder / f"{name}.gguf"), "context": 512}
                       for name in ("test-a", "test-b")}, **more}


class Limited(Daemon):
    """A daemon whose files may not grow beyond 100 KiB, as on a disk that is full."""

    def command_line(self):
        return ["/bin/sh", "-c", 'ulimit -f 200; exec "$@"', "sh", *super().command_line()]


class History(unittest.TestCase):
    def rows(self, daemon, **query):
        parts = "&".join(f"{name}={value}" for name, value in {"step": "1s", **query}.items())
        return daemon.get_json(f"/api/memory/history?{parts}")["data"]

    def test_pools_and_loaded_models_are_kept(self):
        with Daemon(config()) as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            loaded = wait_until(
                lambda: [row for row in self.rows(daemon)
                         if any(m["measured_max_bytes"] for m in row["models"])], 30,
                "a sample with the model")
            status = daemon.get_json("/api/memory/status")
            row = loaded[-1]
            self.assertEqual([m["model"] for m in row["models"]], ["test-a"])
            pool = row["pools"][0]
            self.assertEqual(pool["pool"], "host")
            self.assertEqual(pool["budget_bytes"], 300 << 20)
            self.assertEqual(pool["capacity_bytes"], status["pools"][0]["capacity_bytes"])
            self.assertGreaterEqual(pool["reserved_max_bytes"], row["models"][0]["reserved_bytes"])
            self.assertLess(abs(row["time_ms"] - status["time_ms"]), 60_000)
            # What it shows of one model, of none, and of one that nobody knows.
            self.assertEqual(self.rows(daemon, model="test-b")[-1]["models"], [])
            self.assertEqual(daemon.request("GET", "/api/memory/history?model=x")[0], 404)
            for wrong in ("since=5", "since=never", "step=0s"):
                status, _, text = daemon.request("GET", f"/api/memory/history?{wrong}")
                self.assertEqual(status, 400)
                self.assertEqual(json.loads(text)["error"]["param"], wrong.split("=")[0])
            table = daemon.command("history", "--since", "10m").stdout
            self.assertRegex(table, r"\d\d:\d\d(:\d\d)?  \[[#+.█▒░]{20}\] +\d+ MiB .* test-a")
            self.assertLessEqual(max(len(line) for line in table.splitlines()), 80)
            text = daemon.command("history", "--json", "--since", "10m")
            self.assertTrue(json.loads(text.stdout)["data"])

    def test_it_outlives_the_daemon(self):
        with Daemon(config()) as daemon:
            self.assertEqual(daemon.chat("test-a")[0], 200)
            wait_until(lambda: any(row["models"] for row in self.rows(daemon)), 30, "a sample")
            daemon.process.kill()
            daemon.process.wait()
            alone = daemon.command("history")
            self.assertEqual(alone.returncode, 0, alone.stderr)
            self.assertIn("no daemon answers; this is from", alone.stderr)
            self.assertIn("test-a", alone.stdout)
            named = daemon.command("history", "--file", str(daemon.state_dir / "history.sqlite"),
                                   "--json", "--model", "test-a")
            self.assertTrue(json.loads(named.stdout)["data"])
            self.assertEqual(daemon.command("history", "--file", "/nonexistent").returncode, 1)
            self.assertEqual(daemon.command("history", "--since", "soon").returncode, 2)
            # Another daemon on the same state goes on where it ended.
            with Daemon(config(), env={"TONNAGE_STATE_DIR": str(daemon.state_dir)}) as later:
                self.assertTrue(any(row["models"] for row in self.rows(later)))

    def test_a_damaged_file_is_kept_and_a_new_one_begun(self):
        daemon = Daemon(config(log={"format": "text"}))
        daemon.state_dir.mkdir()
        (daemon.state_dir / "history.sqlite").write_bytes(b"this was never a database" * 400)
        with daemon:
            wait_until(lambda: self.rows(daemon), 30, "a sample")
            kept = daemon.state_dir / "history.sqlite.corrupt-1"
            self.assertEqual(kept.stat().st_size, 25 * 400)
            self.assertEqual(daemon.chat("test-a")[0], 200)
        self.assertEqual(len(re.findall("is damaged", daemon.log)), 1, daemon.log)

    def test_a_full_disk_costs_only_the_history(self):
        with Limited(config(log={"format": "text"})) as daemon:
            wait_until(lambda: "no memory history is kept" in daemon.log, 120, "the warning")
            for model in ("test-a", "test-b", "test-a"):
                self.assertEqual(daemon.chat(model)[0], 200)
            self.assertEqual(daemon.request("GET", "/health")[0], 200)
            self.assertTrue(self.rows(daemon))  # what was written can still be read
        self.assertEqual(len(re.findall("no memory history is kept", daemon.log)), 1, daemon.log)

    def test_a_state_folder_that_vanishes_comes_back(self):
        with Daemon(config()) as daemon:
            wait_until(lambda: self.rows(daemon), 30, "a sample")
            shutil.rmtree(daemon.state_dir)
            wait_until((daemon.state_dir / "history.sqlite").exists, 30, "a new file")
            self.assertEqual(daemon.chat("test-a")[0], 200)

    def test_it_can_be_switched_off(self):
        with Daemon(config(history={"enabled": False})) as daemon:
            status, _, text = daemon.request("GET", "/api/memory/history")
            self.assertEqual(status, 404)
            self.assertIn("history.enabled is false", text)
            self.assertFalse((daemon.state_dir / "history.sqlite").exists())


if __name__ == "__main__":
    unittest.main()
