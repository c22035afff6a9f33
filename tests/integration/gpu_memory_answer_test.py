"""Servers that answer a request that they have no memory for it, and live on."""

import json
import threading
import unittest

from gpu_recovery_test import SOON, config
from gpu_rig import GpuRig

# As it comes: two lines, and spaces where nobody would write them.
PLAIN_ERROR = ('{"error": {"code":500,\n  "message":"grammar: no rule  named root",'
               '"type":"server_error"}}\n')


class MemoryAnswers(unittest.TestCase):
    def setUp(self):
        self.rig = GpuRig()
        self.addCleanup(self.rig.__exit__, None, None, None)
        self.rig.__enter__()

    def decided(self, daemon, field):
        return [event[field] for event in daemon.events() if event.get(field)]

    def failures(self, daemon):
        return [event["failure"] for event in daemon.events() if event["kind"] == "fail"]

    def check_answer(self, answer, replays):
        status, headers, text = answer
        self.assertEqual(status, 200, text)
        self.assertTrue(text.startswith("two:"), text)
        self.assertEqual(headers.get("x-tonnage-replays"), replays)

    def test_the_client_does_not_see_it(self):
        with self.rig.daemon(config(self.rig)) as daemon:
            self.check_answer(daemon.chat("two"), None)
            for number, stream in enumerate((False, True), 1):
                first = daemon.server_pid("two")
                self.rig.behave("two", short_at=1, short_times=number)
                self.check_answer(daemon.chat("two", stream=stream), "1")
                self.assertNotEqual(daemon.server_pid("two"), first)
                self.assertEqual(self.failures(daemon), ["out_of_device_memory"] * number)
            self.assertEqual(self.decided(daemon, "reason").count("stopped_short"), 2)
            # The first word of a request is that it was lost, not that it was refused.
            self.assertNotIn("refuse", self.decided(daemon, "kind"))
            why = daemon.command("why", "two", "--runtime-dir", str(daemon.runtime)).stdout
            why = " ".join(why.split())
            self.assertIn("Killing the server of two, which is running but out of memory: "
                          "HTTP 500: ", why)
            self.assertIn("cudaMalloc failed: out of memory", why)
            metrics = daemon.request("GET", "/metrics")[2]
            self.assertIn('tonnage_failures_total{kind="out_of_device_memory",model="two"} 2',
                          metrics)

    def test_several_requests_of_a_batch(self):
        self.rig.behave(token_ms=10)
        with self.rig.daemon(config(self.rig)) as daemon:
            self.check_answer(daemon.chat("two"), None)
            self.rig.behave("two", short_at=3, short_times=2)
            answers = [None] * 4

            def ask(number):
                answers[number] = daemon.chat("two", max_tokens=20)
            threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for answer in answers:
                self.assertEqual(answer[0], 200, answer[2])
            self.assertEqual(set(self.failures(daemon)), {"out_of_device_memory"})

    def test_a_stream_that_was_told_its_place(self):
        """It is told again while the second server loads, and answered in the same stream."""
        self.rig.behave(load_ms=3000, token_ms=2100)
        self.rig.behave("two", short_at=1)
        with self.rig.daemon(config(self.rig)) as daemon:
            status, _, text = self.ask_for_events(daemon)
            self.assertEqual(status, 200)
            lines = [line for line in text.splitlines() if line]
            self.assertTrue(lines[0].startswith(": tonnage queue place"), text)
            self.assertTrue(lines[1].startswith(": tonnage queue place"), text)
            self.assertEqual(lines[-1], "data: [DONE]")
            self.assertNotIn("error", text)
            self.assertEqual(self.failures(daemon), ["out_of_device_memory"])

    def ask_for_events(self, daemon):
        return daemon.request("POST", "/v1/chat/completions", {
            "model": "two", "max_tokens": 1, "stream": True,
            "messages": [{"role": "user", "content": "Hello"}]})

    def test_another_error_is_told_early_and_late(self):
        self.rig.behave(load_ms=2500)
        self.rig.behave("two", error_body=PLAIN_ERROR)
        with self.rig.daemon(config(self.rig)) as daemon:
            # In a stream that was told its place it can only be an event.
            status, _, text = self.ask_for_events(daemon)
            self.assertEqual(status, 200)
            events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
            self.assertEqual(len(events), 1, text)
            late = json.loads(events[0])
            self.assertEqual((late["error"]["message"], late["error"]["status"]),
                             ("grammar: no rule  named root", 500))
            first = daemon.server_pid("two")
            for stream in (False, True):
                status, headers, text = daemon.chat("two", stream=stream)
                self.assertEqual((status, json.loads(text)), (500, late))
                self.assertTrue(headers["content-type"].startswith("application/json"), headers)
                self.assertEqual(headers["x-tonnage-model"], "two")
                self.assertIn("x-tonnage-request", headers)
                self.assertNotIn("x-tonnage-replays", headers)
            # Below /upstream nothing is touched.
            status, headers, text = daemon.request(
                "POST", "/upstream/two/v1/chat/completions", {"model": "two", "messages": []})
            self.assertEqual((status, text), (500, PLAIN_ERROR))
            self.assertEqual(headers["x-tonnage-model"], "two")
            self.assertEqual(daemon.server_pid("two"), first)
            self.assertEqual(self.failures(daemon), [])

    def test_the_third_moves_it_to_the_cpu(self):
        settings = config(self.rig, load=SOON)
        with self.rig.daemon(settings) as daemon:
            self.check_answer(daemon.chat("two"), None)
            for failures in (1, 2, 3):
                self.assertFalse(daemon.models()["two"]["cpu_only"])
                self.rig.behave("two", short_at=1, short_times=failures)
                self.check_answer(daemon.chat("two"), "1")
                self.assertEqual(self.failures(daemon), ["out_of_device_memory"] * failures)
            shown = daemon.models()["two"]
            self.assertTrue(shown["cpu_only"])
            self.assertEqual(shown["placement"]["gpu_layers"], 0)


if __name__ == "__main__":
    unittest.main()
