"""Servers that die, hang or never start; clients that leave; a daemon that is killed or drained."""

import json
import os
import re
import signal
import socket
import stat
import sys
import threading
import time
import unittest
from pathlib import Path

from daemon import Daemon, demo_models, wait_until

ENGINE = Path(os.environ["TONNAGE_ENGINE_DIR"]) if "TONNAGE_ENGINE_DIR" in os.environ else None


def config(folder, names=("demo-small", "demo-medium"), slots=2, **more):
    models = {name: {"gguf": str(folder / f"{name}.gguf"), "context": 1024, "slots": slots}
              for name in names}
    return {"budgets": {"host": {"limit": "500MiB", "reserve": "0%"}}, "models": models, **more}


def is_alive(pid):
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        return text.rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = demo_models("demo")

    def together(self, daemon, count, model, **how):
        """Starts `count` requests; returns (threads, results)."""
        results = [None] * count

        def ask(number):
            results[number] = daemon.chat(model, **how)
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        return threads, results

    def check_all_answered(self, threads, results, model):
        for thread in threads:
            thread.join()
        for result in results:
            self.assertEqual(result[0], 200, result)
            self.assertTrue(result[2].startswith(model + ":"), result)

    def test_kill_of_a_server_with_8_requests_in_it(self):
        with Daemon(config(self.folder, slots=8)) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            threads, results = self.together(daemon, 8, "demo-small", max_tokens=60)
            wait_until(lambda: daemon.models()["demo-small"]["leases"] == 8, 20, "8 leases")
            os.kill(daemon.server_pid("demo-small"), signal.SIGKILL)
            self.check_all_answered(threads, results, "demo-small")
            self.assertTrue(any("x-tonnage-replays" in r[1] for r in results))
            kinds = [e["kind"] for e in daemon.events()]
            self.assertEqual([e["failure"] for e in daemon.events() if e["kind"] == "fail"],
                             ["killed"])
            self.assertEqual(kinds.count("replay"), 8)
            # That a client has closed its connection is news that comes by itself.
            metrics = wait_until(lambda: (lambda text: text if "\ntonnage_connections 1\n" in text
                                          else None)(daemon.request("GET", "/metrics")[2]), 10,
                                 "only this connection is open")
            self.assertIn('tonnage_failures_total{kind="killed",model="demo-small"} 1', metrics)

    def test_a_stopped_server_is_replaced(self):
        with Daemon(config(self.folder)) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            first = daemon.server_pid("demo-small")
            os.kill(first, signal.SIGSTOP)
            threads, results = self.together(daemon, 2, "demo-small")
            self.check_all_answered(threads, results, "demo-small")
            wait_until(lambda: not is_alive(first), 10, "the stopped server is gone")
            reasons = [e["reason"] for e in daemon.events()]
            self.assertIn("stopped_hung", reasons)

    def test_no_server_survives_the_daemon(self):
        with Daemon(config(self.folder)) as daemon:
            for name in ("demo-small", "demo-medium"):
                self.assertEqual(daemon.chat(name)[0], 200)
            pids = list(daemon.server_pids())
            self.assertEqual(len(pids), 2)
            daemon.process.kill()
            killed = time.monotonic()
            wait_until(lambda: not any(is_alive(pid) for pid in pids), 5, "the servers end")
            self.assertLess(time.monotonic() - killed, 1.0)

    def test_sigterm_drains(self):
        with Daemon(config(self.folder)) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            threads, results = self.together(daemon, 2, "demo-small", max_tokens=40, stream=True)
            wait_until(lambda: daemon.models()["demo-small"]["leases"] == 2, 20, "2 leases")
            pids = list(daemon.server_pids())
            daemon.process.send_signal(signal.SIGTERM)
            self.check_all_answered(threads, results, "demo-small")
            self.assertEqual(daemon.process.wait(20), 0)
            self.assertFalse(any(is_alive(pid) for pid in pids))
            self.assertFalse((daemon.runtime / "control.sock").exists())

    def begin(self, daemon, header="", **request):
        """A client that has sent a request for 900 tokens and does not read its answer."""
        body = json.dumps({"model": "demo-small", "prompt": "Hello", "max_tokens": 900,
                           "ignore_eos": True, **request})
        client = socket.create_connection(("127.0.0.1", daemon.port), 10)
        self.addCleanup(client.close)
        client.sendall((f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}"
                        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                        f"{body}").encode())
        return client

    def slots(self, daemon):
        """What the slots say; those that work have read and generated so many tokens."""
        status, _, text = daemon.request("GET", "/upstream/demo-small/slots")
        if status == 503:  # a look never loads the model, so it is not there yet
            return [{"works": False, "holds": 0, "read": 0, "generated": 0}] * 2
        answer = json.loads(text)
        return [{"works": slot["is_processing"], "holds": slot.get("n_prompt_tokens", 0),
                 "read": slot.get("n_prompt_tokens_processed", 0),
                 "generated": slot["next_token"][0]["n_decoded"] if "next_token" in slot else 0}
                for slot in answer]

    def leases(self, daemon):
        return daemon.models()["demo-small"]["leases"]

    def test_a_client_that_leaves_stops_the_generation(self):
        with Daemon(config(self.folder, slots=1)) as daemon:
            stops = []

            # The engine's log comes through a pipe, later than what its slots say.
            def stopped():
                log = daemon.request("GET", "/logs/demo-small")[2]
                found = re.findall(r"stop processing: n_tokens = (\d+)", log)
                return found if len(found) > len(stops) else None
            # Looking at the slots loads nothing.
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            stops = wait_until(stopped, 10, "the log says where the first one stopped")
            for stream, header in ((True, ""), (False, ""), (True, "X-Conversation-Id: 7\r\n")):
                client = self.begin(daemon, header, stream=stream)
                wait_until(lambda: self.slots(daemon)[0]["generated"] > 3, 20, "it generates")
                self.assertEqual(self.leases(daemon), 1)
                before = self.slots(daemon)[0]["holds"]
                client.close()
                wait_until(lambda: not self.slots(daemon)[0]["works"], 20, "the slot is idle")
                stops = wait_until(stopped, 10, "the log says where it stopped")
                after = int(stops[-1])
                # It takes two or three; an engine that looks once in a second takes fifty and more.
                self.assertLess(after - before, 25, f"stream: {stream}, {header}")
                wait_until(lambda: self.leases(daemon) == 0, 5, "the lease ends")

    def test_a_client_that_leaves_is_noticed_beside_a_stream(self):
        """The results of the stream must not put off that the engine looks for other clients."""
        small = config(self.folder)
        small["models"]["demo-small"]["ubatch"] = 32
        with Daemon(small) as daemon:
            self.assertEqual(daemon.chat("demo-small")[0], 200)
            other = self.begin(daemon, stream=True)
            wait_until(lambda: any(slot["generated"] > 3 for slot in self.slots(daemon)), 20,
                       "a stream")
            [first] = [n for n, slot in enumerate(self.slots(daemon)) if slot["works"]]
            second = 1 - first
            for what in ({}, {"prompt": "Hello " * 128, "max_tokens": 1, "cache_prompt": False}):
                client = self.begin(daemon, **what)
                wait_until(lambda: self.slots(daemon)[second]["read"] > 0, 20, "its prompt is read")
                client.close()
                wait_until(lambda: not self.slots(daemon)[second]["works"], 20, "its slot is idle")
                wait_until(lambda: self.leases(daemon) == 1, 5, "its lease ends")
                self.assertTrue(self.slots(daemon)[first]["works"], "the stream has ended before")
            wait_until(lambda: daemon.request("GET", "/logs/demo-small")[2].count("cancel task")
                       == 2, 10, "both were cancelled, and did not come to their own ends")
            other.close()

    def test_a_start_that_hangs(self):
        """A fake engine that never gets ready for one model and is the real one for the others."""
        if ENGINE is None:
            self.skipTest("needs TONNAGE_ENGINE_DIR, run it through tools/integration")
        slow = config(self.folder, load={"stall_after": "1s", "timeout": "4s", "attempts": 1,
                                         "retry_backoff_min": "1s"})
        daemon = Daemon(slow)
        marker = daemon.folder / "hang"
        marker.touch()
        fake = daemon.folder / "llama-server"
        fake.write_text(f"""#!{sys.executable}
import os, signal, sys
if "demo-medium" in sys.argv and os.path.exists({str(marker)!r}):
    while True:
        signal.pause()
os.execv({str(ENGINE / "llama-server")!r}, ["llama-server", *sys.argv[1:]])
""", encoding="utf-8")
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        daemon.env["TONNAGE_ENGINE_LLAMA_SERVER"] = str(fake)
        with daemon:
            threads, results = self.together(daemon, 1, "demo-medium")

            def health():
                status, _, text = daemon.request("GET", "/health")
                return status, text
            status, text = wait_until(lambda: health() if "load_stalled" in health()[1] else None,
                                      10, "health says that the load stalls")
            self.assertEqual(status, 200, "a restart of the daemon would mend nothing")
            self.assertIn("demo-medium", text)
            self.assertEqual(daemon.chat("demo-small")[0], 200, "other models go on")
            threads[0].join()
            self.assertEqual(results[0][0], 502, results[0])
            self.assertIn("not ready", results[0][2])
            marker.unlink()
            wait_until(lambda: health() == (200, '{"status":"ok"}'), 10, "health recovers")
            wait_until(lambda: daemon.chat("demo-medium")[0] == 200, 20, "the model recovers")


class Degrading(unittest.TestCase):
    """Never degraded by haste, and degraded where the user allows it."""

    def run_case(self, degrade_after, held_s):
        folder = demo_models("demo")
        both = config(folder, queue={"degrade_after": degrade_after, "yield_after": "60s"})
        # demo-small with 16384 tokens in each of 2 slots needs more than is left beside a busy
        # demo-medium; with 512 it fits.
        both["models"]["demo-small"].update(context=16384, ladder=[{"context": 512, "slots": 1}])
        both["budgets"]["host"]["limit"] = "250MiB"
        with Daemon(both) as daemon:
            self.assertEqual(daemon.chat("demo-medium")[0], 200)
            stop = threading.Event()

            # Different lengths, so that the two never end together and leave the model idle.
            def hold(tokens):
                while not stop.is_set():
                    daemon.chat("demo-medium", max_tokens=tokens)
            holders = [threading.Thread(target=hold, args=(tokens,)) for tokens in (23, 31, 41)]
            for thread in holders:
                thread.start()
            wait_until(lambda: daemon.models()["demo-medium"]["leases"] == 2, 20, "it is busy")
            timer = threading.Timer(held_s, stop.set)
            timer.start()
            try:
                status, headers, text = daemon.chat("demo-small")
            finally:
                stop.set()
                timer.cancel()
                for thread in holders:
                    thread.join()
            self.assertEqual(status, 200, text)
            loads = [e for e in daemon.events(model="demo-small")
                     if e["kind"] in ("load", "degrade")]
            shown = daemon.command("ps", "--runtime-dir", str(daemon.runtime)).stdout
            return loads[0], shown, int(headers["x-tonnage-wait-ms"])

    def test_it_waits_for_the_target(self):
        load, _, waited_ms = self.run_case("60s", 10)
        self.assertEqual(load["kind"], "load")
        self.assertEqual(load["placement"]["context"], 16384)
        self.assertEqual(load["placement"]["slots"], 2)
        self.assertGreaterEqual(waited_ms, 5000, "the case is a wait")

    def test_it_degrades_after_the_time_that_was_set(self):
        load, shown, waited_ms = self.run_case("5s", 20)
        self.assertEqual(load["kind"], "degrade")
        self.assertEqual(load["placement"]["context"], 512)
        self.assertEqual(load["placement"]["slots"], 1)
        self.assertIn("degraded", shown)
        self.assertGreaterEqual(waited_ms, 5000)
        # The models in its way were busy for three times as long.
        self.assertLess(waited_ms, 15000)


if __name__ == "__main__":
    unittest.main()
