"""A changed configuration in a running daemon, and a start that resumes the last run."""

import json
import signal
import threading
import unittest

from daemon import Daemon, demo_models, wait_until

MODELS = ["demo-small", "demo-medium"]


def config(folder, names=tuple(MODELS), **more):
    models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 1024, "slots": 16}
              for name in names}
    return {"budgets": {"host": {"limit": "900MiB", "reserve": "0%"}}, "models": models, **more}


class Reload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = demo_models("demo")

    def write(self, daemon, text):
        daemon.config.write_text(text if isinstance(text, str) else json.dumps(text),
                                 encoding="utf-8")

    def test_a_changed_model_is_replaced_after_its_streams_and_others_stay(self):
        text = config(self.folder)
        with Daemon(text) as daemon:
            for model in MODELS:
                self.assertEqual(daemon.chat(model)[0], 200)
            pids = {model: daemon.server_pid(model) for model in MODELS}
            results = []
            threads = [threading.Thread(target=lambda m=MODELS[n % 2]: results.append(
                (m, daemon.chat(m, max_tokens=120, stream=True)))) for n in range(16)]
            for thread in threads:
                thread.start()
            wait_until(lambda: sum(m["leases"] for m in daemon.models().values()) == 16, 20,
                       "16 streams")
            text["models"]["demo-small"]["context"] = 512
            self.write(daemon, text)
            told = daemon.command("reload")
            self.assertEqual(told.returncode, 0, told.stderr)
            self.assertIn("replaced once their requests end: demo-small", told.stdout)
            small = daemon.models()["demo-small"]
            self.assertEqual(small["state"], "draining", "the streams had ended too early")
            self.assertEqual(daemon.server_pid("demo-small"), pids["demo-small"])
            for thread in threads:
                thread.join()
            for model, (status, _, answer) in results:
                self.assertEqual(status, 200, answer)
                self.assertTrue(answer.startswith(model + ":"), answer)
            wait_until(lambda: daemon.state("demo-small") == "ready", 20, "the new server")
            self.assertNotEqual(daemon.server_pid("demo-small"), pids["demo-small"])
            self.assertEqual(daemon.server_pid("demo-medium"), pids["demo-medium"])
            self.assertEqual(daemon.models()["demo-small"]["placement"]["context"], 512)
            wait_until(lambda: len(daemon.server_pids()) == 2, 10, "the old server is gone")
            why = daemon.command("why", "demo-small").stdout
            self.assertIn("its configuration changed", " ".join(why.split()))

    def test_a_broken_configuration_is_refused_with_its_place_and_changes_nothing(self):
        text = config(self.folder)
        with Daemon(text) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            before = daemon.server_pids()
            self.write(daemon, "models:\n  demo-small:\n    contxt: 3\n    gguf: x\n")
            told = daemon.command("reload")
            self.assertEqual(told.returncode, 1)
            self.assertIn(f"{daemon.config}:3:5: unknown key 'contxt'", told.stderr)
            self.assertIn("did you mean 'context'?", told.stderr)
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: daemon.log.count("nothing changed") == 2, 10, "the signal's answer")
            self.assertEqual(daemon.server_pids(), before)
            self.assertEqual(sorted(daemon.models()), sorted(MODELS))

    def test_models_come_and_go_with_the_signal(self):
        with Daemon(config(self.folder)) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            pid = daemon.server_pid("demo-small")
            self.write(daemon, config(self.folder, names=("demo-small", "demo-large"), keys=[
                {"name": "app", "key": "sk-0123456789abcdef"}]))
            daemon.process.send_signal(signal.SIGHUP)
            key = {"Authorization": "Bearer sk-0123456789abcdef"}

            def listed():
                status, _, body = daemon.request("GET", "/v1/models", headers=key)
                return status == 200 and [m["id"] for m in json.loads(body)["data"]] == [
                    "demo-small", "demo-large", "resident"]
            wait_until(listed, 10, "the new list")
            self.assertEqual(daemon.request("GET", "/v1/models")[0], 401)
            body = {"model": "demo-large", "max_tokens": 4,
                    "messages": [{"role": "user", "content": "Hello"}]}
            answer = daemon.request("POST", "/v1/chat/completions", body, headers=key)
            self.assertEqual(answer[0], 200, answer)
            body["model"] = "demo-medium"
            answer = daemon.request("POST", "/v1/chat/completions", body, headers=key)
            self.assertEqual(answer[0], 404, answer)
            self.assertEqual(daemon.server_pid("demo-small"), pid)

    def test_a_smaller_budget_is_kept_at_once(self):
        text = config(self.folder)
        with Daemon(text) as daemon:
            for model in MODELS:
                self.assertEqual(daemon.chat(model)[0], 200)
            text["budgets"]["host"]["limit"] = "250MiB"
            self.write(daemon, text)
            self.assertEqual(daemon.command("reload").returncode, 0)
            # The daemon hears of a process' end after the kernel: both are asked until they agree.
            wait_until(lambda: len(daemon.server_pids()) == 1 and daemon.get_json(
                "/api/memory/status")["pools"][0]["reserved_bytes"] <= 250 << 20, 10,
                       "one server, and its memory alone")
            self.assertIn("budget_shrunk", [e["reason"] for e in daemon.events()])


class Resume(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = demo_models("demo")

    def test_what_was_ready_comes_back_and_nobody_asked(self):
        for end in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(end=end.name):
                self.check(end)

    def check(self, end):
        text = config(self.folder, names=("demo-small", "demo-medium", "demo-large"), resume="last")
        with Daemon(text) as daemon:
            for model in ("demo-large", "demo-medium"):
                self.assertEqual(daemon.chat(model)[0], 200)
            ready = daemon.state_dir / "ready.json"
            wait_until(lambda: ready.exists() and json.loads(ready.read_text(encoding="utf-8")) ==
                       {"ready": ["demo-medium", "demo-large"]}, 10, "the list of ready models")
            daemon.process.send_signal(end)
            daemon.process.wait(30)
            with Daemon(text, env={"TONNAGE_STATE_DIR": str(daemon.state_dir)}) as again:
                wait_until(lambda: sorted(again.server_pids().values()) ==
                           ["demo-large", "demo-medium"], 20, "both servers")
                self.assertEqual(again.state("demo-small"), "absent")

    def test_what_no_longer_fits_stays_away(self):
        text = config(self.folder, resume="last")
        with Daemon(text) as daemon:
            daemon.state_dir.mkdir(exist_ok=True)
            (daemon.state_dir / "ready.json").write_text(json.dumps(
                {"ready": ["demo-medium", "gone", 7, "demo-small"]}), encoding="utf-8")
            text["budgets"]["host"]["limit"] = "250MiB"
            with Daemon(text, env={"TONNAGE_STATE_DIR": str(daemon.state_dir)}) as again:
                wait_until(lambda: again.state("demo-medium") == "ready", 20, "the latest one")
                self.assertEqual([e for e in again.events() if e["kind"] == "evict"], [])

    def test_a_list_that_says_something_else_is_no_reason_not_to_start(self):
        text = config(self.folder, resume="last")
        with Daemon(text) as daemon:
            daemon.state_dir.mkdir(exist_ok=True)
            for content in ("", "{", "[]", '{"ready": 3}', "\x00\xff"):
                (daemon.state_dir / "ready.json").write_text(content, encoding="utf-8")
                with Daemon(text, env={"TONNAGE_STATE_DIR": str(daemon.state_dir)}) as again:
                    self.assertEqual(again.chat("demo-small", max_tokens=2)[0], 200)


if __name__ == "__main__":
    unittest.main()
