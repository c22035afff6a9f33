"""The journal of real runs: it replays, survives what happens to its folder, and tells stories."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import unittest

from daemon import TONNAGE, Daemon, demo_models, wait_until

MODELS = ["demo-small", "demo-medium", "demo-large"]


def config(folder, budget="270MiB", **more):
    models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 512, "slots": 2}
              for name in MODELS}
    return {"budgets": {"host": {"limit": budget, "reserve": "0%"}}, "models": models, **more}


def lines_of(folder):
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl"))
            for line in file.read_text(encoding="utf-8").splitlines()]


def replay(*arguments):
    return subprocess.run([TONNAGE, "replay", *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


class Journal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = demo_models("demo")

    def stop(self, daemon):
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.process.wait(30), 0)

    def test_300_requests_with_crashes_and_a_reload_replay_with_identical_actions(self):
        draw = random.Random(7)
        plan = [(draw.choice(MODELS), draw.random() < 0.5) for _ in range(300)]
        numbers = iter(range(300))
        lock = threading.Lock()
        answers = []
        text = config(self.folder, journal={"segment_max": "64KiB"})
        with Daemon(text) as daemon:
            def work():
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    model, stream = plan[number]
                    if number in (60, 120, 180):
                        for pid in daemon.server_pids():
                            os.kill(pid, signal.SIGKILL)
                    if number == 150:
                        text["models"]["demo-small"]["context"] = 256
                        daemon.config.write_text(json.dumps(text), encoding="utf-8")
                        self.assertEqual(daemon.command("reload").returncode, 0)
                    answers.append((model, daemon.chat(model, stream=stream)))
            threads = [threading.Thread(target=work) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(answers), 300)
            # An answer that had begun when its server was killed ends with an error of its own.
            whole = [a for model, a in answers if a[0] == 200 and a[2].startswith(model + ":")]
            self.assertGreater(len(whole), 280)
            self.stop(daemon)

            folder = daemon.state_dir / "journal"
            types = {line["event"]["type"] for line in lines_of(folder) if "event" in line}
            self.assertLessEqual({"request_arrived", "request_ended", "model_profiled",
                                  "server_ready", "server_exited", "pool_sampled",
                                  "policy_changed", "shutdown"}, types)
            self.assertGreater(len(list(folder.glob("*.jsonl"))), 1)
            told = replay(folder, "--json")
            report = json.loads(told.stdout)
            self.assertIsNone(report["difference"], told.stdout)
            self.assertEqual(told.returncode, 0)
            self.assertEqual(report["notes"], [])
            self.assertGreater(report["steps"], 600)
            # A segment replays without those before it.
            last = sorted(folder.glob("*.jsonl"))[-1]
            self.assertEqual(replay(last).returncode, 0)

            # What was recorded otherwise is found. The first admission goes to somebody else.
            first = sorted(folder.glob("*.jsonl"))[0]
            content = first.read_text(encoding="utf-8")
            self.assertIn('"type":"admit","request":1,', content)
            first.write_text(content.replace('"type":"admit","request":1,',
                                             '"type":"admit","request":2,', 1), encoding="utf-8")
            told = replay(folder)
            self.assertEqual(told.returncode, 1)
            self.assertIn("the core now does something else", told.stdout)
            self.assertIn('recorded  {"type":"admit","request":2', told.stdout)
            self.assertIn('replayed  {"type":"admit","request":1', told.stdout)

    def test_a_killed_daemon_leaves_a_journal_that_replays(self):
        with Daemon(config(self.folder)) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            folder = daemon.state_dir / "journal"
            wait_until(lambda: any("request_ended" in f.read_text(encoding="utf-8")
                                   for f in folder.glob("*.jsonl")), 10, "the end is recorded")
            daemon.process.kill()
            daemon.process.wait()
            self.assertEqual(replay(folder).returncode, 0)
            file = next(folder.glob("*.jsonl"))
            whole = file.read_bytes()
            file.write_bytes(whole[:-20])
            told = replay(folder)
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertIn("the last line is cut off", told.stdout)

    def test_damaged_journals_are_named_with_their_place(self):
        with Daemon(config(self.folder)) as daemon:
            self.stop(daemon)
            file = next((daemon.state_dir / "journal").glob("*.jsonl"))
            good = file.read_text(encoding="utf-8")
            header, step = good.splitlines()[:2]
            for text, why in (
                    (header.replace('"version":1', '"version":9') + "\n", "it is of version 9"),
                    (f"{header}\n{step}\n{{\"step\":2,\n{step}\n", ":3: it is not JSON"),
                    (header + "\n" + step.replace("pool_sampled", "pool_drained") + "\n",
                     ":2: event: the type 'pool_drained' is not known"),
                    ("", "it is empty")):
                file.write_text(text, encoding="utf-8")
                told = replay(file)
                self.assertEqual(told.returncode, 2, told.stdout)
                self.assertIn(why, told.stderr)
                self.assertIn(str(file), told.stderr)
            self.assertEqual(replay(daemon.folder / "none").returncode, 2)

    def test_the_daemon_serves_on_when_its_folders_are_removed(self):
        with Daemon(config(self.folder)) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            folder = daemon.state_dir / "journal"
            wait_until(lambda: list(folder.glob("*.jsonl")), 10, "a journal")
            shutil.rmtree(daemon.state_dir)
            shutil.rmtree(daemon.runtime)
            self.assertEqual(daemon.chat("demo-large")[0], 200)
            self.assertEqual(daemon.chat("demo-medium")[0], 200)
            wait_until(lambda: list(folder.glob("*.jsonl")), 10, "a new journal")
            wait_until(lambda: "somebody deleted it" in daemon.log, 10, "the log says so")
            self.stop(daemon)
            told = replay(folder)
            self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_a_folder_that_cannot_be_written_is_said_once_and_serving_goes_on(self):
        with Daemon(config(self.folder),
                    env={"TONNAGE_STATE_DIR": "/proc/nobody-may-write-here"}) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            wait_until(lambda: "cannot write the journal" in daemon.log, 10, "a warning")
            self.assertEqual(daemon.chat("demo-large")[0], 200)
            self.assertEqual(daemon.log.count("cannot write the journal"), 1)

    def test_stories_of_a_request(self):
        with Daemon(config(self.folder)) as daemon:
            daemon.chat("demo-medium")
            status, headers, _ = daemon.chat("demo-large")
            self.assertEqual(status, 200)
            number = headers["x-tonnage-request"]
            told = daemon.command("why", number).stdout
            self.assertIn(f"Request {number} asked for demo-large with normal priority.", told)
            flat = " ".join(told.split())
            self.assertIn("Unloading demo-medium to make room for demo-large, which needs", flat)
            self.assertIn("It was sent to demo-large after", flat)
            self.assertIn("It was answered after", flat)
            unknown = daemon.command("why", "123456")
            self.assertEqual(unknown.returncode, 1)
            self.assertIn("No record of request 123456", unknown.stderr)
            self.stop(daemon)

            # The same from the files, once the daemon has gone.
            def told_by_file(subject):
                told = daemon.command("why", subject, "--journal",
                                      str(daemon.state_dir / "journal"))
                return " ".join(told.stdout.split())
            self.assertIn("It was sent to demo-large after", told_by_file(number))
            self.assertIn("Unloading demo-medium to make room for demo-large",
                          told_by_file("demo-medium"))


if __name__ == "__main__":
    unittest.main()
